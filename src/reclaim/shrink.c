/* SPDX-License-Identifier: MIT */
/*
 * Which folios are looked at, and how many.
 *
 *              new, or back late             back soon (refault.c), used twice
 *                     |                                    |
 *                     v                                    v
 *   leaves <--- [cold  inactive  hot] <--- shorter ---- [cold  active  hot]
 *                     '-- used once: hot end again
 *                     '-- used more than once: active
 *
 * There is one pair of lists for pages of files (and for what may be dropped), one for anonymous
 * memory (and shared memory). One step:
 *
 *   1. A pair is chosen. Anonymous memory has a turn only where a slot is free, or a page has one
 *      already. Files have it while their inactive list is not short and holds a sixteenth of all:
 *      pages that were used once leave before anything that was used again. Else turns are shared,
 *      60 to 140 (Linux's swappiness of 60) weighted by what either has cost lately (lru_cost()).
 *   2. If its inactive list is short, a batch from the cold end of the active one goes to the hot
 *      end of the inactive one, used lately or not; accessed bits begin anew.
 *   3. A batch from the cold end of the inactive list, at most as many as are still wanted, is
 *      looked at (evict.c).
 *
 * An inactive list is short if the active one is longer than ratio times it: 1 below a GiB of both
 * together, else the root of ten times the GiBs, as in Linux.
 *
 * Steps go on until enough is free, or three times as many folios as the lists have were looked at:
 * after two looks each accessed bit and each FOLIO_REFERENCED is gone.
 */
#include "base/host.h"
#include "frame/vm_event.h"
#include "mmu/gather.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "store/file.h"

#define SWAPPINESS 60UL
#define SWAPPINESS_MAX 200UL
#define LOOKS 3UL
#define TURNS 256UL

struct scan {
	struct file_store *store;
	struct ram *ram;
	unsigned long want, freed, looked, budget;
};

static enum lru_list inactive_of(enum lru_type type)
{
	return type == LRU_ANON ? LRU_INACTIVE_ANON : LRU_INACTIVE_FILE;
}

static enum lru_list active_of(enum lru_type type)
{
	return type == LRU_ANON ? LRU_ACTIVE_ANON : LRU_ACTIVE_FILE;
}

static unsigned long pages_of(const struct ram *ram, enum lru_type type)
{
	return lru_size(ram, inactive_of(type)) + lru_size(ram, active_of(type));
}

static unsigned long root(unsigned long n)
{
	unsigned long r = 0;

	while ((r + 1) * (r + 1) <= n)
		r++;
	return r;
}

static bool inactive_is_short(const struct ram *ram, enum lru_type type)
{
	const unsigned long gib = pages_of(ram, type) >> (30 - ram_view(ram)->page_shift);
	const unsigned long ratio = gib ? root(10 * gib) : 1;

	return lru_size(ram, inactive_of(type)) * ratio < lru_size(ram, active_of(type));
}

/* whose turn ------------------------------------------------------------------------ */

static bool anon_can_leave(const struct file_store *store)
{
	return READ_ONCE(store->swap.free) > 0 || READ_ONCE(store->swap.cached) > 0;
}

static enum lru_type share_turns(struct file_store *store)
{
	const unsigned long anon_cost = lru_cost_of(store->ram, LRU_ANON);
	const unsigned long file_cost = lru_cost_of(store->ram, LRU_FILE);
	const unsigned long sum = anon_cost + file_cost + 1;
	const unsigned long anon = SWAPPINESS * sum / (anon_cost + 1);
	const unsigned long file = (SWAPPINESS_MAX - SWAPPINESS) * sum / (file_cost + 1);
	const unsigned long share = TURNS * anon / (anon + file);
	const unsigned long turn = atomic_add_return_relaxed(&store->reclaim.turn, share);

	return turn % TURNS < share ? LRU_ANON : LRU_FILE;
}

/* False: nothing can leave. */
static bool choose_type(const struct scan *s, enum lru_type *type)
{
	const unsigned long anon = anon_can_leave(s->store) ? pages_of(s->ram, LRU_ANON) : 0;
	const unsigned long file = pages_of(s->ram, LRU_FILE);

	if (!anon || !file) {
		*type = anon ? LRU_ANON : LRU_FILE;
		return anon + file;
	}
	if (!inactive_is_short(s->ram, LRU_FILE) &&
	    lru_size(s->ram, LRU_INACTIVE_FILE) >= (anon + file) / 16)
		*type = LRU_FILE;
	else
		*type = share_turns(s->store);
	return true;
}

/* one step --------------------------------------------------------------------------- */

