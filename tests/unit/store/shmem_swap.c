/* SPDX-License-Identifier: MIT */
/*
 * Pages of shared memory that go to swap and come back, are read, written, truncated and punched
 * meanwhile, and whose swap area fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <samara/inject.h>

#include "base/atomic.h"
#include "filemap/filemap.h"
#include "store/io.h"
#include "store/pages.h"

#include "support/cmocka_all.h"

#include "support/random.h"
#include "support/swap_box.h"

/* As reclaim does it with a page that nothing maps. 0, or why it stays. */
static int out(struct store_box *box, struct samara_file *file, unsigned long index)
{
	struct folio *folio = page_cache_find_locked(file->inode, index);
	int err;

	if (!folio)
		return -ENOENT;
	err = shmem_swap_out(file->inode, folio);
	if (!err)
		err = swap_write(box->store, folio);
	if (!err && folio_try_freeze(folio, 2)) {
		swap_cache_del(box->store, folio);
		folio_unfreeze(folio);
	}
	folio_unlock_cached(box->store, folio);
	folio_put(box->ram, folio);
	return err;
}

static bool in_swap(struct samara_file *file, unsigned long index)
{
	swp_entry_t swap;
	struct folio *folio = page_cache_look(file->inode, index, &swap);

	if (folio)
		folio_put(file->inode->ram, folio);
	return !swp_none(swap);
}

static void put_byte(struct samara_file *file, unsigned long at, char byte)
{
	assert_int_equal(file_write(file, &byte, 1, at), 1);
}

static char get_byte(struct samara_file *file, unsigned long at)
{
	char byte = 0;

	assert_int_equal(file_read(file, &byte, 1, at), 1);
	return byte;
}

static void check(struct store_box *box, struct samara_file *file)
{
	box_check(file);
	swap_check(box);
}

static void a_page_is_the_files_while_it_is_in_swap(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	struct samara_file *file = box_memfd(box, 4 * BOX_PAGE);
	struct folio *folio;

	put_byte(file, BOX_PAGE + 3, 'x');
	assert_int_equal(box->store->commit.pages, 1);
	assert_int_equal(out(box, file, 1), 0);
	check(box, file);
	assert_int_equal(box_frames(box), 0);
	assert_int_equal(box->store->commit.pages, 1);
	assert_int_equal(file->inode->pages.nr, 0);
	assert_int_equal(file->inode->pages.swapped, 1);
	assert_null(page_cache_find(file->inode, 1));
	assert_false(page_cache_incore(file->inode, 1));
	assert_int_equal(swap_area_used(area), 1);
	/* A fault's way. */
	folio = box_page(file, 1);
	assert_int_equal(box_bytes(box, folio)[3], 'x');
	assert_true(folio_test(folio, FOLIO_DIRTY));
	folio_put(box->ram, folio);
	assert_true(page_cache_incore(file->inode, 1));
	assert_int_equal(swap_area_used(area), 0);
	assert_int_equal(file->inode->pages.swapped, 0);
	check(box, file);
	/* read(2)'s and write(2)'s. */
	assert_int_equal(out(box, file, 1), 0);
	assert_int_equal(get_byte(file, BOX_PAGE + 3), 'x');
	assert_int_equal(out(box, file, 1), 0);
	put_byte(file, BOX_PAGE + 4, 'y');
	assert_int_equal(get_byte(file, BOX_PAGE + 3), 'x');
	assert_int_equal(get_byte(file, BOX_PAGE + 4), 'y');
	check(box, file);
	samara_file_put(file);
	swap_disk_off(area, &disk);
}

static void a_page_in_the_swap_cache_is_in_memory_for_mincore(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	struct samara_file *file = box_memfd(box, BOX_PAGE);
	struct folio *folio;

	put_byte(file, 3, 'x');
	folio = page_cache_find_locked(file->inode, 0);
	assert_int_equal(shmem_swap_out(file->inode, folio), 0);
	folio_unlock_unseen(folio);
	assert_true(in_swap(file, 0));
	assert_true(page_cache_incore(file->inode, 0));
	check(box, file);
	/* It was never written, and is not lost. */
	folio_put(box->ram, folio);
	assert_int_equal(get_byte(file, 3), 'x');
	assert_int_equal(disk.writes + disk.reads, 0);
	check(box, file);
	samara_file_put(file);
	swap_disk_off(area, &disk);
}

