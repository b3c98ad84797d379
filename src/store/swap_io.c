/* SPDX-License-Identifier: MIT */
/*
 * Bytes between folios and slots.
 *
 * A folio that is read is in the cache first, locked: a thread that finds it waits for the lock.
 * One that cannot be read is out of the cache again before its lock is dropped.
 *
 * Read ahead are slots that are used and not in memory: those of the aligned window around the
 * wanted slot, and those of the pages in the aligned window around its page. The window is doubled
 * where at least half of what was read ahead has been asked for since the last look, and where
 * slots are asked for one after the other. It is halved, down to the slot alone, where less has
 * been: pages that are read in vain take the place of others.
 *
 * Locks: the folios' that are read or written, no other.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "frame/vm_event.h"
#include "store/swap_area.h"

/* Folios of neighbouring slots that are read together. */
struct batch {
	struct samara_swap *area;
	unsigned long first;              /* slot of page[0] */
	struct folio *folio[SWAP_WINDOW]; /* locked; NULL: not to be read */
	unsigned int wanted;              /* which one the caller needs */
};

/* one folio ---------------------------------------------------------------------------- */

/* Whether nobody had it locked, so that several may be prepared without an order. */
static bool lock_fresh(struct folio *folio, bool wait)
{
	if (!wait)
		return folio_trylock(folio);
	folio_lock(folio);
	return true;
}

enum prepare { PREPARE_WANTED, PREPARE_AHEAD };

/* A new folio for slot, locked and in the cache, to be read. As swap_cache_insert(); -ENOMEM. */
static int prepare(struct samara_swap *area, unsigned long slot, enum prepare how,
		   struct folio **out)
{
	struct ram *ram = area->store->ram;
	struct folio *folio = folio_alloc(ram, 0, FOLIO_RAW);
	int err = -EEXIST;

	if (!folio)
		return -ENOMEM;
	/* A walk over frames may hold the lock for a moment. */
	if (lock_fresh(folio, how == PREPARE_WANTED)) {
		folio_set(folio, FOLIO_SWAPBACKED);
		err = swap_cache_insert(area, slot, folio, how == PREPARE_AHEAD ? SLOT_AHEAD : 0);
		if (!err) {
			if (how == PREPARE_AHEAD)
				atomic_inc(&area->ahead.read);
			*out = folio;
			return 0;
		}
		folio_unlock(folio);
	}
	folio_put(ram, folio);
	return err;
}

/* It is read, or failed to be. Unlocked; the caller's reference stays. */
static void finish(struct samara_swap *area, struct folio *folio, int err)
{
	if (err) {
		swap_cache_del(area->store, folio);
		folio_unlock(folio);
		return;
	}
	folio_set(folio, FOLIO_UPTODATE);
	folio_refaulted(area->store->ram, folio);
	lru_add(area->store->ram, folio);
	folio_unlock_cached(area->store, folio);
}

static bool is_zero_slot(const struct samara_swap *area, unsigned long slot)
{
	return smp_load_acquire(&area->slots.word[slot]) & SLOT_ZERO;
}

/* Positive numbers of a careless backend are errors too. */
static int backend_read(struct samara_swap *area, unsigned long slot, unsigned int n, void **pages)
{
	return area->behind.ops->read(area, slot, n, pages) ? -EIO : 0;
}

/* a batch ---------------------------------------------------------------------------- */

/* Slots [from, from + n) of the batch, none of which is of zeros. */
static void read_run(struct batch *batch, unsigned int from, unsigned int n, int *errs)
{
	struct ram *ram = batch->area->store->ram;
	void *pages[SWAP_WINDOW];
	int err;

	for (unsigned int i = 0; i < n; i++)
		pages[i] = folio_virt(ram, batch->folio[from + i]);
	err = backend_read(batch->area, batch->first + from, n, pages);
	for (unsigned int i = 0; i < n; i++)
		errs[from + i] = err && n > 1 ? backend_read(batch->area, batch->first + from + i,
							     1, &pages[i]) :
						err;
	vm_event_add(ram, PSWPIN, n);
}

