/* SPDX-License-Identifier: MIT */
/*
 * The swap cache: a slot's page in memory, read, written, and read ahead.
 */
#include <errno.h>

#include "frame/vm_event.h"

#include "support/cmocka_all.h"

#include "support/swap_box.h"

static void a_page_leaves_and_comes_back_with_its_bytes(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	swp_entry_t entry = swap_page_out(box, 77);

	assert_int_equal(swap_count(box->store, entry), 1);
	assert_false(swap_is_cached(box, entry));
	assert_int_equal(box_frames(box), 0);
	assert_int_equal(swap_look(box, entry), 77);
	assert_true(swap_is_cached(box, entry));
	assert_int_equal(disk.reads, 1);
	assert_int_equal(disk.writes, 1);
	assert_int_equal(vm_event_sum(box->ram, PSWPIN), 1);
	assert_int_equal(vm_event_sum(box->ram, PSWPOUT), 1);
	swap_check(box);
	swap_put(box->store, entry);
	assert_int_equal(swap_area_used(area), 0);
	assert_int_equal(swap_try_read(box, entry), -ENOENT);
	swap_check(box);
	swap_disk_off(area, &disk);
}

static void a_page_of_zeros_needs_no_io(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	swp_entry_t entry = swap_page_out(box, 0);

	assert_int_equal(swap_look(box, entry), 0);
	assert_int_equal(disk.reads + disk.writes, 0);
	swap_check(box);
	/* Written to in memory, it is zeros no longer. */
	{
		struct folio *folio = swap_cache_find(box->store, entry);

		folio_lock(folio);
		swap_set_stamp(box, folio, 5);
		folio_set(folio, FOLIO_DIRTY);
		folio_unlock_unseen(folio);
		folio_put(box->ram, folio);
	}
	assert_int_equal(swap_uncache(box, entry), 0);
	assert_int_equal(disk.writes, 1);
	assert_int_equal(swap_look(box, entry), 5);
	swap_put(box->store, entry);
	swap_disk_off(area, &disk);
}

static void a_clean_page_is_not_written_again(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	swp_entry_t entry = swap_page_out(box, 9);

	assert_int_equal(swap_look(box, entry), 9);
	assert_int_equal(swap_uncache(box, entry), 0);
	assert_int_equal(disk.writes, 1);
	assert_int_equal(swap_look(box, entry), 9);
	swap_put(box->store, entry);
	swap_disk_off(area, &disk);
}

static void neighbours_are_read_with_the_slot_that_is_wanted(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 64, 0);
	swp_entry_t entry[24];
	struct folio *folio;
	bool major = false;

	for (unsigned long i = 0; i < 24; i++)
		entry[i] = swap_page_out(box, i + 1);
	assert_int_equal(swp_slot(entry[0]) % 8, 0);
	assert_int_equal(swap_read(box->store, entry[11], NULL, &folio, &major), 0);
	assert_true(major);
	folio_put(box->ram, folio);
	for (unsigned long i = 0; i < 24; i++)
		assert_int_equal(swap_is_cached(box, entry[i]), i >= 8 && i < 16);
	/* Found, and not read again. */
	major = false;
	assert_int_equal(swap_read(box->store, entry[12], NULL, &folio, &major), 0);
	assert_false(major);
	assert_int_equal(swap_stamp(box, folio), 13);
	folio_put(box->ram, folio);
	for (unsigned long i = 0; i < 24; i++)
		swap_put(box->store, entry[i]);
	assert_int_equal(swap_area_used(area), 0);
	swap_disk_off(area, &disk);
}

static void what_the_caller_would_like_is_read_too(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 64, 0);
	struct swap_around around = { .wanted = 5 };
	swp_entry_t entry[40];
	struct folio *folio;
	bool major = false;

	for (unsigned long i = 0; i < 40; i++)
		entry[i] = swap_page_out(box, i + 1);
	around.entry[0] = entry[20];
	around.entry[1] = mk_swp_entry(7, 3);  /* no such area */
	around.entry[3] = mk_swp_entry(0, 60); /* a free slot */
	around.entry[7] = entry[39];
	assert_int_equal(swap_read(box->store, entry[0], &around, &folio, &major), 0);
	folio_put(box->ram, folio);
	for (unsigned long i = 0; i < 40; i++)
		assert_int_equal(swap_is_cached(box, entry[i]), i < 8 || i == 20 || i == 39);
	for (unsigned long i = 0; i < 40; i++)
		swap_put(box->store, entry[i]);
	swap_disk_off(area, &disk);
}

/* Slot and its window are read. How many pages that are. */
static unsigned long read_window(struct store_box *box, swp_entry_t entry)
{
	struct swap_stats before, after;
	struct folio *folio;
	bool major = false;

	swap_stats(box->store, &before);
	assert_int_equal(swap_read(box->store, entry, NULL, &folio, &major), 0);
	folio_put(box->ram, folio);
	swap_stats(box->store, &after);
	return after.cached - before.cached;
}

