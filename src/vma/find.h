/* SPDX-License-Identifier: MIT */
/*
 * Looking VMAs up by address. mmap_lock is held.
 *
 * One pair of helpers converts between [start, end) and the tree's
 * index..last: mas_of_range() and the last - 1 inside these functions.
 */
#ifndef VMA_FIND_H
#define VMA_FIND_H

#include "core/mm.h"

#define MAS_OF_RANGE(name, mm, start, end) MA_STATE(name, &(mm)->mt, (start), (end)-1)

/* The first VMA that has a part in [start, end), or NULL. */
static inline struct vma *vma_find(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	MA_STATE(mas, &mm->mt, start, start);

	return start < end ? mas_find(&mas, end - 1) : NULL;
}

/* The VMA at addr, or the first one above it. */
static inline struct vma *vma_find_from(struct samara_mm *mm, unsigned long addr)
{
	MA_STATE(mas, &mm->mt, addr, addr);

	return mas_find(&mas, ULONG_MAX);
}

/* The VMA at addr, or NULL. */
static inline struct vma *vma_lookup(struct samara_mm *mm, unsigned long addr)
{
	return mtree_load(&mm->mt, addr);
}

/* The last VMA that begins below start, or NULL. */
static inline struct vma *vma_before(struct samara_mm *mm, unsigned long start)
{
	MA_STATE(mas, &mm->mt, start, start);

	return mas_prev(&mas, 0);
}

/* Where a VMA that grows down keeps everybody else away from. */
static inline unsigned long vma_start_gap(const struct samara_mm *mm, const struct vma *vma)
{
	if (!(vma->vm_flags & VM_GROWSDOWN))
		return vma->vm_start;
	return vma->vm_start > mm->geo->stack_gap ? vma->vm_start - mm->geo->stack_gap : 0;
}

#endif
