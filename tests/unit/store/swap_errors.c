/* SPDX-License-Identifier: MIT */
/*
 * Swap areas whose reads and writes fail, and allocations that are refused: nothing that was
 * written is lost.
 */
#include <errno.h>

#include <samara/inject.h>

#include "support/cmocka_all.h"

#include "support/swap_box.h"

static struct folio *cached_page(struct store_box *box, unsigned long stamp, swp_entry_t *entry)
{
	struct folio *folio = swap_new_page(box, stamp);

	folio_lock(folio);
	assert_int_equal(swap_cache_add(box->store, folio), 0);
	*entry = folio_swap(folio);
	assert_true(swap_dup(box->store, *entry));
	folio_unlock_unseen(folio);
	return folio;
}

static void a_page_that_cannot_be_written_stays_and_its_slot_is_dead(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 4, 0);
	struct swap_stats stats;
	swp_entry_t entry, other[3];
	struct folio *folio = cached_page(box, 6, &entry);

	disk.fail_write.nth = 1;
	assert_int_equal(swap_uncache(box, entry), -EIO);
	assert_true(folio_test(folio, FOLIO_DIRTY));
	assert_true(swap_cache_is(folio, entry));
	assert_int_equal(swap_look(box, entry), 6);
	/* The slot is not tried again. */
	assert_int_equal(swap_uncache(box, entry), -EIO);
	assert_int_equal(disk.writes, 1);
	swap_check(box);
	swap_put(box->store, entry);
	assert_false(folio_test(folio, FOLIO_SWAPCACHE));
	assert_true(folio_test(folio, FOLIO_DIRTY));
	assert_int_equal(swap_stamp(box, folio), 6);
	swap_check(box);
	swap_stats(box->store, &stats);
	assert_int_equal(stats.total, 3);
	assert_int_equal(stats.free, 3);
	/* It can leave by another slot. */
	for (unsigned int i = 0; i < 3; i++) {
		other[i] = swap_page_out(box, i + 1);
		assert_int_not_equal(other[i].v, entry.v);
	}
	folio_lock(folio);
	assert_int_equal(swap_cache_add(box->store, folio), -ENOSPC);
	folio_unlock_unseen(folio);
	for (unsigned int i = 0; i < 3; i++)
		swap_put(box->store, other[i]);
	folio_put(box->ram, folio);
	swap_disk_off(area, &disk);
	assert_int_equal(box->store->commit.total_pages, BOX_FRAMES);
}

static void a_page_that_cannot_be_read_can_be_later(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	swp_entry_t entry = swap_page_out(box, 6);

	disk.fail_read.nth = 1;
	assert_int_equal(swap_try_read(box, entry), -EIO);
	assert_false(swap_is_cached(box, entry));
	assert_int_equal(box_frames(box), 0);
	swap_check(box);
	assert_int_equal(swap_look(box, entry), 6);
	swap_put(box->store, entry);
	swap_disk_off(area, &disk);
}

/* Each read of a window fails in turn: the others of it come in. */
static void a_neighbour_that_cannot_be_read_hurts_only_itself(void **state)
{
	struct store_box *box = *state;
	swp_entry_t entry[8];

	for (unsigned long nth = 1; nth <= 12; nth++) {
		struct swap_disk disk;
		struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
		unsigned int cached = 0;

		for (unsigned long i = 0; i < 8; i++)
			entry[i] = swap_page_out(box, i + 1);
		disk.fail_read.nth = nth;
		if (swap_try_read(box, entry[2]))
			assert_false(swap_is_cached(box, entry[2]));
		for (unsigned int i = 0; i < 8; i++)
			cached += swap_is_cached(box, entry[i]);
		assert_true(cached >= 7);
		swap_check(box);
		disk.fail_read.nth = 0;
		for (unsigned int i = 0; i < 8; i++) {
			assert_int_equal(swap_look(box, entry[i]), i + 1);
			swap_put(box->store, entry[i]);
		}
		swap_disk_off(area, &disk);
	}
}

static void reads_that_fail_from_now_on_lose_nothing(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	swp_entry_t entry[8];

	for (unsigned long i = 0; i < 8; i++)
		entry[i] = swap_page_out(box, i + 1);
	disk.fail_read.nth = 1;
	disk.fail_read.from = true;
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(swap_try_read(box, entry[i]), -EIO);
	assert_int_equal(box_frames(box), 0);
	disk.fail_read.nth = 0;
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(swap_look(box, entry[i]), i + 1);
		swap_put(box->store, entry[i]);
	}
	swap_disk_off(area, &disk);
}

static void an_area_that_is_refused_memory_is_not_there(void **state)
{
	struct store_box *box = *state;
	struct swap_ops_desc desc = { .ops = &swap_disk_ops, .pages = 64 };
	const unsigned long live = samara_live_objects();
	struct samara_swap *area;
	struct swap_disk disk;
	unsigned long nth = 0;
	int err;

	swap_disk_make(&disk, 64);
	desc.priv = &disk;
	do {
		samara_inject_nth(++nth);
		err = swap_on_ops(box->store, &desc, &area);
		samara_inject_nth(0);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(samara_live_objects(), live);
			assert_int_equal(disk.releases, 0);
			swap_check(box);
		}
	} while (err);
	assert_int_equal(nth, 4);
	swap_disk_off(area, &disk);
}

static void a_read_that_is_refused_a_frame_reads_nothing(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	swp_entry_t entry[4];

	for (unsigned long i = 0; i < 4; i++)
		entry[i] = swap_page_out(box, i + 1);
	samara_inject_nth(1);
	assert_int_equal(swap_try_read(box, entry[0]), -ENOMEM);
	assert_int_equal(disk.reads, 0);
	/* A neighbour's: it stays where it is. */
	samara_inject_nth(2);
	assert_int_equal(swap_try_read(box, entry[0]), 0);
	samara_inject_nth(0);
	swap_check(box);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(swap_look(box, entry[i]), i + 1);
		swap_put(box->store, entry[i]);
	}
	swap_disk_off(area, &disk);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_that_cannot_be_written_stays_and_its_slot_is_dead),
		TEST(a_page_that_cannot_be_read_can_be_later),
		TEST(a_neighbour_that_cannot_be_read_hurts_only_itself),
		TEST(reads_that_fail_from_now_on_lose_nothing),
		TEST(an_area_that_is_refused_memory_is_not_there),
		TEST(a_read_that_is_refused_a_frame_reads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
