/* SPDX-License-Identifier: MIT */
/*
 * Slots: who gets which, when they are free again, and what the machine counts of them.
 */
#include <errno.h>
#include <sys/swap.h>

#include "store/swap_area.h"

#include "support/cmocka_all.h"

#include "support/swap_box.h"

static struct swap_stats stats(struct store_box *box)
{
	struct swap_stats s;

	swap_stats(box->store, &s);
	return s;
}

static void each_slot_is_given_once_and_then_none_is_left(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	const unsigned long pages = 700; /* two clusters and a part */
	struct samara_swap *area = swap_disk_on(box, &disk, pages, 0);
	static swp_entry_t entry[700];
	struct folio *more = swap_new_page(box, 1);

	assert_int_equal(stats(box).total, pages);
	for (unsigned long i = 0; i < pages; i++) {
		entry[i] = swap_page_out(box, i + 1);
		assert_int_equal(stats(box).free, pages - i - 1);
	}
	swap_check(box);
	folio_lock(more);
	assert_int_equal(swap_cache_add(box->store, more), -ENOSPC);
	assert_false(folio_test(more, FOLIO_SWAPCACHE | FOLIO_DIRTY));
	/* What becomes free anywhere is found. */
	swap_put(box->store, entry[600]);
	assert_int_equal(swap_cache_add(box->store, more), 0);
	assert_int_equal(folio_swap(more).v, entry[600].v);
	assert_true(swap_cache_free(box->store, more));
	folio_unlock_unseen(more);
	folio_put(box->ram, more);
	for (unsigned long i = 0; i < pages; i++) {
		if (i == 600)
			continue;
		assert_int_equal(swap_look(box, entry[i]), i + 1);
		swap_put(box->store, entry[i]);
	}
	assert_int_equal(stats(box).free, pages);
	swap_check(box);
	swap_disk_off(area, &disk);
}

static void pages_that_leave_together_lie_together(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 1024, 0);
	swp_entry_t first = swap_page_out(box, 1), entry[64];

	entry[0] = first;
	for (unsigned long i = 1; i < 64; i++) {
		entry[i] = swap_page_out(box, i + 1);
		assert_int_equal(swp_slot(entry[i]), swp_slot(first) + i);
	}
	for (unsigned long i = 0; i < 64; i++)
		swap_put(box->store, entry[i]);
	swap_disk_off(area, &disk);
}

static void the_area_of_higher_priority_is_used_first(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk[3];
	struct samara_swap *low = swap_disk_on(box, &disk[0], 4, 0);
	struct samara_swap *lower = swap_disk_on(box, &disk[1], 4, 0);
	struct samara_swap *high = swap_disk_on(box, &disk[2], 4, SWAP_FLAG_PREFER | 3);
	swp_entry_t entry[12];

	assert_int_equal(low->order.prio, -2);
	assert_int_equal(lower->order.prio, -3);
	assert_int_equal(high->order.prio, 3);
	for (unsigned int i = 0; i < 12; i++) {
		entry[i] = swap_page_out(box, i + 1);
		assert_int_equal(swp_area(entry[i]), swap_area_number(i < 4 ? high :
								      i < 8 ? low :
									      lower));
	}
	for (unsigned int i = 0; i < 12; i++) {
		assert_int_equal(swap_look(box, entry[i]), i + 1);
		swap_put(box->store, entry[i]);
	}
	swap_disk_off(low, &disk[0]);
	assert_int_equal(lower->order.prio, -2);
	swap_disk_off(lower, &disk[1]);
	swap_disk_off(high, &disk[2]);
}

static void areas_of_one_priority_take_turns(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk[2];
	struct samara_swap *area[2];
	static swp_entry_t entry[512];
	unsigned long given[2] = { 0, 0 };

	for (unsigned int i = 0; i < 2; i++)
		area[i] = swap_disk_on(box, &disk[i], 512, SWAP_FLAG_PREFER | 1);
	for (unsigned int i = 0; i < 512; i++) {
		entry[i] = swap_page_out(box, i + 1);
		given[swp_area(entry[i])]++;
	}
	assert_int_equal(given[0], 256);
	assert_int_equal(given[1], 256);
	for (unsigned int i = 0; i < 512; i++)
		swap_put(box->store, entry[i]);
	for (unsigned int i = 0; i < 2; i++)
		swap_disk_off(area[i], &disk[i]);
}

static void the_promised_memory_grows_with_swap(void **state)
{
	struct store_box *box = *state;
	const unsigned long total = box->store->commit.total_pages;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 100, 0);

	assert_int_equal(box->store->commit.total_pages, total + 100);
	assert_int_equal(swap_area_stop(area), 0);
	assert_int_equal(box->store->commit.total_pages, total);
	assert_int_equal(stats(box).total, 0);
	assert_int_equal(stats(box).free, 0);
	assert_int_equal(swap_area_stop(area), -EBUSY);
	swap_area_resume(area);
	assert_int_equal(box->store->commit.total_pages, total + 100);
	swap_disk_off(area, &disk);
	assert_int_equal(box->store->commit.total_pages, total);
}