/* All of it is read and unlocked; the references of all but the wanted one are put. 0 or -EIO. */
static int read_batch(struct batch *batch)
{
	struct ram *ram = batch->area->store->ram;
	int errs[SWAP_WINDOW] = { 0 };

	for (unsigned int i = 0, n; i < SWAP_WINDOW; i += n) {
		for (n = 0; i + n < SWAP_WINDOW && batch->folio[i + n] &&
			    !is_zero_slot(batch->area, batch->first + i + n);
		     n++)
			;
		if (n) {
			read_run(batch, i, n, errs);
			continue;
		}
		n = 1;
		if (batch->folio[i])
			memset(folio_virt(ram, batch->folio[i]), 0,
			       1UL << ram_view(ram)->page_shift);
	}
	for (unsigned int i = 0; i < SWAP_WINDOW; i++) {
		if (!batch->folio[i])
			continue;
		finish(batch->area, batch->folio[i], errs[i]);
		if (i != batch->wanted || errs[i])
			folio_put(ram, batch->folio[i]);
	}
	return errs[batch->wanted];
}

/* ahead ------------------------------------------------------------------------------- */

/* Used, and not in memory. */
static bool worth_reading(const struct samara_swap *area, unsigned long slot)
{
	const uint64_t word = smp_load_acquire(&area->slots.word[slot]);

	return slot_count(word) && !(word & (SLOT_FRAME | SLOT_BAD));
}

/* How many slots are read together around slot, a power of two. */
static unsigned int window_of(struct samara_swap *area, unsigned long slot)
{
	struct swap_ahead *ahead = &area->ahead;
	const unsigned long last = xchg(&ahead->last, slot);
	const unsigned int hits = xchg(&ahead->hits, 0), read = xchg(&ahead->read, 0);
	const unsigned int window = READ_ONCE(ahead->window);
	const unsigned long step = slot > last ? slot - last : last - slot;
	unsigned int now = window;

	if (step <= window || (hits && hits * 2 >= read))
		now = min(window * 2, SWAP_WINDOW);
	else if (read)
		now = max(window / 2, 1U);
	WRITE_ONCE(ahead->window, now);
	return now;
}

/* The neighbours of the wanted slot, as far as frames are free. */
static void prepare_window(struct batch *batch, unsigned int window)
{
	const unsigned long slot = batch->first + batch->wanted;
	const unsigned int from = (unsigned int)(slot & ~(unsigned long)(window - 1)) % SWAP_WINDOW;

	for (unsigned int i = from; i < from + window; i++) {
		const unsigned long at = batch->first + i;

		if (i == batch->wanted || at >= batch->area->slots.nr ||
		    !worth_reading(batch->area, at))
			continue;
		if (prepare(batch->area, at, PREPARE_AHEAD, &batch->folio[i]) == -ENOMEM)
			return;
	}
}

static struct batch batch_at(struct samara_swap *area, unsigned long slot)
{
	return (struct batch){
		.area = area,
		.first = slot & ~(unsigned long)(SWAP_WINDOW - 1),
		.wanted = (unsigned int)(slot % SWAP_WINDOW),
	};
}

/* False: no frame is free. */
static bool read_alone(struct file_store *store, swp_entry_t entry)
{
	struct samara_swap *area = swap_area_get(store, swp_area(entry));
	const unsigned long slot = swp_slot(entry);
	int err = -ENOENT;

	if (!area)
		return true;
	if (slot < area->slots.nr && worth_reading(area, slot)) {
		struct batch batch = batch_at(area, slot);
		struct folio **folio = &batch.folio[batch.wanted];

		err = prepare(area, slot, PREPARE_AHEAD, folio);
		if (!err && !read_batch(&batch))
			folio_put(store->ram, *folio);
	}
	swap_area_put(area);
	return err != -ENOMEM;
}

static void read_around(struct file_store *store, const struct swap_around *around,
			unsigned int window)
{
	const unsigned int first = ALIGN_DOWN(around->wanted, window);

	for (unsigned int i = first; i < first + window; i++)
		if (!swp_none(around->entry[i]) && !read_alone(store, around->entry[i]))
			return;
}

/* reading ---------------------------------------------------------------------------- */

