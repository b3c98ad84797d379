/* SPDX-License-Identifier: MIT */
/*
 * The LRU lists: which folios have not been used for long.
 *
 *   lru_add --> batch (one of 8, by thread) --29 at a time--> list
 *
 *   list.cold --> frame <--> frame <--> frame <-- list.hot
 *                 isolated first              added here
 *
 * A folio's kind says whether it waits in a batch (and where), or is on a list
 * (and on which: its flags may have changed meanwhile). Both have FOLIO_LRU. A folio
 * that is freed leaves, wherever it is. One that another thread is just freeing has no
 * reference left to get, and lru_isolate() leaves it where it is.
 *
 * Locks: a batch's, then the lru lock (both RANK_LRU, always in this order). The links
 * change under the lock of where the folio is; from a batch to its list under both.
 * FOLIO_LRU is set after the links and cleared after them: a thread that finds it with no
 * place to look has met another thread between the two, and looks again.
 */
#include "frame/ram.h"

static bool is_listed(const struct folio *folio)
{
	return frame_kind(folio) >= FRAME_LISTED;
}

static unsigned int list_of(unsigned int flags)
{
	if (flags & FOLIO_MLOCKED)
		return LRU_UNEVICTABLE;
	return (flags & FOLIO_SWAPBACKED ? LRU_INACTIVE_ANON : LRU_INACTIVE_FILE) +
	       (flags & FOLIO_ACTIVE ? 1 : 0);
}

/* lists: the lru lock is held -------------------------------------------------------- */

static void list_append(struct ram *ram, uint32_t pfn)
{
	struct folio *folio = frame_at(ram, pfn);
	const unsigned int list = list_of(folio_flags(folio));
	struct lru_ends *ends = &ram->lru.list[list];

	spin_assert_held(&ram->lru.lock);
	link_set_next(folio, 0);
	link_set_prev(folio, FRAME_LISTED + list, ends->hot);
	if (ends->hot)
		link_set_next(frame_at(ram, ends->hot), pfn);
	else
		ends->cold = pfn;
	ends->hot = pfn;
	WRITE_ONCE(ends->count, ends->count + 1);
}

static void list_remove(struct ram *ram, struct folio *folio)
{
	const unsigned int kind = frame_kind(folio);
	struct lru_ends *ends = &ram->lru.list[kind - FRAME_LISTED];
	const uint32_t prev = link_prev(folio), next = link_next(folio);

	spin_assert_held(&ram->lru.lock);
	if (prev)
		link_set_next(frame_at(ram, prev), next);
	else
		ends->cold = next;
	if (next)
		link_set_prev(frame_at(ram, next), kind, prev);
	else
		ends->hot = prev;
	WRITE_ONCE(ends->count, ends->count - 1);
	link_set_prev(folio, FRAME_USED, 0);
}

/* batches --------------------------------------------------------------------- */

static void batch_flush(struct ram *ram, struct lru_batch *b)
{
	spin_assert_held(&b->lock);
	spin_lock_nested(&ram->lru.lock, RANK_LRU); /* after the batch's */
	for (unsigned int i = 0; i < b->nr; i++) {
		if (b->pfn[i])
			list_append(ram, b->pfn[i]);
	}
	WRITE_ONCE(b->nr, 0);
	spin_unlock(&ram->lru.lock);
}

/* False: it does not wait in a batch (any more). */
static bool batch_remove(struct ram *ram, struct folio *folio)
{
	const uint32_t where = READ_ONCE(folio->lru_prev);
	struct lru_batch *b = &ram->lru.batch[(where & LINK_MASK) % RAM_SHARDS];
	bool found;

	if (where >> LINK_BITS != FRAME_WAITING)
		return false;
	spin_lock(&b->lock, RANK_LRU);
	found = READ_ONCE(folio->lru_prev) == where;
	if (found) {
		unsigned int nr = b->nr;

		b->pfn[link_next(folio)] = 0;
		while (nr && !b->pfn[nr - 1])
			nr--;
		WRITE_ONCE(b->nr, nr);
		link_set_prev(folio, FRAME_USED, 0);
	}
	spin_unlock(&b->lock);
	return found;
}

/* False: it is not on a list (any more, or yet). */
static bool remove_listed(struct ram *ram, struct folio *folio)
{
	bool found;

	spin_lock(&ram->lru.lock, RANK_LRU);
	found = is_listed(folio);
	if (found)
		list_remove(ram, folio);
	spin_unlock(&ram->lru.lock);
	return found;
}

