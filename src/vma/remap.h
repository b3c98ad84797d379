/* SPDX-License-Identifier: MIT */
/*
 * mremap: shrinking, growing and moving one VMA's part. mmap_lock is held for writing.
 *
 *   shrink    [addr ...... new_len)xxxxxx)      the rest is unmapped
 *   grow      [addr ... old_len)+++++++)        in place, if the VMA ends here and there is room
 *   move      [addr ... old_len)  ->  [new_addr ........ new_len)
 *             then the source is unmapped, or stays empty with MREMAP_DONTUNMAP
 *
 * Each of the steps of one call (clear the destination, shrink, insert, clear the
 * source) changes the map by one store. A reserve for all later ones is filled before
 * the first that is needed, so that a refused allocation changes nothing.
 */
#ifndef VMA_REMAP_H
#define VMA_REMAP_H

#include <sys/mman.h>

#include "vma/layout.h"
#include "vma/reserve.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum remap_type { REMAP_NO_RESIZE, REMAP_SHRINK, REMAP_EXPAND };

struct remap_desc {
	struct samara_mm *mm;
	unsigned long addr, old_len; /* whole pages */
	unsigned long new_addr, new_len;
	int flags; /* MREMAP_* */
	struct vma_dead *dead;

	struct vma *vma;           /* at addr */
	struct area_around around; /* of new_addr, where clearing it came by it */
	enum remap_type type;
	unsigned long delta; /* bytes by which the size changes */
	struct vma_reserve reserve;
	/* The map is changed: later steps draw on the reserve; page tables for what moves stay. */
	bool begun;
	unsigned long populate_from; /* what to fault in, when locked and grown */
	unsigned long populate_to;
};

/* The caller said where to: MREMAP_FIXED, or DONTUNMAP's hint. */
static inline bool remap_has_target(const struct remap_desc *r)
{
	return r->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
}

/* Where a step's memory comes from: the first gets it itself. */
static inline struct vma_reserve *remap_reserve(struct remap_desc *r)
{
	return r->begun ? &r->reserve : NULL;
}

/* The source goes: not when nothing moves, nor when it stays behind empty. */
static inline bool remap_clears_source(const struct remap_desc *r)
{
	return r->old_len && !(r->flags & MREMAP_DONTUNMAP);
}

/* The checks on r->vma (or NULL) and the limits; sets type and delta. 0 or -errno. */
int remap_check_vma(struct remap_desc *r) __must_check;

/* Without a target: in place if possible, else anywhere if MREMAP_MAYMOVE. An address or -errno. */
unsigned long remap_here(struct remap_desc *r);

/* With a target; what is there is unmapped first (MREMAP_FIXED). An address or -errno. */
unsigned long remap_there(struct remap_desc *r);

/*
 * move.c: before the first step: memory for so many stores after it, and page tables for the new
 * place. 0 or -ENOMEM.
 */
int move_prepare_steps(struct remap_desc *r, unsigned int later) __must_check;
/* move.c: r->vma's part goes to r->new_addr, which is free. 0 or -errno. */
int move_vma(struct remap_desc *r) __must_check;

#endif
