/* SPDX-License-Identifier: MIT */
/*
 * Changing the flags of a part of one VMA: what mprotect, madvise, mlock, mseal and
 * userfaultfd have in common. mmap_lock is held for writing.
 *
 *   vma        |================================|
 *   range      |====|           changed, then merged with prev if that fits,
 *                   |====|      else cut: [vma][new]..[top]
 *                          |====|  likewise with next
 *
 * A merge is tried first, then at most two cuts. Nothing changes on failure, with one exception,
 * which is Linux's: two cuts are needed and vm.max_map_count leaves room for one. Then the cut at
 * start stays.
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
 * part gets flags and userfaultfd. part->vma becomes the VMA that then holds it. VMAs that leave
 * go onto dead. 0; -ENOMEM: memory, or vm.max_map_count; -EINVAL: a mapping that cannot be cut.
 */
int vma_modify_flags_uffd(struct vma_part *part, unsigned long flags, struct samara_uffd *uffd,
			  struct vma_dead *dead) __must_check;

/* The same, and its userfaultfd stays. */
static inline __must_check int vma_modify_flags(struct vma_part *part, unsigned long flags,
						struct vma_dead *dead)
{
	return vma_modify_flags_uffd(part, flags, part->vma->rare.uffd, dead);
}

/* Calls step for each VMA of a range in order, until it returns other than 0. */
struct vma_walk {
	struct samara_mm *mm;
	unsigned long start, end;
	int (*step)(const struct vma_walk *walk, struct vma_part *part);
	struct vma_dead *dead;
	unsigned long arg; /* the step's */
	void *to;          /* the step's, where it leaves something; or NULL */
	struct vma *first; /* the VMA at start, if the caller knows it; else NULL */
};

/* As mprotect and mlock: the first hole ends the walk with -ENOMEM. Earlier steps stay done. */
int vma_walk_strict(const struct vma_walk *walk) __must_check;
/* As madvise: holes are skipped, and give -ENOMEM at the end. */
int vma_walk_holes(const struct vma_walk *walk) __must_check;

#endif
