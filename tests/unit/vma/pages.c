/* SPDX-License-Identifier: MIT */
/*
 * Populated ranges that leave the map, are mapped over, or move: what happens to their pages,
 * counts and page tables.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "pages.h"

#define UPPER 3 /* tables above a leaf */

static unsigned long word_at(unsigned long n)
{
	unsigned long word = 0;

	assert_int_equal(samara_read(m.mm, PAGE(n), &word, 8, NULL), 8);
	return word;
}

/* What was filled into n pages at from is at to now. */
static void assert_moved(unsigned long from, unsigned long n, unsigned long to)
{
	for (unsigned long i = 0; i < n; i++)
		assert_int_equal(word_at(to + i), from + i + 1);
}

static void assert_filled(unsigned long from, unsigned long to)
{
	assert_moved(from, to - from, from);
}

static void assert_unmapped(unsigned long n)
{
	assert_int_equal(samara_touch(m.mm, PAGE(n), 1, PROT_READ), -EFAULT);
}

static void unmap(unsigned long from, unsigned long to)
{
	assert_int_equal(samara_munmap(m.mm, PAGE(from), (to - from) * MEM_PAGE), 0);
}

/* Anonymous pages that are there, and the frames that are in use for them. */
static void assert_anon(unsigned long pages)
{
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), pages);
	assert_int_equal(mem_frames(&m), pages);
}

/* munmap ------------------------------------------------------------------------ */

static void pages_leave_with_their_range_and_no_others(void **state)
{
	(void)state;
	map(0, 20, MAP_PRIVATE, NULL);
	fill(0, 20);
	assert_anon(20);
	unmap(5, 9);
	assert_anon(16);
	assert_filled(0, 5);
	assert_filled(9, 20);
	assert_unmapped(5);
	unmap(0, 2);
	unmap(18, 24);
	assert_anon(12);
	assert_filled(2, 5);
	assert_filled(9, 18);
	/* What comes there is new. */
	map(5, 9, MAP_PRIVATE, NULL);
	for (unsigned long n = 5; n < 9; n++)
		assert_int_equal(word_at(n), 0);
	unmap(0, 30);
	assert_anon(0);
}

static void tables_leave_when_no_neighbour_needs_them(void **state)
{
	(void)state;
	map(0, 4 * LEAF, MAP_PRIVATE, NULL);
	for (unsigned long leaf = 0; leaf < 4; leaf++)
		fill(leaf * LEAF, leaf * LEAF + 2);
	assert_int_equal(m.mm->tables.nr, UPPER + 4);
	unmap(2, 10); /* its neighbours stand in the same leaf */
	assert_int_equal(m.mm->tables.nr, UPPER + 4);
	unmap(LEAF, 2 * LEAF);
	assert_int_equal(m.mm->tables.nr, UPPER + 3);
	/* Two VMAs have a part of leaf 2: it stays until both went. */
	unmap(2 * LEAF + 100, 2 * LEAF + 200);
	unmap(2 * LEAF, 2 * LEAF + 100);
	assert_int_equal(m.mm->tables.nr, UPPER + 3);
	unmap(2 * LEAF + 200, 3 * LEAF);
	assert_int_equal(m.mm->tables.nr, UPPER + 2);
	assert_filled(0, 2);
	assert_filled(3 * LEAF, 3 * LEAF + 2);
	unmap(0, 4 * LEAF);
	assert_int_equal(m.mm->tables.nr, 1); /* the root stays */
}

static void several_mappings_go_at_once(void **state)
{
	struct samara_file *file = mem_file(&m, 8);

	(void)state;
	map(0, 8, MAP_PRIVATE, NULL);
	map(8, 16, MAP_PRIVATE, file);
	map(20, 28, MAP_SHARED, file);
	map(30, 34, MAP_PRIVATE, NULL);
	fill(0, 12);
	fill(20, 24);
	fill(30, 34);
	word_at(14);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 8 + 4 + 4);
	unmap(4, 32);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 4 + 2);
	assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 0);
	assert_filled(0, 4);
	assert_filled(32, 34);
	assert_int_equal(mem_frames(&m), 8 + 6); /* the file keeps its pages */
	map(20, 28, MAP_SHARED, file);
	assert_filled(20, 24);
	samara_file_put(file);
}

/* mmap over --------------------------------------------------------------------- */

static void a_new_mapping_shows_nothing_of_what_was_there(void **state)
{
	struct samara_file *file = mem_file(&m, 4);

	(void)state;
	map(0, 12, MAP_PRIVATE, NULL);
	fill(0, 12);
	map(4, 8, MAP_PRIVATE, file);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 8);
	for (unsigned long n = 4; n < 8; n++)
		assert_int_equal(word_at(n), (n - 3) * 0x0101010101010101UL);
	map(0, 2, MAP_PRIVATE, NULL); /* merges with what it cuts */
	assert_int_equal(word_at(0), 0);
	assert_int_equal(word_at(1), 0);
	assert_filled(2, 4);
	assert_filled(8, 12);
	map(0, 12, MAP_PRIVATE, NULL);
	for (unsigned long n = 0; n < 12; n++)
		assert_int_equal(word_at(n), 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 0);
	assert_int_equal(mem_frames(&m), 4);
	samara_file_put(file);
	assert_int_equal(mem_frames(&m), 0);
}

static void mapping_over_frees_tables_that_it_does_not_need(void **state)
{
	(void)state;
	map(0, 3 * LEAF, MAP_PRIVATE, NULL);
	for (unsigned long leaf = 0; leaf < 3; leaf++)
		fill(leaf * LEAF, leaf * LEAF + 1);
	map(LEAF, 2 * LEAF, MAP_PRIVATE, NULL);
	assert_int_equal(m.mm->tables.nr, UPPER + 2);
	assert_int_equal(word_at(LEAF), 0);
	assert_filled(0, 1);
	assert_filled(2 * LEAF, 2 * LEAF + 1);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 2);
}

