/* SPDX-License-Identifier: MIT */
/*
 * What mremap's steps (remap.c) and its move (move.c) share. mmap_lock is held for writing.
 */
#ifndef VMA_MOVE_H
#define VMA_MOVE_H

#include "vma/layout.h"
#include "vma/remap.h"
#include "vma/reserve.h"

enum remap_type { REMAP_NO_RESIZE, REMAP_SHRINK, REMAP_EXPAND };

/* The request, checked. Each step leaves here what the next one finds. */
struct remap_plan {
	const struct remap_request *req;
	enum remap_type type;
	unsigned long delta;       /* bytes by which the size changes */
	struct vma *vma;           /* at req->addr */
	unsigned long old_len;     /* of the source: new_len once it is shrunk */
	unsigned long new_addr;    /* chosen */
	struct area_around around; /* of new_addr, if clearing that found it */
	struct vma_reserve reserve;
	bool begun; /* the map is changed: memory comes from the reserve only */
};

/* Where a step's memory comes from: the first allocates it. */
static inline struct vma_reserve *remap_reserve(struct remap_plan *plan)
{
	return plan->begun ? &plan->reserve : NULL;
}

/* The source goes: not when nothing moves, nor when it stays behind empty. */
static inline bool remap_clears_source(const struct remap_plan *plan)
{
	return plan->old_len && !(plan->req->flags & MREMAP_DONTUNMAP);
}

/*
 * Before the first step: memory for so many stores after it, and page tables for the new place. 0
 * or -ENOMEM. Does nothing once the first step is done.
 */
int move_reserve(struct remap_plan *plan, unsigned int later) __must_check;
/* plan->vma's part goes to plan->new_addr, which is free. 0 or -errno. */
int move_vma(struct remap_plan *plan) __must_check;

#endif
