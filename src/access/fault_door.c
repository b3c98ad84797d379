/* SPDX-License-Identifier: MIT */
/*
 * The door: see fault_door.h. What signal stands for what was measured on Linux 6.18:
 *
 *   nothing mapped, beyond the task size, a stack that may not grow    SIGSEGV SEGV_MAPERR
 *   no canonical address (neither half of a sign-extended space)       SIGSEGV SI_KERNEL
 *   running in the vsyscall page (its three calls are the caller's)    SIGSEGV SI_KERNEL
 *   the mapping does not allow it                                      SIGSEGV SEGV_ACCERR
 *   a guard                                                            SIGSEGV SEGV_MAPERR
 *   beyond the file's end, a driver's refusal, reading failed          SIGBUS  BUS_ADRERR
 *   poison                                                             SIGBUS  BUS_MCEERR_AR
 *
 * Running readable memory that may not be run is found out only once the page is there: before
 * that the fault is one of reading, with all its effects and signals.
 */
#include <errno.h>
#include <signal.h>

#include "access/fault_door.h"
#include "access/wait.h"
#include "core/vma_lock.h"
#include "frame/frame.h"
#include "mmu/table.h"
#include "vma/find.h"
#include "vma/grow.h"

/* With VM_FAULT_SIGSEGV: there is a mapping, which does not allow it. */
#define FAULT_ACCERR (1U << 16)
/* And for that reason no fault was made. */
#define FAULT_REFUSED (1U << 17)

/* signo 0: no signal, and code is what to return. */
static int refuse(struct samara_fault *fault, unsigned long addr, int signo, int code)
{
	*fault = (struct samara_fault){ .addr = addr, .signo = signo, .code = code };
	return signo ? -EFAULT : code;
}

static int refuse_bus(const struct samara_mm *mm, struct samara_fault *fault, unsigned long addr,
		      unsigned int codes)
{
	if (!(codes & VM_FAULT_HWPOISON))
		return refuse(fault, addr, SIGBUS, BUS_ADRERR);
	(void)refuse(fault, addr, SIGBUS, BUS_MCEERR_AR);
	fault->lsb = (int)mm->geo->page_shift;
	return -EFAULT;
}

/*
 * The door's answer when a fault at addr of mm has said codes, and waits for nothing. No lock is
 * held any more. 0: the access is tried again.
 */
static int answer(struct samara_mm *mm, unsigned int codes, unsigned long addr,
		  struct samara_fault *fault)
{
	if (codes & VM_FAULT_SIGBUS)
		return refuse_bus(mm, fault, addr, codes);
	if (codes & VM_FAULT_SIGSEGV)
		return refuse(fault, addr, SIGSEGV,
			      codes & FAULT_ACCERR ? SEGV_ACCERR : SEGV_MAPERR);
	return 0;
}

int fault_errno(unsigned int codes)
{
	if (codes & VM_FAULT_OOM)
		return -ENOMEM;
	if (codes & (VM_FAULT_WAIT | VM_FAULT_UFFD))
		return -EAGAIN;
	if (codes & VM_FAULT_HWPOISON)
		return -EHWPOISON;
	return codes & VM_FAULT_ERROR ? -EFAULT : 0;
}

/*
 * Whether addr can be told to a page table at all. Where user addresses are the lower half of a
 * sign-extended space there is a hole above it; elsewhere every address is one.
 */
static bool canonical(const struct samara_geometry *geo, unsigned long addr)
{
	const unsigned int bits = geo->page_shift + geo->levels * geo->level_bits;
	const unsigned long top = addr >> (bits - 1);

	return geo->task_size > 1UL << (bits - 1) || !top || top == ~0UL >> (bits - 1);
}

/* At an address above all user addresses. The gate is run by the kernel, or not at all. */
static int code_above(const struct samara_mm *mm, unsigned long addr, enum samara_access kind)
{
	if (kind == SAMARA_ACCESS_EXEC && mm_is_gate(mm, addr))
		return SI_KERNEL;
	return canonical(mm->geo, addr) ? SEGV_MAPERR : SI_KERNEL;
}

/* Rights, then the fault; a fetch is stopped last. */
static unsigned int fault_checked(struct vma *vma, unsigned long addr, unsigned int flags,
				  struct waited *waited)
{
	unsigned int codes = fault_check_access(vma, flags);

	if (codes)
		return codes | FAULT_ACCERR | FAULT_REFUSED;
	codes = fault_or_queue(vma, addr, flags, waited);
	/* A fault that is over may have brought no page: it took a marker away, or lost a race. */
	if ((flags & FAULT_EXEC) && !(vma->vm_flags & VM_EXEC) &&
	    !(codes & (VM_FAULT_ERROR | VM_FAULT_RETRY | VM_FAULT_WAITS)) &&
	    pte_present(table_look(vma->vm_mm, addr)))
		return VM_FAULT_SIGSEGV | FAULT_ACCERR;
	return codes;
}

