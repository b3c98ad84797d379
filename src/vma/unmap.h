/* SPDX-License-Identifier: MIT */
/*
 * Taking a range out of the map: gather, prepare, the point of no return,
 * commit, complete. mmap_lock is held for writing.
 *
 *                 start                              end
 *   |------ head ---|##########|   |#####|   |#########|--- tail ----|
 *                    |<------------ leaves the map ---->|
 *
 *   head and tail are VMAs that reach out of the range and are cut; those
 *   wholly inside leave the tree. When one VMA reaches out at both sides it is
 *   head and tail at once, and what stays above end becomes the new VMA top:
 *
 *   |------ head ---|##########################|--- top ----|
 *
 * One store clears the whole range, cutting both ends, and puts top in its
 * place. It is the last step that can fail, and everything else comes before or
 * after it:
 *
 *   unmap_gather()    looks only, and lists the doomed. Answers that Linux
 *                     gives (a sealed VMA, too many VMAs) are found here
 *   unmap_alloc_top() gets memory for top, and keeps page faults out of head and tail
 *   ---- point of no return: the store ----
 *   unmap_trim()      head and tail shrink, the doomed are given up
 *   unmap_complete()  the counters are settled
 *
 * unmap_commit() does all but gathering. mmap over an existing range puts its
 * own store in place of the clearing one (map.c).
 */
#ifndef VMA_UNMAP_H
#define VMA_UNMAP_H

#include "vma/reserve.h"

struct unmap_desc {
	struct samara_mm *mm;
	unsigned long start, end;
	struct vma_dead *dead;       /* where VMAs that leave go */
	bool around;                 /* prev and next are asked for */
	struct vma *at_start;        /* the VMA at start, where the caller knows it; else NULL */
	bool keep_tables;            /* mremap has made page tables for the range */
	bool keep_accounted;         /* the charge goes over to the new place: mremap */
	struct vma_reserve *reserve; /* where memory comes from; NULL: got when needed */

	/* filled by unmap_gather() */
	struct vma *prev, *next;   /* around: the VMA at start - 1, the one at end */
	struct vma *first;         /* the first VMA of the range, or NULL: nothing to do */
	struct vma *head, *tail;   /* NULL: that edge lies on a boundary */
	struct mm_counters leaves; /* what the mm loses, in pages; map_count: VMAs that leave */
	struct vma *doomed;        /* those wholly inside, listed by dead_next, still in the tree */

	struct vma *top; /* by unmap_alloc_top() */
};

/*
 * 0; -ENOMEM: one VMA would become two and there are too many already; -EPERM: a sealed VMA;
 * -EINVAL: a mapping that cannot be cut. As Linux cuts first and looks later,
 * a VMA that would have been cut before the one that is at fault is left cut in two.
 */
int unmap_gather(struct unmap_desc *d) __must_check;

/* The rest. 0 or -ENOMEM, and then nothing has changed and nothing is held. */
int unmap_commit(struct unmap_desc *d) __must_check;

/* Parts of unmap_commit(), for a caller that stores something else in between. */
int unmap_alloc_top(struct unmap_desc *d) __must_check; /* given back by vma_discard(d->top) */
void unmap_trim(struct unmap_desc *d);                  /* give up the doomed, cut head and tail */
void unmap_complete(struct unmap_desc *d);              /* put top in place, settle the counters */

/* Leave the two edges cut, as Linux does when mmap fails after cutting; best effort. */
void unmap_leave_cut(struct unmap_desc *d);

/* munmap of whole pages below the task size: gather to complete. */
int unmap_range(struct samara_mm *mm, unsigned long start, unsigned long end,
		struct vma_dead *dead) __must_check;

/* do_munmap's checks, then unmap_range(). */
int do_munmap(struct samara_mm *mm, unsigned long start, unsigned long len,
	      struct vma_dead *dead) __must_check;

/* vma becomes [.., at) and a new VMA [at, ..). 0, -ENOMEM, -EINVAL (cannot be cut, not there). */
int vma_split(struct vma *vma, unsigned long at) __must_check;

/*
 * A copy of vma over [start, end) with a file reference and links of its own; NULL when refused.
 * Memory comes from reserve unless that is NULL.
 */
struct vma *vma_dup_part(const struct vma *vma, unsigned long start, unsigned long end,
			 struct vma_reserve *reserve) __must_check;
/*
 * The same but for links, into the empty VMA copy: range, offset, flags, kind and a file
 * reference.
 */
void vma_copy_fields(struct vma *copy, const struct vma *vma, unsigned long start,
		     unsigned long end);

/* What vma_dup_part() or a failed mmap made and nobody ever saw. */
void vma_discard(struct vma *vma);

/* vma, which is detached and maps no page any more, loses its links and goes onto the list. */
void vma_leave(struct vma_dead *dead, struct vma *vma);

/* A driver wants to be told of its end. */
bool vma_has_close(const struct vma *vma);

/* Give back all that the VMAs on the list hold. mmap_lock is no longer held. */
void vma_dead_release(struct vma_dead *dead);

#endif