static void there_are_as_many_areas_as_in_linux(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk[SWAP_AREAS], extra;
	struct samara_swap *area[SWAP_AREAS], *none;
	struct swap_ops_desc desc = { .ops = &swap_disk_ops, .priv = &extra, .pages = 4 };

	for (unsigned int i = 0; i < SWAP_AREAS; i++)
		area[i] = swap_disk_on(box, &disk[i], 4, 0);
	swap_disk_make(&extra, 4);
	assert_int_equal(swap_on_ops(box->store, &desc, &none), -EPERM);
	assert_int_equal(extra.releases, 0);
	swap_disk_off(area[7], &disk[7]);
	assert_int_equal(swap_on_ops(box->store, &desc, &area[7]), 0);
	assert_int_equal(swap_area_number(area[7]), 7);
	swap_disk_off(area[7], &extra);
	for (unsigned int i = 0; i < SWAP_AREAS; i++)
		if (i != 7)
			swap_disk_off(area[i], &disk[i]);
}

static void counts_of_entries_have_an_end(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 4, 0);
	swp_entry_t entry = swap_page_out(box, 3);

#ifdef SAMARA_DEBUG
	swap_count_max = 5;
	for (unsigned int i = 1; i < 5; i++)
		assert_true(swap_dup(box->store, entry));
	assert_false(swap_dup(box->store, entry));
	assert_int_equal(swap_count(box->store, entry), 5);
	swap_count_max = SWAP_COUNT_LIMIT;
#else
	for (unsigned int i = 1; i < 5; i++)
		assert_true(swap_dup(box->store, entry));
#endif
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(swap_look(box, entry), 3);
		swap_put(box->store, entry);
	}
	assert_int_equal(swap_area_used(area), 0);
	swap_disk_off(area, &disk);
}

static void an_empty_cluster_is_discarded_before_it_is_used_again(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 512, 0);
	static swp_entry_t entry[512];

	for (unsigned int i = 0; i < 512; i++)
		entry[i] = swap_page_out(box, i + 1);
	for (unsigned int i = 0; i < 256; i++)
		swap_put(box->store, entry[i]);
	assert_int_equal(disk.discarded, 0);
	entry[0] = swap_page_out(box, 1);
	assert_int_equal(disk.discarded, 256);
	assert_int_equal(swap_look(box, entry[0]), 1);
	swap_check(box);
	swap_put(box->store, entry[0]);
	for (unsigned int i = 256; i < 512; i++) {
		assert_int_equal(swap_look(box, entry[i]), i + 1);
		swap_put(box->store, entry[i]);
	}
	swap_check(box);
	swap_disk_off(area, &disk);
}

static void discard_at_once_is_told_once(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area =
		swap_disk_on(box, &disk, 300, SWAP_FLAG_DISCARD | 0x20000 /* ONCE */);
	static swp_entry_t entry[300];

	assert_int_equal(disk.discarded, 300);
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 300; i++)
			entry[i] = swap_page_out(box, i + 1);
		for (unsigned int i = 0; i < 300; i++)
			swap_put(box->store, entry[i]);
	}
	assert_int_equal(disk.discarded, 300);
	swap_disk_off(area, &disk);
}

static void an_area_that_is_on_ends_with_the_store(void **state)
{
	struct store_box *box = *state;
	static struct swap_disk disk;
	struct folio *folio = swap_new_page(box, 8);

	swap_disk_on(box, &disk, 16, 0);
	folio_lock(folio);
	assert_int_equal(swap_cache_add(box->store, folio), 0);
	folio_unlock_unseen(folio);
	folio_put(box->ram, folio);
	swap_areas_end(box->store);
	assert_int_equal(disk.releases, 1);
	assert_int_equal(box_frames(box), 0);
	swap_disk_free(&disk);
}

static void a_huge_area_costs_what_is_used_of_it(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct swap_ops_desc desc = { .ops = &swap_disk_ops, .priv = &disk, .pages = 1UL << 36 };
	struct samara_swap *area;
	swp_entry_t entry;

	swap_disk_make(&disk, 64);
	if (swap_on_ops(box->store, &desc, &area)) { /* the sanitizer or a limit forbids it */
		swap_disk_free(&disk);
		skip();
	}
	assert_int_equal(stats(box).total, 1UL << 36);
	entry = swap_page_out(box, 5);
	assert_int_equal(swap_look(box, entry), 5);
	swap_put(box->store, entry);
	swap_disk_off(area, &disk);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_slot_is_given_once_and_then_none_is_left),
		TEST(pages_that_leave_together_lie_together),
		TEST(the_area_of_higher_priority_is_used_first),
		TEST(areas_of_one_priority_take_turns),
		TEST(the_promised_memory_grows_with_swap),
		TEST(there_are_as_many_areas_as_in_linux),
		TEST(counts_of_entries_have_an_end),
		TEST(an_empty_cluster_is_discarded_before_it_is_used_again),
		TEST(discard_at_once_is_told_once),
		TEST(an_area_that_is_on_ends_with_the_store),
		TEST(a_huge_area_costs_what_is_used_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
