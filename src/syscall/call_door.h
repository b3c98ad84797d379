/* SPDX-License-Identifier: MIT */
/*
 * What the system calls have in common: mmap_lock is taken for writing, the work is done, the lock
 * is dropped. VMAs that left the map are released after that, since closing files may take long.
 */
#ifndef SYSCALL_CALL_DOOR_H
#define SYSCALL_CALL_DOOR_H

#include "core/mm.h"
#include "vma/unmap.h"

struct door {
	struct samara_mm *mm;
	struct vma_dead dead;
};

static inline void door_enter(struct door *door, struct samara_mm *mm)
{
	door->mm = mm;
	door->dead.first = NULL;
	mmap_write_lock(mm);
}

static inline void door_leave(struct door *door)
{
	mmap_write_unlock(door->mm);
	vma_dead_release(&door->dead);
}

/* VM_READ, VM_WRITE, VM_EXEC of PROT_*. */
static inline unsigned long vm_flags_of_prot(int prot)
{
	return (unsigned long)prot & VM_ACCESS_FLAGS;
}

#endif
