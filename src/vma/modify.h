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

/* Whole pages of one VMA. */
struct vma_part {
	struct vma *vma;
	unsigned long start, end;
};

/*
 * part gets flags, and part->vma becomes the VMA that then holds it. VMAs that leave go onto dead.
 * 0; -ENOMEM: memory, or vm.max_map_count; -EINVAL: a mapping that cannot be cut.
 */
int vma_modify_flags(struct vma_part *part, unsigned long flags,
		     struct vma_dead *dead) __must_check;

/* Visits the VMAs of a range in order; ends at an answer other than 0. */
struct vma_walk {
	struct samara_mm *mm;
	unsigned long start, end;
	int (*step)(const struct vma_walk *walk, struct vma_part *part);
	struct vma_dead *dead;
	unsigned long arg; /* the step's */
	struct vma *first; /* the VMA at start, if the caller knows it; else NULL */
};

/* As mprotect and mlock walk: the first hole ends it with -ENOMEM; what came before stays done. */
int vma_walk_strict(const struct vma_walk *walk) __must_check;
/* As madvise walks: holes are skipped, and in the end give -ENOMEM. */
int vma_walk_holes(const struct vma_walk *walk) __must_check;

#endif