static void a_page_that_others_use_stays(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	struct samara_file *file = box_memfd(box, BOX_PAGE);
	struct folio *folio;

	put_byte(file, 3, 'x');
	folio = box_page(file, 0);
	assert_int_equal(out(box, file, 0), -EBUSY);
	assert_false(in_swap(file, 0));
	assert_int_equal(swap_area_used(area), 0);
	folio_put(box->ram, folio);
	check(box, file);
	assert_int_equal(out(box, file, 0), 0);
	samara_file_put(file);
	assert_int_equal(swap_area_used(area), 0);
	swap_disk_off(area, &disk);
}

static void without_a_slot_a_page_stays(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_file *file = box_memfd(box, 3 * BOX_PAGE);
	struct samara_swap *area;

	for (unsigned int i = 0; i < 3; i++)
		put_byte(file, i * BOX_PAGE, (char)('a' + i));
	assert_int_equal(out(box, file, 0), -ENOSPC);
	area = swap_disk_on(box, &disk, 2, 0);
	assert_int_equal(out(box, file, 0), 0);
	assert_int_equal(out(box, file, 1), 0);
	assert_int_equal(out(box, file, 2), -ENOSPC);
	check(box, file);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(get_byte(file, i * BOX_PAGE), 'a' + i);
	samara_file_put(file);
	swap_disk_off(area, &disk);
}

static void truncation_and_holes_give_slots_back(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	struct samara_file *file = box_memfd(box, 8 * BOX_PAGE);

	for (unsigned int i = 0; i < 8; i++) {
		put_byte(file, i * BOX_PAGE, (char)('a' + i));
		put_byte(file, i * BOX_PAGE + 100, 'z');
		if (i % 3)
			assert_int_equal(out(box, file, i), 0);
	}
	/* 1 2 4 5 7 are in swap. */
	assert_int_equal(file_punch_hole(file, BOX_PAGE, BOX_PAGE), 0);
	assert_int_equal(swap_area_used(area), 4);
	assert_int_equal(get_byte(file, BOX_PAGE), 0);
	/* Parts of pages that are in swap, on both sides. */
	assert_int_equal(file_punch_hole(file, 4 * BOX_PAGE + 50, BOX_PAGE), 0);
	assert_int_equal(get_byte(file, 4 * BOX_PAGE), 'e');
	assert_int_equal(get_byte(file, 4 * BOX_PAGE + 100), 0);
	assert_int_equal(get_byte(file, 5 * BOX_PAGE), 0);
	assert_int_equal(get_byte(file, 5 * BOX_PAGE + 100), 'z');
	check(box, file);
	/* The tail of one becomes zeros. */
	assert_int_equal(file_set_length(file, 2 * BOX_PAGE + 50), 0);
	assert_int_equal(swap_area_used(area), 0);
	assert_int_equal(file_set_length(file, 8 * BOX_PAGE), 0);
	assert_int_equal(get_byte(file, 2 * BOX_PAGE), 'c');
	assert_int_equal(get_byte(file, 2 * BOX_PAGE + 100), 0);
	assert_int_equal(get_byte(file, 7 * BOX_PAGE), 0);
	check(box, file);
	assert_int_equal(out(box, file, 2), 0);
	assert_int_equal(out(box, file, 0), 0);
	samara_file_put(file);
	assert_int_equal(swap_area_used(area), 0);
	swap_disk_off(area, &disk);
}