/* The VMA at addr, or the stack above it grown to reach it. mmap_lock for writing. */
static struct vma *grow_to(struct samara_mm *mm, unsigned long addr)
{
	struct vma *vma = vma_find_from(mm, addr);

	if (!vma || vma->vm_start <= addr)
		return vma;
	return (vma->vm_flags & VM_GROWSDOWN) && !expand_stack(vma, addr) ? vma : NULL;
}

static unsigned int fault_slowly(struct samara_mm *mm, unsigned long addr, unsigned int flags,
				 struct waited *waited)
{
	unsigned int codes = VM_FAULT_SIGSEGV;
	struct vma *vma;

	mmap_read_lock(mm);
	vma = vma_find_from(mm, addr);
	if (vma && vma->vm_start > addr) {
		if (!(vma->vm_flags & VM_GROWSDOWN) || (flags & FAULT_NOGROW))
			goto unlock;
		mmap_read_unlock(mm);
		mmap_write_lock(mm);
		vma = grow_to(mm, addr);
		mmap_write_downgrade(mm);
	}
	if (vma) {
		codes = fault_checked(vma, addr, flags, waited);
		if (!(codes & FAULT_REFUSED))
			fault_count(mm, codes);
	}
unlock:
	mmap_read_unlock(mm);
	return codes;
}

/* With the VMA's lock: what codes other than VM_FAULT_DONE count as. */
static __noinline void count_rare(struct samara_mm *mm, unsigned int codes)
{
	const bool made = fault_is_over(codes) && !(codes & FAULT_REFUSED);

	mm_lock_count(mm, made ? VMA_LOCK_SUCCESS : VMA_LOCK_NO_FAULT);
	if (made && (codes & VM_FAULT_MAJOR))
		vm_event_add(mm->machine->ram, PGMAJFAULT, 1);
}

static __always_inline unsigned int fault_once(struct samara_mm *mm, unsigned long addr,
					       unsigned int flags, struct waited *waited)
{
	struct vma *vma = lock_vma_under_rcu(mm, addr);
	unsigned int codes;

	if (vma) {
		codes = fault_checked(vma, addr, flags | FAULT_VMA_LOCK, waited);
		vma_end_read(vma);
		if (!(codes & VM_FAULT_RETRY)) {
			if (likely(codes == VM_FAULT_DONE))
				mm_lock_count(mm, VMA_LOCK_SUCCESS);
			else
				count_rare(mm, codes);
			return codes;
		}
		mm_lock_count(mm, VMA_LOCK_RETRY);
	}
	return fault_slowly(mm, addr, flags, waited);
}

/*
 * codes, of VM_FAULT_WAITS, become those of the last try. 0, or what access_wait() said. The first
 * try queued nothing, which keeps the sleeper off the stack of accesses that do not wait: one for a
 * userfaultfd is made again at once.
 */
static __noinline int fault_waiting(struct samara_mm *mm, unsigned long addr, unsigned int flags,
				    unsigned int *codes, unsigned long refused)
{
	struct waited waited;
	int err;

	waited_begin(&waited, refused, flags);
	do {
		err = access_wait(mm, addr, *codes, &waited);
		if (err)
			break;
		*codes = fault_once(mm, addr, flags, &waited);
		/* A page that is kept is mapped now. A write to it may have to copy it first. */
		if (!*codes && waited.page)
			*codes = fault_once(mm, addr, flags, &waited);
	} while (*codes & VM_FAULT_WAITS);
	waited_end(mm, &waited);
	return err;
}

_Static_assert((unsigned int)FAULT_WRITE == SAMARA_ACCESS_WRITE &&
		       (unsigned int)FAULT_EXEC == SAMARA_ACCESS_EXEC && !SAMARA_ACCESS_READ,
	       "a kind of access is a fault's flag");

int access_fault(struct samara_mm *mm, unsigned long addr, unsigned int how,
		 struct samara_fault *fault)
{
	const unsigned long refused = frames_refused;
	unsigned int codes;
	int err = 0;

	if (addr >= mm->geo->task_size)
		return refuse(fault, addr, SIGSEGV, code_above(mm, addr, how & ACCESS_KIND));
	codes = fault_once(mm, addr, how, NULL);
	if (unlikely(codes & VM_FAULT_WAITS))
		err = fault_waiting(mm, addr, how, &codes, refused);
	if (unlikely(err))
		return err == -EIO ? refuse(fault, addr, SIGBUS, BUS_ADRERR) :
				     refuse(fault, addr, 0, err);
	return answer(mm, codes, addr, fault);
}
