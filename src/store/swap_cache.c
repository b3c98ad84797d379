/* SPDX-License-Identifier: MIT */
/*
 * Entries of slots, and the folios in the swap cache.
 *
 *   find    RCU: load the word, try to get its frame's folio, load again: still the same, so it
 *           was the slot's while we had it
 *   put     the last entry goes while the folio is cached: it leaves too, unless a thread has it
 *           locked. That thread looks behind its unlocking: folio_unlock_cached()
 */
#include <errno.h>

#include "base/assert.h"
#include "store/swap_area.h"

#ifdef SAMARA_DEBUG
unsigned long swap_count_max = SWAP_COUNT_LIMIT;
#endif

/* A slot that stays used. */
static struct samara_swap *area_of(struct file_store *store, swp_entry_t entry)
{
	struct samara_swap *area = swap_area_at(store, swp_area(entry));

	BUG_ON(!area || swp_slot(entry) >= area->slots.nr);
	return area;
}

static uint64_t *word_of(struct file_store *store, swp_entry_t entry)
{
	return swap_word(area_of(store, entry), entry);
}

/* entries ---------------------------------------------------------------------------- */

bool swap_dup(struct file_store *store, swp_entry_t entry)
{
	uint64_t *word = word_of(store, entry), old = READ_ONCE(*word);

	do {
		VM_WARN_ON(slot_unnamed(old));
		if (unlikely(slot_count(old) >= SWAP_COUNT_MAX))
			return false;
	} while (!try_cmpxchg_weak_acq_rel(word, &old, old + SLOT_COUNT_ONE));
	return true;
}

unsigned long swap_count(struct file_store *store, swp_entry_t entry)
{
	return slot_count(smp_load_acquire(word_of(store, entry)));
}

/*
 * For a thread that has just unlocked the slot's folio. A change of nothing: it is seen by, or
 * sees, the change that made the count 0. An RCU section.
 */
static bool last_was_put(struct file_store *store, swp_entry_t entry)
{
	struct samara_swap *area = swap_area_at(store, swp_area(entry));

	return area && swp_slot(entry) < area->slots.nr &&
	       !slot_count(atomic_fetch_or_acq_rel(swap_word(area, entry), 0));
}

/*
 * folio, which the caller has a reference to, leaves the cache if no entry names its slot and it is
 * not locked. An RCU section.
 */
static void drop_alone(struct file_store *store, struct folio *folio, swp_entry_t entry)
{
	bool named;

	do {
		if (!folio_trylock(folio))
			return;
		named = swap_cache_is(folio, entry) && !swap_cache_free(store, folio);
		folio_unlock_unseen(folio);
	} while (named && last_was_put(store, entry));
}

/* The slot's folio, with a reference. An RCU section. */
static struct folio *find(struct samara_swap *area, uint64_t *word)
{
	const struct ram_view *ram = ram_view(area->store->ram);

	for (;;) {
		const uint64_t frame = smp_load_acquire(word) & SLOT_FRAME;
		struct folio *folio = &ram->folios[frame];

		if (!frame)
			return NULL;
		if (!folio_try_get(folio))
			continue;
		if (likely((smp_load_acquire(word) & SLOT_FRAME) == frame))
			return folio;
		folio_put(area->store->ram, folio);
	}
}

void swap_put(struct file_store *store, swp_entry_t entry)
{
	struct samara_swap *area;
	struct folio *folio;
	uint64_t *word, old, now;

	rcu_read_lock();
	area = area_of(store, entry);
	word = swap_word(area, entry);
	old = READ_ONCE(*word);
	do {
		BUG_ON(!slot_count(old));
		now = old - SLOT_COUNT_ONE;
	} while (!try_cmpxchg_weak_acq_rel(word, &old, now));
	if (slot_unnamed(now)) {
		swap_slot_free(area, swp_slot(entry));
	} else if (!slot_count(now)) {
		folio = find(area, word);
		if (folio) {
			drop_alone(store, folio, entry);
			folio_put(store->ram, folio);
		}
	}
	rcu_read_unlock();
}