void lru_add(struct ram *ram, struct folio *folio)
{
	const unsigned int number = shard_number();
	struct lru_batch *b = &ram->lru.batch[number];
	unsigned int place;

	if (VM_WARN_ON(folio_test(folio, FOLIO_LRU)))
		return;
	spin_lock(&b->lock, RANK_LRU);
	place = b->nr;
	b->pfn[place] = (uint32_t)folio_pfn(ram, folio);
	WRITE_ONCE(b->nr, place + 1);
	link_set_next(folio, place);
	link_set_prev(folio, FRAME_WAITING, number);
	folio_set(folio, FOLIO_LRU); /* last: a thread that sees it finds the links */
	if (b->nr == LRU_BATCH)
		batch_flush(ram, b);
	spin_unlock(&b->lock);
}

struct rwsem *lru_isolation(struct ram *ram) { return &ram->lru.isolated; }

bool lru_isolate_folio(struct ram *ram, struct folio *folio)
{
	while (folio_test(folio, FOLIO_LRU)) {
		if (batch_remove(ram, folio) || remove_listed(ram, folio)) {
			folio_test_clear(folio, FOLIO_LRU);
			return true;
		}
	}
	return false;
}

void lru_del(struct ram *ram, struct folio *folio)
{
	(void)!lru_isolate_folio(ram, folio);
}

/*
 * The lock is taken even for one that waits: a flush that has read the old flags has
 * it on its list by then, and a later one reads the new ones.
 */
void lru_move(struct ram *ram, struct folio *folio)
{
	spin_lock(&ram->lru.lock, RANK_LRU);
	if (is_listed(folio)) {
		list_remove(ram, folio);
		list_append(ram, (uint32_t)folio_pfn(ram, folio));
	}
	spin_unlock(&ram->lru.lock);
}

void lru_drain(struct ram *ram)
{
	for (unsigned int i = 0; i < RAM_SHARDS; i++) {
		struct lru_batch *b = &ram->lru.batch[i];

		if (!READ_ONCE(b->nr))
			continue;
		spin_lock(&b->lock, RANK_LRU);
		batch_flush(ram, b);
		spin_unlock(&b->lock);
	}
}

/*
 * First those that wait, for which a batch's lock is needed, then all that are on
 * lists at once. None comes back meanwhile, as only its freer knows it. FOLIO_LRU
 * stays: all of the state goes next.
 */
void lru_forget(struct ram *ram, struct folio **folios, unsigned int n)
{
	unsigned int listed = 0;

	for (unsigned int i = 0; i < n; i++)
		listed += folio_test(folios[i], FOLIO_LRU) && !batch_remove(ram, folios[i]);
	if (!listed)
		return;
	spin_lock(&ram->lru.lock, RANK_LRU);
	for (unsigned int i = 0; i < n; i++) {
		if (is_listed(folios[i]))
			list_remove(ram, folios[i]);
	}
	spin_unlock(&ram->lru.lock);
}

unsigned int lru_isolate(struct ram *ram, enum lru_list list, unsigned int n, struct folio **out)
{
	unsigned int got = 0;
	uint32_t pfn;

	lru_drain(ram);
	spin_lock(&ram->lru.lock, RANK_LRU);
	pfn = ram->lru.list[list].cold;
	while (pfn && got < n) {
		struct folio *folio = frame_at(ram, pfn);

		pfn = link_next(folio);
		if (!folio_try_get(folio))
			continue; /* about to be freed */
		list_remove(ram, folio);
		folio_test_clear(folio, FOLIO_LRU);
		out[got++] = folio;
	}
	spin_unlock(&ram->lru.lock);
	return got;
}

/* putting back ------------------------------------------------------------------ */

void lru_putback(struct ram *ram, struct folio **folios, unsigned int n)
{
	if (!n)
		return;
	spin_lock(&ram->lru.lock, RANK_LRU);
	for (unsigned int i = 0; i < n; i++) {
		VM_WARN_ON(folio_test(folios[i], FOLIO_LRU));
		list_append(ram, (uint32_t)folio_pfn(ram, folios[i]));
		folio_set(folios[i], FOLIO_LRU); /* last, as in lru_add() */
	}
	spin_unlock(&ram->lru.lock);
	for (unsigned int i = 0; i < n; i++)
		folio_put(ram, folios[i]);
}

unsigned long lru_size(const struct ram *ram, enum lru_list list)
{
	return READ_ONCE(ram->lru.list[list].count);
}

/* use --------------------------------------------------------------------------- */

void folio_activate(struct ram *ram, struct folio *folio)
{
	if (folio_test(folio, FOLIO_ACTIVE))
		return;
	folio_set(folio, FOLIO_ACTIVE);
	folio_test_clear(folio, FOLIO_REFERENCED);
	lru_move(ram, folio);
	atomic_inc(&ram->refaults.age);
}

void folio_mark_accessed(struct ram *ram, struct folio *folio)
{
	const unsigned int flags = folio_flags(folio);

	if (!(flags & FOLIO_REFERENCED))
		folio_set(folio, FOLIO_REFERENCED);
	else if (!(flags & FOLIO_ACTIVE))
		folio_activate(ram, folio);
}
