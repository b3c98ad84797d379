/* SPDX-License-Identifier: MIT */
/*
 * mremap: shrinking, growing and moving one VMA's part. mmap_lock is held for writing.
 *
 *   shrink    [addr ...... new_len)xxxxxx)      the rest is unmapped
 *   grow      [addr ... old_len)+++++++)        in place, if the VMA ends here and there is room
 *   move      [addr ... old_len)  ->  [new_addr ........ new_len)
 *             then the source is unmapped, or stays empty with MREMAP_DONTUNMAP
 *
 * The steps of one call (clear the destination, shrink, insert, clear the source) change the map by
 * one store each. The first one allocates its memory. Before it, a reserve is filled for all later
 * ones, so that a refused allocation changes nothing. A limit that is asked between two steps can
 * refuse, as in Linux: the earlier step stays done.
 */
#ifndef VMA_REMAP_H
#define VMA_REMAP_H

#include <sys/mman.h>

#include "core/mm.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct remap_request {
	struct samara_mm *mm;
	unsigned long addr, old_len; /* whole pages */
	unsigned long new_addr, new_len;
	int flags;             /* MREMAP_* */
	struct vma_dead *dead; /* where VMAs that leave go */
};

struct remap_result {
	unsigned long addr;
	unsigned long populate_from, populate_to; /* locked memory that has grown */
};

/* The caller said where to: MREMAP_FIXED, or DONTUNMAP's hint. */
static inline bool remap_has_target(const struct remap_request *req)
{
	return req->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
}

/*
 * The part lies in one VMA, vma (NULL: nothing is mapped at addr). 0, and then *result is filled;
 * or what mremap(2) answers.
 */
int vma_remap(const struct remap_request *req, struct vma *vma,
	      struct remap_result *result) __must_check;

#endif
