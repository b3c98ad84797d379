/* SPDX-License-Identifier: MIT */
/*
 * Zapping one entry, for those who put something else in its place.
 */
#ifndef RANGE_ZAP_H
#define RANGE_ZAP_H

#include "range/leaf.h"
#include "range/range.h"

struct zap {
	struct mmu_gather *tlb;
	struct vma *vma;
	enum zap_what what;
	struct rss_delta rss; /* the caller applies it */
};

/*
 * The entry of addr, which is not empty, leaves as far as z->what says. The leaf's lock is held.
 * True: the batch is full; as zap_range() does, flush what is delayed, drop the lock, flush the
 * rest.
 */
bool zap_entry(struct zap *z, struct table *leaf, unsigned long addr);

#endif