static void less_is_read_ahead_while_it_is_in_vain(void **state)
{
	static const struct {
		unsigned int slot, read;
	} steps[] = {
		/* far apart */
		{ 11, 8 }, { 35, 4 }, { 51, 2 }, { 3, 1 }, { 27, 1 }, { 40, 1 },
		/* one after the other; 41's window is 40 and 41 */
		{ 41, 1 }, { 42, 2 }, { 43, 0 }, { 44, 4 },
		{ 45, 0 }, { 46, 0 }, { 47, 0 }, { 56, 8 },
	};
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 72, 0);
	swp_entry_t entry[64];

	for (unsigned long i = 0; i < 64; i++)
		entry[i] = swap_page_out(box, i + 1);
	assert_int_equal(swp_slot(entry[0]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		assert_int_equal(read_window(box, entry[steps[i].slot]), steps[i].read);
	for (unsigned long i = 0; i < 64; i++)
		swap_put(box->store, entry[i]);
	swap_disk_off(area, &disk);
}

static void reading_ahead_takes_no_more_than_free_frames(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 64, 0);
	static struct folio *all[BOX_FRAMES];
	unsigned long n = 0;
	swp_entry_t entry[8];

	for (unsigned long i = 0; i < 8; i++)
		entry[i] = swap_page_out(box, i + 1);
	while ((all[n] = folio_alloc(box->ram, 0, FOLIO_RAW)))
		n++;
	assert_int_equal(swap_try_read(box, entry[3]), -ENOMEM);
	for (unsigned int i = 0; i < 3; i++)
		folio_put(box->ram, all[--n]);
	assert_int_equal(swap_look(box, entry[3]), 4);
	swap_check(box);
	while (n)
		folio_put(box->ram, all[--n]);
	for (unsigned long i = 0; i < 8; i++) {
		assert_int_equal(swap_look(box, entry[i]), i + 1);
		swap_put(box->store, entry[i]);
	}
	swap_disk_off(area, &disk);
}

static void the_last_entry_takes_a_cached_page_with_it(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 4, 0);
	swp_entry_t entry = swap_page_out(box, 3);
	struct folio *folio;
	bool major = false;

	assert_int_equal(swap_read(box->store, entry, NULL, &folio, &major), 0);
	folio_lock(folio);
	swap_put(box->store, entry);
	/* It is locked, so it stays, and whoever has locked it looks. */
	assert_true(swap_cache_is(folio, entry));
	assert_int_equal(swap_area_used(area), 1);
	folio_unlock_cached(box->store, folio);
	assert_false(folio_test(folio, FOLIO_SWAPCACHE));
	assert_true(folio_test(folio, FOLIO_DIRTY));
	assert_null(folio->mapping);
	assert_int_equal(swap_area_used(area), 0);
	assert_int_equal(swap_stamp(box, folio), 3);
	folio_put(box->ram, folio);
	swap_check(box);
	swap_disk_off(area, &disk);
}

static void a_family_stays_with_the_cached_page(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 4, 0);
	struct folio *folio = swap_new_page(box, 4), *by = swap_new_page(box, 4);
	int family, other;
	swp_entry_t entry;

	folio_set(folio, FOLIO_ANON);
	folio->mapping = &family;
	folio_lock(folio);
	assert_int_equal(swap_cache_add(box->store, folio), 0);
	entry = folio_swap(folio);
	assert_ptr_equal(swap_family(box->store, folio), &family);
	swap_set_family(box->store, folio, &other);
	/* Another folio takes its place. */
	folio_lock_nested(by);
	folio_set(by, FOLIO_ANON | FOLIO_UPTODATE);
	assert_true(folio_try_freeze(folio, 2));
	swap_cache_replace(box->store, folio, by);
	folio_unfreeze(folio);
	assert_null(folio->mapping);
	assert_false(folio_test(folio, FOLIO_SWAPCACHE));
	assert_int_equal(folio_refs(folio), 1);
	assert_true(swap_cache_is(by, entry));
	assert_int_equal(folio_refs(by), 2);
	swap_check(box);
	assert_true(swap_cache_free(box->store, by));
	assert_ptr_equal(by->mapping, &other);
	assert_true(swap_cache_free(box->store, by));
	folio_unlock_unseen(by);
	folio_unlock_unseen(folio);
	by->mapping = NULL;
	folio_put(box->ram, by);
	folio_put(box->ram, folio);
	swap_disk_off(area, &disk);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_leaves_and_comes_back_with_its_bytes),
		TEST(a_page_of_zeros_needs_no_io),
		TEST(a_clean_page_is_not_written_again),
		TEST(neighbours_are_read_with_the_slot_that_is_wanted),
		TEST(what_the_caller_would_like_is_read_too),
		TEST(less_is_read_ahead_while_it_is_in_vain),
		TEST(reading_ahead_takes_no_more_than_free_frames),
		TEST(the_last_entry_takes_a_cached_page_with_it),
		TEST(a_family_stays_with_the_cached_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
