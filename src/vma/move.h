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

/*
 * What userfaultfds are told behind UNMAP of the target, in this order. Filled in by
 * move_reserve(), where something may be told.
 */
struct remap_events {
	struct uffd_events remap;
	struct uffd_events tail; /* UNMAP of what is shrunk, when a target is given */
	struct uffd_events source;
	bool tail_gone; /* so it is told whatever comes */
};

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
	struct remap_events *events;
	bool told;  /* events are filled in */
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
 * Before the first store: memory for that many later ones, page tables for the new place, and
 * events. 0 or -ENOMEM; vma_remap() gives back what was had. Does nothing once the first store is
 * done.
 */
int move_reserve(struct remap_plan *plan, unsigned int later) __must_check;
/* plan->vma's part goes to plan->new_addr, which is free. 0 or -errno. */
int move_vma(struct remap_plan *plan) __must_check;

#endif