/* the cache ---------------------------------------------------------------------------- */

struct folio *swap_cache_find(struct file_store *store, swp_entry_t entry)
{
	struct folio *folio = NULL;
	struct samara_swap *area;

	rcu_read_lock();
	area = swap_area_at(store, swp_area(entry));
	if (area && swp_slot(entry) < area->slots.nr) {
		uint64_t *word = swap_word(area, entry);

		folio = find(area, word);
		if (folio && (READ_ONCE(*word) & SLOT_AHEAD) &&
		    (atomic_fetch_and_acq_rel(word, ~SLOT_AHEAD) & SLOT_AHEAD))
			atomic_inc(&area->ahead.hits);
	}
	rcu_read_unlock();
	return folio;
}

/* folio is about to be found: what it is told by. */
static void enter(struct samara_swap *area, struct folio *folio, swp_entry_t entry)
{
	folio->mapping = swp_to_value(entry);
	folio_get(folio);
	folio_set(folio, FOLIO_SWAPCACHE);
	atomic_inc(&area->store->swap.cached);
}

static void leave(struct samara_swap *area, struct folio *folio, void *mapping)
{
	folio->mapping = mapping;
	folio_test_clear(folio, FOLIO_SWAPCACHE);
	atomic_dec(&area->store->swap.cached);
	folio_put(area->store->ram, folio);
}

/* Of those that have free slots: the highest priority, and of these the one served longest ago. */
static struct samara_swap *choose(struct swap_areas *areas, unsigned int tried)
{
	struct samara_swap *best = NULL;

	rcu_read_lock();
	for (unsigned int i = 0; i < SWAP_AREAS; i++) {
		struct samara_swap *area = rcu_dereference(areas->area[i]);
		const int prio = area ? READ_ONCE(area->order.prio) : 0;

		if (!area || tried & 1U << i)
			continue;
		if (!best || prio > READ_ONCE(best->order.prio) ||
		    (prio == READ_ONCE(best->order.prio) &&
		     READ_ONCE(area->order.served) < READ_ONCE(best->order.served)))
			best = area;
	}
	if (best && !refcount_inc_not_zero(&best->refs))
		best = NULL;
	rcu_read_unlock();
	return best;
}

static void end_turn(struct samara_swap *area)
{
	struct swap_order *order = &area->order;

	if (atomic_add_return_relaxed(&order->turn, 1) % SWAP_TURN)
		return;
	WRITE_ONCE(order->served, atomic_fetch_add_relaxed(&area->store->swap.served, 1) + 1);
}

/* A slot in the caller's hands, which keeps its area. */
static int take_slot(struct file_store *store, struct samara_swap **out, unsigned long *slot)
{
	struct samara_swap *area;
	unsigned int tried = 0;
	int err = -ENOSPC;

	while (err && READ_ONCE(store->swap.free) > 0 && (area = choose(&store->swap, tried))) {
		err = swap_slot_take(area, slot);
		if (!err)
			end_turn(area);
		tried |= 1U << area->number;
		*out = area;
		swap_area_put(area);
	}
	return err;
}

int swap_cache_add(struct file_store *store, struct folio *folio)
{
	struct samara_swap *area;
	unsigned long slot;
	int err;

	VM_WARN_ON(!folio_test(folio, FOLIO_LOCKED) || folio_test(folio, FOLIO_SWAPCACHE));
	err = take_slot(store, &area, &slot);
	if (err)
		return err;
	if (folio_test(folio, FOLIO_ANON))
		area->slots.family[slot] = folio->mapping;
	folio_set(folio, FOLIO_DIRTY | FOLIO_UPTODATE);
	enter(area, folio, mk_swp_entry(area->number, slot));
	smp_store_release(&area->slots.word[slot], SLOT_USED | folio_pfn(store->ram, folio));
	return 0;
}

