/* SPDX-License-Identifier: MIT */
/*
 * Taking a range out of the map: gather, prepare, store, complete. mmap_lock is held for writing.
 *
 *                 start                              end
 *   |------ head ---|##########|   |#####|   |#########|--- tail ----|
 *                    |<------------ leaves the map ---->|
 *
 * head and tail are VMAs that reach out of the range and are cut. Those wholly inside are doomed:
 * they leave the tree. One VMA that reaches out at both sides is head and tail at once, and its
 * part above end becomes the new VMA top:
 *
 *   |------ head ---|##########################|--- top ----|
 *
 * One store clears the whole range, cuts both ends, and puts top in its place. It is the last step
 * that can fail:
 *
 *   unmap_gather()    looks only: the request becomes a plan. Answers that Linux gives (a sealed
 *                     VMA, too many VMAs) are found here. It cuts VMAs where Linux leaves them
 *                     cut, and those of drivers
 *   unmap_prepare()   allocates top and what is told of it, and keeps page faults out of head and
 *                     tail
 *   ---- point of no return: the store ----
 *   unmap_complete()  the doomed lose their pages and go onto the dead list, head and tail shrink,
 *                     the counters follow
 *
 * unmap_apply() does all but gathering. mmap over an existing range puts its own store in place of
 * the clearing one (map.c).
 */
#ifndef VMA_UNMAP_H
#define VMA_UNMAP_H

#include "vma/layout.h"
#include "vma/reserve.h"

struct unmap_request {
	struct samara_mm *mm;
	unsigned long start, end;
	struct vma *at_start;        /* the VMA at start, if the caller knows it; else NULL */
	struct vma_reserve *reserve; /* where memory comes from; NULL: it is allocated */
	bool around;                 /* the caller asks for the neighbours */
	bool keep_tables;            /* mremap has made page tables for the range */
	bool keep_accounted;         /* the charge goes over to what comes in its place */
	bool untold;                 /* no UNMAP: the caller tells, or as in Linux no one is told */
};

/* One that is all zero takes nothing out. The request outlives its plan. */
struct unmap_plan {
	const struct unmap_request *req;
	struct area_around around; /* if asked for */
	struct vma *first;         /* the first VMA of the range, or NULL: nothing to do */
	struct vma *head, *tail;   /* NULL: that edge lies on a boundary */
	struct vma *doomed;        /* those wholly inside, by dead_next; still in the tree */
	struct vma *top;           /* allocated by unmap_prepare() */
	struct mm_counters leaves; /* pages that the mm loses; map_count: VMAs that leave */
	unsigned long flags;       /* VM_* that some VMA of the range has */
	struct uffd_events events; /* made by unmap_prepare() */
};

/*
 * 0; -ENOMEM: one VMA would become two and there are too many already; -EPERM: a sealed VMA;
 * -EINVAL: a mapping that cannot be cut. Linux cuts head before it looks at later VMAs: when one of
 * those refuses, head is left cut in two here as well.
 */
int unmap_gather(const struct unmap_request *req, struct unmap_plan *plan) __must_check;

/* 0 or -ENOMEM, and then nothing is held. */
int unmap_prepare(struct unmap_plan *plan) __must_check;
/* After unmap_prepare(), when the store was refused. */
void unmap_abort(struct unmap_plan *plan);

/* After the store. The plan is used up; dead gets VMAs and events. */
void unmap_complete(struct unmap_plan *plan, struct vma_dead *dead);

/* Prepare, store, complete. 0 or -ENOMEM, and then nothing has changed and nothing is held. */
int unmap_apply(struct unmap_plan *plan, struct vma_dead *dead) __must_check;

/* Instead of the rest: leave the two edges cut, as Linux does when mmap fails after cutting. */
void unmap_leave_cut(const struct unmap_plan *plan);

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

/* Frees a VMA that was never in the tree, with its links and file reference; or NULL. */
void vma_discard(struct vma *vma);

/* vma, which is detached and maps no page any more, loses its links and goes onto the list. */
void vma_leave(struct vma_dead *dead, struct vma *vma);

/* Whether vma's driver has a close operation. */
bool vma_has_close(const struct vma *vma);

/*
 * Frees the VMAs on the list: drivers are told, file references dropped. Then userfaultfds are
 * told, which waits for their handlers. No lock is held.
 */
void vma_dead_release(struct vma_dead *dead);

#endif
