/* SPDX-License-Identifier: MIT */
/*
 * What the system calls have in common: take the mmap_lock, do the work, drop it, and only then
 * give back what left the map (files may have to be closed), tell userfaultfds (which waits until
 * they have read it) and fault in what was asked for (a fault may have to wait).
 */
#ifndef SYSCALL_CALL_DOOR_H
#define SYSCALL_CALL_DOOR_H

#include "access/populate.h"
#include "core/mm.h"
#include "vma/unmap.h"

struct door {
	struct samara_mm *mm;
	struct vma_dead dead;
	struct populate_later populate;
};

static inline void door_enter(struct door *door, struct samara_mm *mm)
{
	door->mm = mm;
	door->dead.first = NULL;
	door->dead.events.first = NULL;
	door->populate = (struct populate_later){ 0 };
	mmap_write_lock(mm);
}

static inline void door_leave(struct door *door)
{
	mmap_write_unlock(door->mm);
	vma_dead_release(&door->dead);
	if (unlikely(door->populate.start != door->populate.end))
		populate_quietly(door->mm, &door->populate);
}

/* VM_READ, VM_WRITE, VM_EXEC of PROT_*. */
static inline unsigned long vm_flags_of_prot(int prot)
{
	return (unsigned long)prot & VM_ACCESS_FLAGS;
}

#endif