/* The slot is not in memory. As swap_read(), or -EEXIST: it is now. */
static int read_slot(struct samara_swap *area, unsigned long slot, struct folio **out)
{
	struct batch batch = batch_at(area, slot);
	int err = prepare(area, slot, PREPARE_WANTED, &batch.folio[batch.wanted]);

	if (err)
		return err;
	prepare_window(&batch, window_of(area, slot));
	err = read_batch(&batch);
	*out = batch.folio[batch.wanted];
	return err;
}

/* Wait until folio, found as that of entry, is read. False: it is not the entry's any more. */
static bool wait_read(struct file_store *store, struct folio *folio, swp_entry_t entry)
{
	bool here;

	if (folio_test(folio, FOLIO_UPTODATE))
		return true;
	folio_lock(folio);
	here = swap_cache_is(folio, entry) && folio_test(folio, FOLIO_UPTODATE);
	folio_unlock_cached(store, folio);
	return here;
}

static int read_in_area(struct samara_swap *area, swp_entry_t entry, struct folio **out,
			bool *major)
{
	struct file_store *store = area->store;
	int err = -EEXIST;

	if (swp_slot(entry) >= area->slots.nr)
		return -ENOENT;
	while (err == -EEXIST) {
		*out = swap_cache_find(store, entry);
		if (!*out) {
			err = read_slot(area, swp_slot(entry), out);
			*major |= !err;
		} else if (wait_read(store, *out, entry)) {
			err = 0;
		} else {
			folio_put(store->ram, *out);
		}
	}
	return err;
}

int swap_read(struct file_store *store, swp_entry_t entry, const struct swap_around *around,
	      struct folio **out, bool *major)
{
	struct samara_swap *area = swap_area_get(store, swp_area(entry));
	bool read = false;
	int err;

	if (!area)
		return -ENOENT;
	err = read_in_area(area, entry, out, &read);
	if (read && around)
		read_around(store, around, READ_ONCE(area->ahead.window));
	swap_area_put(area);
	*major |= read;
	return err;
}

/* writing ---------------------------------------------------------------------------- */

static bool is_zeros(const void *page, size_t size)
{
	const uint64_t *words = page;
	uint64_t any = 0;

	for (size_t i = 0; i < size / sizeof(*words) && !any; i += 8)
		for (size_t k = 0; k < 8; k++)
			any |= READ_ONCE(words[i + k]);
	return !any;
}

/* The page is all zeros: the word says so. */
static void store_zeros(struct samara_swap *area, unsigned long slot)
{
	uint64_t *word = &area->slots.word[slot];

	if ((READ_ONCE(*word) & SLOT_STORED) && area->behind.ops->forget)
		area->behind.ops->forget(area, slot);
	atomic_fetch_and_acq_rel(word, ~SLOT_STORED);
	atomic_fetch_or_acq_rel(word, SLOT_ZERO);
}

static int store_bytes(struct samara_swap *area, unsigned long slot, const void *page)
{
	uint64_t *word = &area->slots.word[slot];

	atomic_fetch_and_acq_rel(word, ~SLOT_ZERO);
	atomic_fetch_or_acq_rel(word, SLOT_STORED);
	if (!area->behind.ops->write(area, slot, page)) {
		vm_event_add(area->store->ram, PSWPOUT, 1);
		return 0;
	}
	atomic_fetch_or_acq_rel(word, SLOT_BAD);
	return -EIO;
}

int swap_write(struct file_store *store, struct folio *folio)
{
	const swp_entry_t entry = folio_swap(folio);
	const void *page = folio_virt(store->ram, folio);
	struct samara_swap *area = swap_area_at(store, swp_area(entry));
	int err = 0;

	VM_WARN_ON(!folio_test(folio, FOLIO_LOCKED) || !folio_test(folio, FOLIO_SWAPCACHE));
	if (smp_load_acquire(swap_word(area, entry)) & SLOT_BAD)
		return -EIO;
	/* Before the bytes are looked at: a store after that makes it dirty again. */
	if (!folio_test_clear(folio, FOLIO_DIRTY))
		return 0;
	if (is_zeros(page, 1UL << ram_view(store->ram)->page_shift))
		store_zeros(area, swp_slot(entry));
	else
		err = store_bytes(area, swp_slot(entry), page);
	if (err)
		folio_set(folio, FOLIO_DIRTY);
	return err;
}
