/* SPDX-License-Identifier: MIT */
/*
 * A guest that runs an mm by <samara/backend.h>, for one thread to use it.
 *
 * It keeps what it may as long as it may: flush() changes its map only, and it goes on with what it
 * remembers of a page until wait(). Whenever it uses a frame, the frame must be mapped.
 *
 *   use    remembered, or map[page], else samara_fault_in() and stale?   --> the frame's word
 *   flush  map[page] loses rights          wait   nothing is remembered, no use is under way
 */
#ifndef SAMARA_TEST_SCHEDULE_BACKEND_GUEST_H
#define SAMARA_TEST_SCHEDULE_BACKEND_GUEST_H

#include "schedule/world.h"

#include <errno.h>
#include <string.h>

#include <samara/backend.h>

#include "base/lock.h"
#include "base/nap.h"
#include "core/mm.h"
#include "frame/frame.h"

struct guest {
	struct samara_spinlock lock; /* RANK_EVENT: above all that an op is called with */
	struct samara_mm *mm;
	struct samara_unit *unit;
	struct samara_translation map[WORLD_PAGES];        /* lock */
	struct samara_translation remembered[WORLD_PAGES]; /* lock */
	unsigned long uses;                                /* lock; odd: a use is under way */
	bool moves;                                        /* what moved() can */
};

static inline void forget(struct samara_translation *t, unsigned int rights)
{
	t->rights &= ~rights;
}

static inline void op_flush(void *priv, unsigned long start, unsigned long end,
			    enum samara_lost lost)
{
	struct guest *g = priv;

	spin_lock(&g->lock, RANK_EVENT);
	for (unsigned long page = 0; page < WORLD_PAGES; page++)
		if (PG(page) >= start && PG(page) <= end - 1)
			forget(&g->map[page], lost == SAMARA_LOST_ALL ? ~0U : SAMARA_RIGHT_WRITE);
	spin_unlock(&g->lock);
}

/* Nothing is remembered but what the map says; returns the use that is under way, or 0. */
static inline unsigned long remember_map(struct guest *g)
{
	spin_assert_held(&g->lock);
	memcpy(g->remembered, g->map, sizeof(g->map));
	return g->uses & 1 ? g->uses : 0;
}

static inline void use_ends(struct guest *g, unsigned long use)
{
	bool on = use;

	for (unsigned long round = 0; on; round++) {
		nap_between_looks(round);
		spin_lock(&g->lock, RANK_EVENT);
		on = g->uses == use;
		spin_unlock(&g->lock);
	}
}

static inline void op_wait(void *priv)
{
	struct guest *g = priv;
	unsigned long use;

	spin_lock(&g->lock, RANK_EVENT);
	use = remember_map(g);
	spin_unlock(&g->lock);
	use_ends(g, use);
}

static inline int op_moved(void *priv, const struct samara_translation *t)
{
	struct guest *g = priv;
	unsigned long use;

	if (!g->moves)
		return 0;
	spin_lock(&g->lock, RANK_EVENT);
	g->map[t->addr / WORLD_PAGE] = *t;
	use = remember_map(g);
	spin_unlock(&g->lock);
	use_ends(g, use);
	return 1;
}

static inline unsigned int right_for(enum samara_access kind)
{
	return kind == SAMARA_ACCESS_WRITE ? SAMARA_RIGHT_WRITE : SAMARA_RIGHT_READ;
}

/* A use begins, of the frame that *pfn becomes. False: the page has to be faulted in. */
static inline bool use_begin(struct guest *g, unsigned long page, enum samara_access kind,
			     unsigned long *pfn)
{
	const unsigned int right = right_for(kind);
	bool may = true;

	spin_lock(&g->lock, RANK_EVENT);
	if (!(g->remembered[page].rights & right)) {
		may = g->map[page].rights & right;
		g->remembered[page] = g->map[page];
	}
	*pfn = g->remembered[page].pfn;
	g->uses += may;
	spin_unlock(&g->lock);
	return may;
}

static inline void use_end(struct guest *g)
{
	spin_lock(&g->lock, RANK_EVENT);
	g->uses++;
	spin_unlock(&g->lock);
}

/* Lock, ask whether it is stale, map, unlock. */
static inline void map_page(struct guest *g, const struct samara_translation *t)
{
	spin_lock(&g->lock, RANK_EVENT);
	if (!samara_translation_stale(g->mm, t)) {
		g->map[t->addr / WORLD_PAGE] = *t;
		g->remembered[t->addr / WORLD_PAGE] = *t;
	}
	spin_unlock(&g->lock);
}

static inline void use_word(struct guest *g, unsigned long pfn, unsigned int word, uint64_t *load,
			    uint64_t store)
{
	struct ram *ram = g->mm->machine->ram;
	uint64_t *at = (uint64_t *)pfn_to_virt(ram, pfn) + word;

	/* It is on its way back to its owner only once no use is left. */
	schedule_require(pfn == ZERO_FRAME || folio_maps(pfn_folio(ram, pfn)));
	if (load)
		*load = __atomic_load_n(at, __ATOMIC_ACQUIRE);
	else
		__atomic_store_n(at, store, __ATOMIC_RELEASE);
	schedule_require(pfn == ZERO_FRAME || folio_maps(pfn_folio(ram, pfn)));
}

/* load NULL: a store. False: a signal. */
static inline bool guest_use(struct guest *g, unsigned long page, unsigned int word, uint64_t *load,
			     uint64_t store)
{
	const enum samara_access kind = load ? SAMARA_ACCESS_READ : SAMARA_ACCESS_WRITE;
	struct samara_translation t;
	unsigned long pfn;
	int err;

	while (!use_begin(g, page, kind, &pfn)) {
		err = samara_fault_in(g->mm, PG(page), kind, 0, &t, NULL);
		schedule_require(!err || err == -EFAULT);
		if (err)
			return false;
		map_page(g, &t);
	}
	use_word(g, pfn, word, load, store);
	use_end(g);
	return true;
}

static const struct samara_unit_ops guest_ops = {
	.size = sizeof(guest_ops),
	.flush = op_flush,
	.moved = op_moved,
	.wait = op_wait,
};

#endif
