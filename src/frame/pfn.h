/* SPDX-License-Identifier: MIT */
/*
 * Frames by number: for what looks at memory itself, not at a page of it (compaction, bad memory).
 */
#ifndef FRAME_PFN_H
#define FRAME_PFN_H

#include "frame/frame.h"

/* The folio that frame pfn belongs to, with a reference; NULL: free, or it comes or goes now. */
struct folio *folio_get_pfn(struct ram *ram, unsigned long pfn) __must_check;
/*
 * Each frame of [first, first + n) that is free becomes a folio of its own in out, with one
 * reference and any bytes; how many. It is no allocation that can be refused. Takes all RANK_FRAME
 * locks.
 */
unsigned int ram_take_free(struct ram *ram, unsigned long first, unsigned int n,
			   struct folio **out) __must_check;
/*
 * Whether frame pfn has left for good: a folio with FOLIO_POISONED was freed there. All frames of
 * the folio go.
 */
bool ram_is_poisoned(const struct ram *ram, unsigned long pfn);

#endif
