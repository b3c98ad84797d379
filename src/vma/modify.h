/* SPDX-License-Identifier: MIT */
/*
 * Changing the flags of a part of one VMA: what mprotect, madvise, mlock and
 * mseal have in common. mmap_lock is held for writing.
 *
 *   vma        |================================|
 *   range      |====|           changed, then merged with prev if that fits,
 *                   |====|      else cut: [vma][new]..[top]
 *                          |====|  likewise with next
 *
 * A merge is tried first, then at most two cuts. Nothing changes on failure,
 * but for one case in which Linux does: the range lies inside the VMA and there
 * may be only one more VMA. Then the cut at its start stays.
 */
#ifndef VMA_MODIFY_H
#define VMA_MODIFY_H

#include "core/mm.h"

struct vma_modify_desc {
	struct samara_mm *mm;
	struct vma *vma;
	unsigned long start, end; /* inside vma */
	unsigned long flags;      /* what the range is to have */
	struct vma_dead *dead;
	struct vma *out; /* the VMA that now holds the range */
};

/* 0; -ENOMEM: memory, or vm.max_map_count; -EINVAL: a mapping that cannot be cut. */
int vma_modify_flags(struct vma_modify_desc *d) __must_check;

/* Visits the VMAs of a range in order; ends at an answer other than 0. */
struct vma_walk {
	struct samara_mm *mm;
	unsigned long start, end;
	int (*step)(struct vma_walk *walk, struct vma_modify_desc *d); /* flags: as they are */
	struct vma_dead *dead;
	unsigned long arg; /* the step's */
	struct vma *first; /* the VMA at start, where the caller knows it; else NULL */
};

/* As mprotect and mlock walk: the first hole ends it with -ENOMEM; what came before stays done. */
int vma_walk_strict(struct vma_walk *walk) __must_check;
/* As madvise walks: holes are skipped, and in the end give -ENOMEM. */
int vma_walk_holes(struct vma_walk *walk) __must_check;

#endif
