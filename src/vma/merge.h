/* SPDX-License-Identifier: MIT */
/*
 * Merging: instead of a new VMA, or of one cut in two, a neighbour grows.
 * mmap_lock is held for writing.
 *
 * New range (mmap, brk, mremap): nothing stands in it any more.
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
 * prev and next may reach into the range while it is being replaced; what counts is
 * what they are outside it.
 *
 * vma_merge_plan() decides, vma_merge_store() is the point of no return, and
 * vma_merge_finish() cannot fail.
 */
#ifndef VMA_MERGE_H
#define VMA_MERGE_H

#include "vma/reserve.h"

enum merge_kind { MERGE_NONE, MERGE_LEFT, MERGE_RIGHT, MERGE_BOTH };

struct vma_merge_desc {
	/* what is wanted */
	struct samara_mm *mm;
	struct vma *prev;   /* ends at start, or will; NULL if none does */
	struct vma *middle; /* existing range: the VMA it is part of */
	struct vma *next;   /* begins at end, or will; NULL if none does */
	unsigned long start, end;
	unsigned long pgoff; /* of start */
	unsigned long flags;
	struct samara_file *file;
	const struct vma_special *special;
	struct anon_vma *anon_vma; /* of what the range holds */
	const struct vma *copied;  /* new range: the VMA whose pages move here; or NULL */
	bool just_expand;          /* brk: only ever grow prev */

	/* what is done about it */
	enum merge_kind kind;
	struct vma *target;                          /* prev or next, or NULL */
	unsigned long new_start, new_end, new_pgoff; /* target's, afterwards */
	struct vma *above;           /* a VMA cut at new_end becomes this above it; NULL: itself */
	struct vma_reserve *reserve; /* where memory comes from; NULL: got when needed */
	struct vma_dead *dead;       /* where removed VMAs go */
};

/* Decide: sets kind, target and the new range. A decision for MERGE_NONE needs no more. */
void vma_merge_plan(struct vma_merge_desc *d);

/* The tree knows it. 0 or -ENOMEM, and then nothing has changed. */
int vma_merge_store(struct vma_merge_desc *d) __must_check;

/* The VMAs follow, and the count of VMAs; other counters are the caller's. */
void vma_merge_finish(struct vma_merge_desc *d);

#endif
