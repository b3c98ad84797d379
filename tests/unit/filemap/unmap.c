/* SPDX-License-Identifier: MIT */
/*
 * unmap_mapping_pages(): what truncation and hole punching take out of page tables.
 */
#include <samara/notifier.h>

#include "filemap/filemap.h"
#include "unit/rmap/space.h"

/* Pages of a range that are there. */
static unsigned int present(struct samara_mm *mm, unsigned long from, unsigned long to)
{
	unsigned int n = 0;

	for (; from < to; from++)
		n += !pte_none(pte_of(mm, from));
	return n;
}

static void drop(struct fixture *f, unsigned long start, unsigned long last, enum unmap_cows cows)
{
	unmap_mapping_pages(f->file->inode, start, last, cows);
}

static void only_pages_of_the_range_go(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	map_file(f, 20, 28, PROT_READ, MAP_PRIVATE, 4);
	for (unsigned long page = 0; page < 8; page++) {
		put_file(f->mm, page, PTE_WRITE | PTE_DIRTY);
		put_file(f->mm, 20 + page, 0);
	}
	drop(f, 5, 6, KEEP_COWS);
	assert_int_equal(present(f->mm, 0, 8), 6);
	assert_int_equal(present(f->mm, 5, 7), 0);
	assert_int_equal(present(f->mm, 20, 28), 6);
	assert_int_equal(present(f->mm, 21, 23), 0);
	assert_int_equal(mm_rss_sum(f->mm, MM_SHMEMPAGES), 12);
	drop(f, 0, ~0UL, KEEP_COWS);
	assert_int_equal(present(f->mm, 0, 28), 0);
	assert_int_equal(mm_rss_sum(f->mm, MM_SHMEMPAGES), 0);
}

static void private_copies_stay_unless_they_are_meant(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 4, RW, MAP_PRIVATE, 0);
	put_anon(f->mm, 0);
	put_file(f->mm, 1, 0);
	drop(f, 0, 3, KEEP_COWS);
	assert_int_equal(present(f->mm, 0, 1), 1);
	assert_int_equal(present(f->mm, 1, 4), 0);
	assert_int_equal(mm_rss_sum(f->mm, MM_ANONPAGES), 1);
	drop(f, 0, 3, EVEN_COWS);
	assert_int_equal(present(f->mm, 0, 4), 0);
	assert_int_equal(mm_rss_sum(f->mm, MM_ANONPAGES), 0);
}

static void markers_and_the_zero_frame(void **state)
{
	struct fixture *f = *state;
	const pte_t guard = mk_swp(SWP_MARKER, MARKER_GUARD);
	const pte_t poison = mk_swp(SWP_MARKER, MARKER_POISON);

	map_file(f, 0, 4, RW, MAP_PRIVATE, 0);
	set_pte(f->mm, 0, guard);
	set_pte(f->mm, 1, poison);
	set_pte(f->mm, 2, pte_with(mk_pte(ZERO_FRAME, VM_READ), PTE_SPECIAL));
	drop(f, 0, 3, KEEP_COWS);
	assert_true(pte_same(pte_of(f->mm, 0), guard));
	assert_true(pte_same(pte_of(f->mm, 1), poison));
	assert_true(pte_none(pte_of(f->mm, 2)));
	drop(f, 0, 3, EVEN_COWS);
	assert_true(pte_same(pte_of(f->mm, 0), guard));
	assert_true(pte_none(pte_of(f->mm, 1)));
	clear_pages(f->mm, 0, 4);
}

/* More than a gather holds on the stack, over two leaf tables. */
static void many_pages_go_in_batches(void **state)
{
	struct fixture *f = *state;
	const unsigned long first = 512 - 100;

	map_file(f, first, first + 250, RW, MAP_SHARED, 0);
	for (unsigned long page = 0; page < 250; page++)
		put_file(f->mm, first + page, page % 2 ? PTE_WRITE | PTE_DIRTY : 0);
	drop(f, 0, 249, KEEP_COWS);
	assert_int_equal(present(f->mm, first, first + 250), 0);
	assert_int_equal(mm_rss_sum(f->mm, MM_SHMEMPAGES), 0);
}

static void an_mm_that_is_being_built_is_not_passed_by(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 2, RW, MAP_SHARED, 0);
	put_file(f->mm, 0, 0);
	put_file(f->mm, 1, 0);
	f->mm->life.state = MM_BUILDING;
	drop(f, 0, 0, KEEP_COWS);
	f->mm->life.state = MM_DYING;
	drop(f, 1, 1, KEEP_COWS);
	f->mm->life.state = MM_LIVE;
	assert_int_equal(present(f->mm, 0, 1), 0);
	assert_int_equal(present(f->mm, 1, 2), 1);
	clear_pages(f->mm, 0, 2);
}

static void a_dirty_bit_is_not_lost(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;

	map_file(f, 0, 1, RW, MAP_SHARED, 0);
	folio = put_file(f->mm, 0, PTE_WRITE | PTE_DIRTY);
	folio_get(folio);
	folio_test_clear(folio, FOLIO_DIRTY);
	drop(f, 0, 0, KEEP_COWS);
	assert_true(folio_test(folio, FOLIO_DIRTY));
	folio_put(f->machine->ram, folio);
}

static void count_it(const struct samara_notifier_range *range, void *priv)
{
	assert_true(range->start < range->end);
	++*(unsigned int *)priv;
}

/* A hole without a whole page in it, and one behind which nothing is mapped. */
static void a_hole_within_pages_unmaps_nothing(void **state)
{
	static const struct samara_notifier_ops ops = { .start = count_it };
	static const struct {
		unsigned long at, length;
		unsigned int told;
	} holes[] = {
		{ 5, 100, 0 },         { PAGE, PAGE - 1, 0 }, { PAGE - 1, 2, 0 },
		{ 8 * PAGE, PAGE, 0 }, { PAGE - 1, PAGE, 0 }, { 2 * PAGE, PAGE, 2 },
	};
	struct fixture *f = *state;
	struct samara_notifier *notifier;
	unsigned int told = 0;

	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	for (unsigned long page = 0; page < 8; page++)
		put_file(f->mm, page, 0);
	assert_int_equal(samara_notifier_register(f->mm, &ops, &told, &notifier), 0);
	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		told = 0;
		assert_int_equal(samara_file_punch_hole(f->file, holes[i].at, holes[i].length), 0);
		assert_int_equal(told, holes[i].told);
		assert_int_equal(present(f->mm, 0, 8), holes[i].told ? 7 : 8);
	}
	samara_notifier_unregister(notifier);
	clear_pages(f->mm, 0, 8);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(only_pages_of_the_range_go),
		test(private_copies_stay_unless_they_are_meant),
		test(markers_and_the_zero_frame),
		test(many_pages_go_in_batches),
		test(an_mm_that_is_being_built_is_not_passed_by),
		test(a_dirty_bit_is_not_lost),
		test(a_hole_within_pages_unmaps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