int swap_cache_insert(struct samara_swap *area, unsigned long slot, struct folio *folio,
		      uint64_t flags)
{
	const uint64_t frame = folio_pfn(area->store->ram, folio);
	uint64_t *word = &area->slots.word[slot], old = READ_ONCE(*word);
	int err = 0;

	enter(area, folio, mk_swp_entry(area->number, slot));
	do {
		if (!slot_count(old))
			err = -ENOENT;
		else if (old & SLOT_FRAME)
			err = -EEXIST;
		else if (old & SLOT_BAD)
			err = -EIO;
		if (err) {
			leave(area, folio, NULL);
			return err;
		}
	} while (!try_cmpxchg_weak_acq_rel(word, &old, old | frame | flags));
	return 0;
}

void swap_cache_del(struct file_store *store, struct folio *folio)
{
	const swp_entry_t entry = folio_swap(folio);
	const unsigned long slot = swp_slot(entry);
	struct samara_swap *area;
	uint64_t *word, old, now;
	void *family;

	VM_WARN_ON(!folio_test(folio, FOLIO_LOCKED) || !folio_test(folio, FOLIO_SWAPCACHE));
	rcu_read_lock();
	area = area_of(store, entry);
	word = swap_word(area, entry);
	family = area->slots.family[slot];
	if (family)
		area->slots.family[slot] = NULL;
	leave(area, folio, family);
	old = READ_ONCE(*word);
	do
		now = old & ~(SLOT_FRAME | SLOT_AHEAD);
	while (!try_cmpxchg_weak_acq_rel(word, &old, now));
	if (slot_unnamed(now))
		swap_slot_free(area, slot);
	rcu_read_unlock();
}

bool swap_cache_free(struct file_store *store, struct folio *folio)
{
	if (!folio_test(folio, FOLIO_SWAPCACHE))
		return true;
	if (swap_count(store, folio_swap(folio)))
		return false;
	folio_set(folio, FOLIO_DIRTY);
	swap_cache_del(store, folio);
	return true;
}

void folio_unlock_cached(struct file_store *store, struct folio *folio)
{
	const swp_entry_t entry = folio_swap(folio);
	const bool cached = folio_test(folio, FOLIO_SWAPCACHE);

	folio_unlock_unseen(folio);
	if (!cached || folio_maps(folio))
		return;
	rcu_read_lock();
	if (last_was_put(store, entry))
		drop_alone(store, folio, entry);
	rcu_read_unlock();
}

void folio_leave_cache(struct file_store *store, struct folio *folio)
{
	if (!folio_try_get(folio))
		return;
	if (folio_test(folio, FOLIO_SWAPCACHE) && !folio_maps(folio) && folio_trylock(folio))
		folio_unlock_cached(store, folio);
	folio_put(store->ram, folio);
}

void swap_cache_replace(struct file_store *store, struct folio *folio, struct folio *by)
{
	const swp_entry_t entry = folio_swap(folio);
	struct samara_swap *area = area_of(store, entry);
	uint64_t *word = swap_word(area, entry), old = READ_ONCE(*word);

	VM_WARN_ON(!folio_test(folio, FOLIO_SWAPCACHE) || folio_test(by, FOLIO_SWAPCACHE));
	enter(area, by, entry);
	while (!try_cmpxchg_weak_acq_rel(word, &old,
					 (old & ~SLOT_FRAME) | folio_pfn(store->ram, by)))
		;
	leave(area, folio, NULL);
}

bool swap_slot_is_bad(struct file_store *store, const struct folio *folio)
{
	return smp_load_acquire(word_of(store, folio_swap(folio))) & SLOT_BAD;
}

void *swap_family(struct file_store *store, const struct folio *folio)
{
	const swp_entry_t entry = folio_swap(folio);

	return area_of(store, entry)->slots.family[swp_slot(entry)];
}

void swap_set_family(struct file_store *store, struct folio *folio, void *family)
{
	const swp_entry_t entry = folio_swap(folio);

	area_of(store, entry)->slots.family[swp_slot(entry)] = family;
}