/* Step 2. */
static void shorten_active(struct file_store *store, enum lru_type type)
{
	struct ram *ram = store->ram;
	struct folio *folio[RECLAIM_BATCH];
	const unsigned int n = lru_isolate(ram, active_of(type), RECLAIM_BATCH, folio);

	for (unsigned int i = 0; i < n; i++) {
		if (folio_trylock(folio[i])) {
			if (folio_maps(folio[i]))
				folio_referenced(store, folio[i]);
			folio_unlock_cached(store, folio[i]);
		}
		folio_test_clear(folio[i], FOLIO_ACTIVE);
		folio_set(folio[i], FOLIO_WORKINGSET);
	}
	lru_putback(ram, folio, n);
}

/* Those that leave are freed, the others put back. How many have left. */
static unsigned int evict_batch(struct file_store *store, struct folio **folio, unsigned int n,
				enum evict_how how, unsigned int *used)
{
	struct host_call writes;
	unsigned int kept = 0;

	*used = 0;
	if (!n)
		return 0;
	host_begin_grow(&writes);
	for (unsigned int i = 0; i < n; i++) {
		switch (folio_evict(store, folio[i], how)) {
		case EVICT_FREED:
			folio_put(store->ram, folio[i]);
			continue;
		case EVICT_USED:
		case EVICT_ACTIVE:
			++*used;
			break;
		case EVICT_KEPT:
		case EVICT_MLOCKED:
			break;
		}
		folio[kept++] = folio[i];
	}
	host_end(&writes);
	lru_putback(store->ram, folio, kept);
	if (n - kept)
		vm_event_add(store->ram, PGSTEAL, n - kept);
	return n - kept;
}

/* Step 3. How many were looked at. */
static unsigned int shrink_inactive(struct scan *s, enum lru_type type)
{
	struct folio *folio[RECLAIM_BATCH];
	const unsigned int most =
		(unsigned int)min((unsigned long)RECLAIM_BATCH, s->want - s->freed);
	const unsigned int n = lru_isolate(s->ram, inactive_of(type), most, folio);
	unsigned int used;

	if (!n)
		return 0;
	vm_event_add(s->ram, PGSCAN, n);
	s->looked += n;
	s->freed += evict_batch(s->store, folio, n, EVICT_UNUSED, &used);
	if (used)
		lru_cost(s->ram, type, used);
	return n;
}

static unsigned long budget_of(const struct ram *ram)
{
	return LOOKS * (pages_of(ram, LRU_ANON) + pages_of(ram, LRU_FILE));
}

/*
 * A locked mapping that was zapped just when a page was put aside leaves it there, though it could
 * go now. A few are looked at each time that reclaim fails.
 */
static void look_at_unevictable(struct file_store *store)
{
	struct folio *folio[RECLAIM_BATCH];
	const unsigned int n = lru_isolate(store->ram, LRU_UNEVICTABLE, RECLAIM_BATCH, folio);

	for (unsigned int i = 0; i < n; i++) {
		if (!folio_trylock(folio[i]))
			continue;
		folio_still_mlocked(store, folio[i]);
		folio_unlock_cached(store, folio[i]);
	}
	lru_putback(store->ram, folio, n);
}

/* lru_isolation() is held. */
static unsigned long shrink(struct file_store *store, unsigned long nr)
{
	struct scan s = { .store = store, .ram = store->ram, .want = nr };
	enum lru_type type;

	lru_drain(s.ram);
	refault_anon_leaves(s.ram, anon_can_leave(store));
	s.budget = budget_of(s.ram);
	while (s.freed < s.want && s.looked < s.budget && choose_type(&s, &type)) {
		if (inactive_is_short(s.ram, type))
			shorten_active(store, type);
		if (!shrink_inactive(&s, type))
			break;
	}
	if (!s.freed)
		look_at_unevictable(store);
	return s.freed;
}

unsigned long store_shrink(struct file_store *store, unsigned long nr)
{
	struct rwsem *isolation = lru_isolation(store->ram);
	unsigned long freed;

	down_read(isolation);
	freed = shrink(store, nr);
	up_read(isolation);
	return freed;
}

unsigned long store_shrink_alone(struct file_store *store, unsigned long nr)
{
	struct rwsem *isolation = lru_isolation(store->ram);
	unsigned long freed;

	down_write(isolation);
	freed = shrink(store, nr);
	up_write(isolation);
	return freed;
}

unsigned long reclaim_direct(struct samara_machine *machine, unsigned long nr)
{
	return store_shrink(machine->store, nr);
}

unsigned long reclaim_folios(struct samara_machine *machine, struct folio **folios, unsigned int n)
{
	unsigned int used;

	return evict_batch(machine->store, folios, n, EVICT_ANYWAY, &used);
}
