/* SPDX-License-Identifier: MIT */
/*
 * How many migration entries (mmu/pte.h) name a folio that migrates (rmap/migrate.c). They are not
 * maps. Such a folio is on no list, so the count lies in lru_next. frame.h includes this.
 *
 * The count changes under the lock of the leaf that holds the entry. It means nothing for a folio
 * that no migration entry names.
 */
#ifndef FRAME_MOVING_H
#define FRAME_MOVING_H

#include "frame/frame.h"

static inline unsigned long folio_moving(const struct folio *folio)
{
	return READ_ONCE(folio->lru_next);
}

/* One more: fork. False: too many do. */
static inline __must_check bool folio_try_moving(struct folio *folio)
{
	if (likely(atomic_fetch_add_relaxed(&folio->lru_next, 1) < FOLIO_MAPS_MAX))
		return true;
	atomic_sub(&folio->lru_next, 1);
	return false;
}

/* One less: the entry is zapped, or is a page's again. */
static inline void folio_moved(struct folio *folio)
{
	atomic_sub(&folio->lru_next, 1);
}

#endif