static void a_part_that_cannot_be_brought_back_is_an_error_and_no_change(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	struct samara_file *file = box_memfd(box, 2 * BOX_PAGE);

	put_byte(file, 0, 'a');
	put_byte(file, 100, 'z');
	assert_int_equal(out(box, file, 0), 0);
	assert_int_equal(samara_inject_site("frame", 1), 0);
	assert_int_equal(file_set_length(file, 50), -ENOMEM);
	assert_int_equal(file->inode->length, 2 * BOX_PAGE);
	assert_int_equal(samara_inject_site("frame", 1), 0);
	assert_int_equal(file_punch_hole(file, 50, 100), -ENOMEM);
	assert_int_equal(samara_inject_site("frame", 0), 0);
	assert_int_equal(get_byte(file, 100), 'z');
	check(box, file);
	samara_file_put(file);
	swap_disk_off(area, &disk);
}

static void reads_that_fail_are_errors_and_lose_nothing(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	struct samara_file *file = box_memfd(box, 2 * BOX_PAGE);
	char byte;

	put_byte(file, 5, 'a');
	assert_int_equal(out(box, file, 0), 0);
	disk.fail_read.nth = 1;
	disk.fail_read.from = true;
	assert_int_equal(file_read(file, &byte, 1, 5), -EIO);
	assert_int_equal(file_write(file, &byte, 1, 5), -EIO);
	assert_int_equal(box_page_error(file, 0), -EIO);
	check(box, file);
	disk.fail_read.nth = 0;
	assert_int_equal(samara_inject_site("frame", 1), 0);
	assert_int_equal(box_page_error(file, 0), -ENOMEM);
	assert_int_equal(samara_inject_site("frame", 0), 0);
	assert_int_equal(get_byte(file, 5), 'a');
	/* Given up unread. */
	assert_int_equal(out(box, file, 0), 0);
	disk.fail_read.nth = 1;
	assert_int_equal(file_set_length(file, 0), 0);
	assert_int_equal(swap_area_used(area), 0);
	check(box, file);
	samara_file_put(file);
	swap_disk_off(area, &disk);
}

static void a_write_that_fails_leaves_the_page_in_memory(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *area = swap_disk_on(box, &disk, 16, 0);
	struct samara_file *file = box_memfd(box, 2 * BOX_PAGE);

	put_byte(file, 5, 'a');
	disk.fail_write.nth = 1;
	assert_int_equal(out(box, file, 0), -EIO);
	check(box, file);
	assert_int_equal(get_byte(file, 5), 'a');
	assert_int_equal(disk.reads, 0);
	check(box, file);
	samara_file_put(file);
	swap_disk_off(area, &disk);
}

static void walks_find_each_inode_and_each_entry(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk[2];
	struct samara_swap *area[2] = { swap_disk_on(box, &disk[0], 3, 0),
					swap_disk_on(box, &disk[1], 64, 0) };
	struct samara_file *file[3];
	struct inode *inode = NULL;
	unsigned long index, found = 0, inodes = 0;
	swp_entry_t entry;

	for (unsigned int f = 0; f < 3; f++) {
		file[f] = box_memfd(box, 10 * BOX_PAGE);
		for (unsigned int i = 0; f != 1 && i < 10; i += 2) {
			put_byte(file[f], i * BOX_PAGE, 'a');
			assert_int_equal(out(box, file[f], i), 0);
		}
	}
	while ((inode = shmem_swapped_next(box->store, inode))) {
		inodes++;
		for (index = 0; shmem_swap_next(inode, 1, &index, &entry); found++) {
			assert_int_equal(shmem_swap_in(inode, index, entry), 0);
			assert_false(in_swap(inode == file[0]->inode ? file[0] : file[2], index));
		}
	}
	assert_int_equal(inodes, 2);
	assert_int_equal(found, 7);
	assert_int_equal(swap_area_used(area[0]), 3);
	assert_int_equal(swap_area_used(area[1]), 0);
	/* What is not there any more is no error. */
	assert_int_equal(shmem_swap_in(file[1]->inode, 3, mk_swp_entry(1, 2)), 0);
	for (unsigned int f = 0; f < 3; f++) {
		check(box, file[f]);
		samara_file_put(file[f]);
	}
	for (unsigned int i = 0; i < 2; i++)
		swap_disk_off(area[i], &disk[i]);
}

