/* SPDX-License-Identifier: MIT */
/*
 * Looking VMAs up by address. mmap_lock is held.
 *
 * These functions and vma_store() convert between [start, end) and the tree's
 * index..last. A cursor is set up with mas_init(): MA_STATE() clears all of it.
 *
 * They look first where the last change was, in the leaf that mm->store
 * remembers: this is why the lock is needed, and RCU alone is not enough.
 */
#ifndef VMA_FIND_H
#define VMA_FIND_H

#include "core/mm.h"

/* The VMA at addr, or NULL. */
static inline struct vma *vma_lookup(struct samara_mm *mm, unsigned long addr)
{
	if (edge_covers(&mm->store.left, addr))
		return edge_load(&mm->store.left, addr);
	return mtree_load(&mm->mt, addr);
}

/* The first VMA that has a part in [start, end), or NULL; most often it is at start. */
static inline struct vma *vma_find(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	struct ma_state mas;
	void *vma;

	if (start >= end)
		return NULL;
	if (edge_covers(&mm->store.left, start)) {
		if (edge_find_entry(&mm->store.left, start, end - 1, &vma))
			return vma;
	} else {
		vma = mtree_load(&mm->mt, start);
		if (vma)
			return vma;
	}
	mas_init(&mas, &mm->mt, start);
	return mas_find(&mas, end - 1);
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

/* Where a VMA that grows down keeps everybody else away from. */
static inline unsigned long vma_start_gap(const struct samara_mm *mm, const struct vma *vma)
{
	if (!(vma->vm_flags & VM_GROWSDOWN))
		return vma->vm_start;
	return vma->vm_start > mm->geo->stack_gap ? vma->vm_start - mm->geo->stack_gap : 0;
}

#endif
