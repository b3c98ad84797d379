/* SPDX-License-Identifier: MIT */
/*
 * Random calls on swap areas against a model: pages with a stamp, how many entries name each, and
 * whether it may be in memory.
 */
#include <errno.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "support/random.h"
#include "support/swap_box.h"

#define PAGES 400
#define AREAS 3

struct page {
	swp_entry_t entry; /* none: the page does not exist */
	unsigned long stamp, count;
	bool written; /* its slot has the bytes of stamp */
};

struct world {
	struct store_box *box;
	struct samara_swap *area[AREAS];
	struct swap_disk disk[AREAS];
	struct page page[PAGES];
	unsigned long stamps;
	struct rng rng;
};

static unsigned long any_stamp(struct world *w)
{
	return rng_one_in(&w->rng, 8) ? 0 : ++w->stamps;
}

/* A read or write of any area fails soon. */
static void make_fail(struct world *w)
{
	struct swap_disk *disk = &w->disk[rng_below(&w->rng, AREAS)];

	if (rng_one_in(&w->rng, 2))
		disk->fail_read.nth = rng_between(&w->rng, 1, 3);
	else
		disk->fail_write.nth = rng_between(&w->rng, 1, 3);
}

static void add(struct world *w, struct page *page)
{
	const unsigned long stamp = any_stamp(w);
	struct folio *folio = swap_new_page(w->box, stamp);
	struct swap_stats stats;
	int err;

	swap_stats(w->box->store, &stats);
	folio_lock(folio);
	err = swap_cache_add(w->box->store, folio);
	if (stats.free)
		assert_int_equal(err, 0);
	else
		assert_int_equal(err, -ENOSPC);
	if (!err) {
		*page = (struct page){ folio_swap(folio), stamp, 1, false };
		assert_true(swap_dup(w->box->store, page->entry));
	}
	folio_unlock_unseen(folio);
	folio_put(w->box->ram, folio);
}

static void put(struct world *w, struct page *page)
{
	const swp_entry_t entry = page->entry;

	if (!--page->count)
		page->entry.v = 0;
	swap_put(w->box->store, entry);
	if (!page->count)
		assert_false(swap_is_cached(w->box, entry));
}

static void read_page(struct world *w, struct page *page)
{
	const struct swap_around around = {
		.entry = { w->page[rng_below(&w->rng, PAGES)].entry,
			   w->page[rng_below(&w->rng, PAGES)].entry },
		.wanted = 2,
	};
	const bool cached = swap_is_cached(w->box, page->entry);
	struct folio *folio;
	bool major = false;
	int err = swap_read(w->box->store, page->entry, &around, &folio, &major);

	if (err) {
		assert_int_equal(err, -EIO);
		assert_false(cached);
		return;
	}
	assert_int_equal(major, !cached);
	assert_int_equal(swap_stamp(w->box, folio), page->stamp);
	folio_put(w->box->ram, folio);
}

/* A page in memory changes. */
static void change(struct world *w, struct page *page)
{
	struct folio *folio = swap_cache_find(w->box->store, page->entry);

	if (!folio)
		return;
	folio_lock(folio);
	assert_true(swap_cache_is(folio, page->entry));
	page->stamp = any_stamp(w);
	page->written = false;
	swap_set_stamp(w->box, folio, page->stamp);
	folio_set(folio, FOLIO_DIRTY);
	folio_unlock_unseen(folio);
	folio_put(w->box->ram, folio);
}

static void uncache(struct world *w, struct page *page)
{
	if (!swap_is_cached(w->box, page->entry)) {
		assert_true(page->written);
		return;
	}
	if (!swap_uncache(w->box, page->entry)) {
		page->written = true;
		assert_false(swap_is_cached(w->box, page->entry));
	} else {
		assert_true(swap_is_cached(w->box, page->entry));
	}
}

static void step(struct world *w)
{
	struct page *page = &w->page[rng_below(&w->rng, PAGES)];

	if (swp_none(page->entry)) {
		add(w, page);
		return;
	}
	switch (rng_below(&w->rng, 16)) {
	case 0:
		page->count += swap_dup(w->box->store, page->entry);
		break;
	case 1 ... 3:
		put(w, page);
		break;
	case 4 ... 7:
		read_page(w, page);
		break;
	case 8 ... 9:
		change(w, page);
		break;
	default:
		uncache(w, page);
	}
	if (rng_one_in(&w->rng, 200))
		make_fail(w);
}

/* What the areas count is what the model does. */
static void compare(struct world *w)
{
	unsigned long used = 0, counted = 0;

	for (unsigned int i = 0; i < PAGES; i++) {
		const struct page *page = &w->page[i];

		if (swp_none(page->entry))
			continue;
		used++;
		assert_int_equal(swap_count(w->box->store, page->entry), page->count);
	}
	for (unsigned int i = 0; i < AREAS; i++)
		counted += swap_area_used(w->area[i]);
	assert_int_equal(counted, used);
	swap_check(w->box);
}

static void finish(struct world *w)
{
	for (unsigned int i = 0; i < AREAS; i++)
		w->disk[i].fail_read.nth = w->disk[i].fail_write.nth = 0;
	for (unsigned int i = 0; i < PAGES; i++) {
		struct page *page = &w->page[i];

		if (swp_none(page->entry))
			continue;
		assert_int_equal(swap_look(w->box, page->entry), page->stamp);
		while (page->count)
			put(w, page);
	}
	compare(w);
	assert_int_equal(box_frames(w->box), 0);
}

static void slots_are_as_a_model_of_them(void **state)
{
	static const unsigned long pages[AREAS] = { 60, 300, 7 };
	static struct world world;
	struct world *w = &world;
	const unsigned long steps = (test_full() ? 2000000 : 60000) / test_slowdown();

	memset(w, 0, sizeof(*w));
	w->box = *state;
	rng_init(&w->rng, test_seed());
	test_replay(test_seed());
	for (unsigned int i = 0; i < AREAS; i++)
		w->area[i] = swap_disk_on(w->box, &w->disk[i], pages[i], 0);
	for (unsigned long i = 0; i < steps; i++) {
		step(w);
		if (!(i % 256))
			compare(w);
	}
	finish(w);
	for (unsigned int i = 0; i < AREAS; i++)
		swap_disk_off(w->area[i], &w->disk[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slots_are_as_a_model_of_them, store_box_up,
						store_box_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
