/* SPDX-License-Identifier: MIT */
/*
 * Looking VMAs up by address. mmap_lock is held.
 *
 * These functions and vma_store() convert between [start, end) and the tree's
 * index..last. A cursor is set up with mas_init(): MA_STATE() clears all of it.
 *
 * They look first in the leaf that mm->writer remembers. They therefore need the lock: RCU is not
 * enough.
 */
#ifndef VMA_FIND_H
#define VMA_FIND_H

#include "core/mm.h"

/* The VMA at addr, or NULL. */
static inline struct vma *vma_lookup(struct samara_mm *mm, unsigned long addr)
{
	return maple_writer_load(&mm->writer, addr);
}

/* The first VMA that has a part in [start, end), or NULL; most often it is at start. */
static inline struct vma *vma_find(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	return start < end ? maple_writer_find(&mm->writer, start, end - 1) : NULL;
}

/* The VMA at addr, or the first one above it. */
static inline struct vma *vma_find_from(struct samara_mm *mm, unsigned long addr)
{
	return vma_find(mm, addr, ULONG_MAX);
}

/* The last VMA that begins below start, or NULL. */
static inline struct vma *vma_before(struct samara_mm *mm, unsigned long start)
{
	struct ma_state mas;

	mas_init(&mas, &mm->mt, start);
	return mas_prev(&mas, 0);
}

/* vma's start, or the start of its guard gap if it grows down. A new mapping below ends there. */
static inline unsigned long vma_start_gap(const struct samara_mm *mm, const struct vma *vma)
{
	if (!(vma->vm_flags & VM_GROWSDOWN))
		return vma->vm_start;
	return vma->vm_start > mm->geo->stack_gap ? vma->vm_start - mm->geo->stack_gap : 0;
}

#endif