/* mremap ------------------------------------------------------------------------ */

static void pages_move_and_are_not_copied(void **state)
{
	unsigned long pfn[8];

	(void)state;
	map(0, 10, MAP_PRIVATE, NULL);
	fill(0, 10);
	for (unsigned long n = 0; n < 8; n++)
		pfn[n] = pte_pfn(mem_pte(&m, PAGE(1 + n)));
	/* Across a leaf's end, at another place in the leaf. */
	assert_int_equal(remap(1, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, LEAF - 3), PAGE(LEAF - 3));
	assert_anon(10);
	assert_unmapped(1);
	for (unsigned long n = 0; n < 8; n++) {
		assert_int_equal(word_at(LEAF - 3 + n), n + 2);
		assert_int_equal(pte_pfn(mem_pte(&m, PAGE(LEAF - 3 + n))), pfn[n]);
	}
	assert_filled(0, 1);
	assert_filled(9, 10);
	unmap(0, 10);
	assert_int_equal(m.mm->tables.nr, UPPER + 2);
	/* And back to where no table is any more. */
	assert_int_equal(remap(LEAF - 3, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, 5 * LEAF),
			 PAGE(5 * LEAF));
	assert_int_equal(m.mm->tables.nr, UPPER + 1);
	assert_int_equal(word_at(5 * LEAF + 7), 9);
}

static void what_is_moved_over_goes(void **state)
{
	(void)state;
	map(0, 8, MAP_PRIVATE, NULL);
	map(20, 30, MAP_PRIVATE, NULL);
	fill(0, 8);
	fill(20, 30);
	assert_int_equal(remap(0, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, 21), PAGE(21));
	assert_anon(10);
	assert_filled(20, 21);
	assert_moved(0, 8, 21);
	assert_filled(29, 30);
}

/* The tables of the target are made before what is there goes, which is alone in them. */
static void what_is_moved_over_takes_no_table_along(void **state)
{
	(void)state;
	for (unsigned long n = 1; n <= 8; n += 7) {
		map(0, 8, MAP_PRIVATE, NULL);
		fill(0, 8);
		map(7 * LEAF, 7 * LEAF + 8, MAP_PRIVATE, NULL);
		fill(7 * LEAF, 7 * LEAF + 8);
		assert_int_equal(remap(0, 8, n, MREMAP_MAYMOVE | MREMAP_FIXED, 7 * LEAF),
				 PAGE(7 * LEAF));
		assert_moved(0, n, 7 * LEAF);
		unmap(0, 8);
		unmap(7 * LEAF, 7 * LEAF + 8);
		assert_int_equal(m.mm->tables.nr, 1);
	}
}

static void shrinking_and_growing(void **state)
{
	unsigned long at;

	(void)state;
	map(0, 8, MAP_PRIVATE, NULL);
	map(8, 9, MAP_SHARED, NULL); /* no room to grow in place */
	fill(0, 8);
	assert_int_equal(remap(0, 8, 6, 0, 0), PAGE(0));
	assert_anon(6);
	assert_unmapped(6);
	at = remap(0, 6, 20, MREMAP_MAYMOVE, 0);
	assert_false(SAMARA_IS_ERR_VALUE(at));
	assert_int_not_equal(at, PAGE(0));
	assert_anon(6);
	for (unsigned long n = 0; n < 20; n++) {
		unsigned long word = 0;

		assert_int_equal(samara_read(m.mm, at + n * MEM_PAGE, &word, 8, NULL), 8);
		assert_int_equal(word, n < 6 ? n + 1 : 0);
	}
}

static void a_source_that_stays_is_empty(void **state)
{
	(void)state;
	map(0, 4, MAP_PRIVATE, NULL);
	fill(0, 4);
	assert_int_equal(remap(0, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, 40),
			 PAGE(40));
	assert_anon(4);
	for (unsigned long n = 0; n < 4; n++)
		assert_int_equal(word_at(n), 0);
	assert_moved(0, 4, 40);
	fill(0, 4);
	assert_anon(8);
	assert_int_equal(word_at(40), 1);
}

static void the_heap_gives_its_pages_back(void **state)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	(void)state;
	layout.start_brk = layout.brk = PAGE(0);
	assert_int_equal(samara_set_layout(m.mm, &layout), 0);
	assert_int_equal(samara_brk(m.mm, PAGE(2 * LEAF)), PAGE(2 * LEAF));
	fill(0, 3);
	fill(LEAF, LEAF + 4);
	assert_anon(7);
	assert_int_equal(samara_brk(m.mm, PAGE(2)), PAGE(2));
	assert_anon(2);
	assert_int_equal(m.mm->tables.nr, UPPER + 1);
	assert_int_equal(samara_brk(m.mm, PAGE(6)), PAGE(6));
	assert_filled(0, 2);
	assert_int_equal(word_at(2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(pages_leave_with_their_range_and_no_others),
		TEST(tables_leave_when_no_neighbour_needs_them),
		TEST(several_mappings_go_at_once),
		TEST(a_new_mapping_shows_nothing_of_what_was_there),
		TEST(mapping_over_frees_tables_that_it_does_not_need),
		TEST(pages_move_and_are_not_copied),
		TEST(what_is_moved_over_goes),
		TEST(what_is_moved_over_takes_no_table_along),
		TEST(shrinking_and_growing),
		TEST(a_source_that_stays_is_empty),
		TEST(the_heap_gives_its_pages_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
