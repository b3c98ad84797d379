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

/* One request under way. vma_remap() makes it; only the steps of remap.c and move.c change it. */
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

/* Where a store's memory comes from. NULL: it is allocated, as for the first store. */
static inline struct vma_reserve *remap_reserve(struct remap_plan *plan)
{
	return plan->begun ? &plan->reserve : NULL;
}

/* Whether the source is unmapped: MREMAP_DONTUNMAP keeps it, and old_len 0 has none. */
static inline bool remap_clears_source(const struct remap_plan *plan)
{
	return plan->old_len && !(plan->req->flags & MREMAP_DONTUNMAP);
}

/*
 * Before the first store: memory for that many later ones, and page tables for the new place. 0 or
 * -ENOMEM. Does nothing once the first store is done.
 */
int move_reserve(struct remap_plan *plan, unsigned int later) __must_check;
/* plan->vma's part goes to plan->new_addr, which is free. 0 or -errno. */
int move_vma(struct remap_plan *plan) __must_check;

#endif
