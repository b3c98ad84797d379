/* SPDX-License-Identifier: MIT */
/*
 * The door to page faults. It finds and locks the VMA, waits and tries again (access/wait.h), lets
 * stacks grow, and says which signal the kernel would send.
 *
 *   access ---> VMA's lock --------------> handle_mm_fault() --> done, or a signal
 *                 | busy, gone, none           | RETRY
 *                 v                            v
 *               mmap_lock for reading -------> handle_mm_fault()
 *                 | below a stack              ^
 *                 v                            | downgraded
 *               mmap_lock for writing: expand_stack()
 */
#ifndef ACCESS_FAULT_DOOR_H
#define ACCESS_FAULT_DOOR_H

#include <samara/access.h>

#include "core/mm.h"
#include "access/wait.h"
#include "fault/fault.h"
#include "frame/vm_event.h"

/*
 * How an access is made: one of enum samara_access (ACCESS_KIND), and FAULT_NOWAIT, FAULT_NOGROW.
 */
#define ACCESS_KIND 3U

/*
 * Do what one access to addr needs, and wait where that has to wait. 0: try the access again;
 * -EFAULT, -ENOMEM: it cannot be made, *fault says why; -EAGAIN: it may not wait, or was
 * interrupted. No lock is held.
 */
int access_fault(struct samara_mm *mm, unsigned long addr, unsigned int how,
		 struct samara_fault *fault) __must_check;

/*
 * What handle_mm_fault() said, but VM_FAULT_RETRY: 0, -ENOMEM, -EHWPOISON, -EFAULT; -EAGAIN: it has
 * to wait.
 */
int fault_errno(unsigned int codes);

/* Whether a fault is over. What has to be made again is counted then. */
static inline bool fault_is_over(unsigned int codes)
{
	return !(codes & (VM_FAULT_RETRY | VM_FAULT_WAITS));
}

/*
 * A fault was made with the mmap_lock, or for another than a CPU. One that a CPU made with the
 * VMA's lock alone is counted as VMA_LOCK_SUCCESS and nowhere else: the machine's pgfault is the
 * sum of both, and each fault costs one addition.
 */
static inline void fault_count(const struct samara_mm *mm, unsigned int codes)
{
	if (!fault_is_over(codes))
		return;
	vm_event_add(mm->machine->ram, PGFAULT, 1);
	if (codes & VM_FAULT_MAJOR)
		vm_event_add(mm->machine->ram, PGMAJFAULT, 1);
}

#endif