/* threads ---------------------------------------------------------------------------------- */

#define PAGES 24UL

struct race {
	struct store_box *box;
	struct samara_file *file;
	struct samara_swap *area;
	unsigned long rounds;
	int done; /* atomic */
	uint64_t seed;
};

/* Each page holds the number of its writes at both ends; one thread writes. */
static void *write_and_cut(void *arg)
{
	struct race *race = arg;
	unsigned long count[PAGES] = { 0 };
	struct rng rng;

	rng_init(&rng, race->seed);
	for (unsigned long i = 0; i < race->rounds; i++) {
		const unsigned long at = rng_below(&rng, PAGES);
		unsigned long got = 0;

		assert_int_equal(file_read(race->file, &got, 8, at * BOX_PAGE + 8), 8);
		assert_int_equal(got, count[at]);
		switch (rng_below(&rng, 10)) {
		case 0:
			assert_int_equal(file_punch_hole(race->file, at * BOX_PAGE, BOX_PAGE), 0);
			count[at] = 0;
			break;
		case 1:
			assert_int_equal(file_set_length(race->file, at * BOX_PAGE + 1), 0);
			assert_int_equal(file_set_length(race->file, PAGES * BOX_PAGE), 0);
			memset(&count[at], 0, (PAGES - at) * sizeof(count[0]));
			break;
		default:
			count[at] = i + 1;
			assert_int_equal(file_write(race->file, &count[at], 8, at * BOX_PAGE + 8),
					 8);
		}
	}
	smp_store_release(&race->done, 1);
	return NULL;
}

static void *reclaim(void *arg)
{
	struct race *race = arg;
	struct rng rng;

	rng_init(&rng, race->seed + 1);
	while (!smp_load_acquire(&race->done))
		(void)out(race->box, race->file, rng_below(&rng, PAGES));
	return NULL;
}

static void *bring_back(void *arg)
{
	struct race *race = arg;

	while (!smp_load_acquire(&race->done)) {
		struct inode *inode = NULL;
		swp_entry_t entry;

		while ((inode = shmem_swapped_next(race->box->store, inode)))
			for (unsigned long i = 0; shmem_swap_next(inode, 0, &i, &entry); i++)
				assert_int_equal(shmem_swap_in(inode, i, entry), 0);
	}
	return NULL;
}

static void pages_come_and_go_beside_truncation(void **state)
{
	static void *(*const fns[])(void *) = { write_and_cut, reclaim, reclaim, bring_back };
	struct race race = {
		.box = *state,
		.rounds = (test_full() ? 300000 : 6000) / test_slowdown(),
		.seed = test_seed(),
	};
	struct swap_disk disk;
	pthread_t thread[4];

	test_replay(race.seed);
	race.area = swap_disk_on(race.box, &disk, 40, 0);
	race.file = box_memfd(race.box, PAGES * BOX_PAGE);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, fns[i], &race), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	check(race.box, race.file);
	samara_file_put(race.file);
	/* What only the cache has: its last entry went while it was locked. */
	for (unsigned long slot = 0; swap_area_next(race.area, &slot); slot++)
		assert_int_equal(swap_uncache(race.box, mk_swp_entry(0, slot)), 0);
	swap_check(race.box);
	swap_disk_off(race.area, &disk);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_is_the_files_while_it_is_in_swap),
		TEST(a_page_in_the_swap_cache_is_in_memory_for_mincore),
		TEST(a_page_that_others_use_stays),
		TEST(without_a_slot_a_page_stays),
		TEST(truncation_and_holes_give_slots_back),
		TEST(a_part_that_cannot_be_brought_back_is_an_error_and_no_change),
		TEST(reads_that_fail_are_errors_and_lose_nothing),
		TEST(a_write_that_fails_leaves_the_page_in_memory),
		TEST(walks_find_each_inode_and_each_entry),
		TEST(pages_come_and_go_beside_truncation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
