/* SPDX-License-Identifier: MIT */
/*
 * Merging: a neighbour grows, instead of a new VMA or a cut. mmap_lock is held for writing.
 *
 * New range (mmap, brk, mremap): what was mapped there leaves.
 *
 *              start            end
 *      [  prev  )================(  next  ]
 *   LEFT   [  prev ..............)
 *   RIGHT          (.............. next  ]
 *   BOTH   [  prev ........................)      next is removed
 *
 * Existing range (mprotect, madvise, mlock, mseal): part of middle gets flags
 * that a neighbour has.
 *
 *      [  prev  )[==== middle ====)(  next  ]
 *   LEFT   [  prev .......)[ rest )               middle removed if nothing is left of it
 *   RIGHT        [ rest )(........ next  ]        likewise
 *   BOTH   [  prev ........................)      middle and next are removed
 *
 * prev and next may reach into the range while it is being replaced. Only their parts outside it
 * count.
 *
 *   vma_merge_plan()    looks only: the request becomes a plan
 *   vma_merge_store()   links and the tree: the last that can fail
 *   ---- point of no return ----
 *   vma_merge_commit()  VMAs follow the tree
 */
#ifndef VMA_MERGE_H
#define VMA_MERGE_H

#include "vma/reserve.h"

/* What two VMAs must have in common to become one (merge.c has the conditions). */
struct vma_traits {
	unsigned long flags;
	struct samara_file *file;
	const struct vma_special *special;
	struct anon_vma *anon_vma;
	struct samara_uffd *uffd;
};

static inline struct vma_traits vma_traits(const struct vma *vma)
{
	return (struct vma_traits){
		.flags = vma->vm_flags,
		.file = vma->vm_file,
		.special = vma->rare.special,
		.anon_vma = vma->anon_vma,
		.uffd = vma->rare.uffd,
	};
}

struct vma_merge_request {
	struct samara_mm *mm;
	struct vma *prev;   /* ends at start, or will; NULL: none */
	struct vma *middle; /* existing range: the VMA it is part of */
	struct vma *next;   /* begins at end, or will; NULL: none */
	unsigned long start, end;
	unsigned long pgoff;      /* of start */
	struct vma_traits traits; /* of the range, afterwards */
	const struct vma *copied; /* new range: the VMA whose pages move here; or NULL */
	bool just_expand;         /* brk: only prev may grow */
};

enum merge_kind { MERGE_NONE, MERGE_LEFT, MERGE_RIGHT, MERGE_BOTH };

/* The request outlives its plan. */
struct vma_merge_plan {
	const struct vma_merge_request *req;
	enum merge_kind kind;
	struct vma *target;              /* prev or next: it grows; NULL: nothing merges */
	unsigned long start, end, pgoff; /* target's, afterwards */
};

void vma_merge_plan(const struct vma_merge_request *req, struct vma_merge_plan *plan);

/*
 * Stores target over its new range. above takes the place of the upper part of a VMA that this cuts
 * in two; NULL: that VMA keeps it. Memory comes from reserve; NULL: it is allocated. 0 or -ENOMEM,
 * and then nothing has changed.
 */
int vma_merge_store(const struct vma_merge_plan *plan, struct vma *above,
		    struct vma_reserve *reserve) __must_check;

/*
 * Bounds and flags of the VMAs, and the count of VMAs; other counters are the caller's. VMAs that
 * target takes in go onto dead. Returns target.
 */
struct vma *vma_merge_commit(const struct vma_merge_plan *plan, struct vma_dead *dead);

#endif
