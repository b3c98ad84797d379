/* SPDX-License-Identifier: MIT */
/*
 * mprotect, madvise, mlock and mseal: flags of ranges.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

static void protecting_the_middle_splits_and_going_back_joins(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 6, RW, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, PROT_READ), 0);
	assert_map(f->mm, "0-2 rw-p, 2-4 r--p, 4-6 rw-p");
	assert_int_equal(stats_of(f->mm).data_vm, 4);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, RW), 0);
	assert_map(f->mm, "0-6 rw-p");
}

static void the_edge_moves_between_neighbours(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, MAP_NORESERVE);
	map_pages(f->mm, 4, 8, PROT_READ, MAP_NORESERVE);
	assert_int_equal(samara_mprotect(f->mm, AT(4), PAGE, RW), 0);
	assert_map(f->mm, "0-5 rw-p, 5-8 r--p");
	assert_int_equal(samara_mprotect(f->mm, AT(3), 2 * PAGE, PROT_READ), 0);
	assert_map(f->mm, "0-3 rw-p, 3-8 r--p");
}

static void protecting_many_stops_at_the_first_that_may_not(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, PROT_READ, 0);
	map_pages(f->mm, 4, 6, PROT_READ, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(0), 6 * PAGE, PROT_NONE), -ENOMEM);
	assert_map(f->mm, "0-2 ---p, 4-6 r--p");
	assert_int_equal(samara_mprotect(f->mm, AT(2), 4 * PAGE, PROT_NONE), -ENOMEM);
	assert_map(f->mm, "0-2 ---p, 4-6 r--p");
}

static void mprotect_arguments(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(0) + 1, PAGE, RW), -EINVAL);
	assert_int_equal(samara_mprotect(f->mm, AT(0), PAGE, 0x40), -EINVAL);
	assert_int_equal(samara_mprotect(f->mm, AT(0), 0, 0x40), 0);
	assert_int_equal(samara_mprotect(f->mm, AT(0), ~0UL, RW), -ENOMEM);
	assert_int_equal(samara_mprotect(f->mm, AT(0), PAGE, PROT_GROWSDOWN | PROT_GROWSUP),
			 -EINVAL);
	assert_int_equal(samara_mprotect(f->mm, AT(0), PAGE, PROT_GROWSDOWN), -EINVAL);
	map_pages(f->mm, 300, 304, RW, MAP_GROWSDOWN);
	assert_int_equal(samara_mprotect(f->mm, AT(303), PAGE, PROT_READ | PROT_GROWSDOWN), 0);
	assert_map(f->mm, "0-2 rw-p, 300-304 r--p");
}

static void advice_skips_holes_and_reports_them(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 4, 6, RW, 0);
	assert_int_equal(samara_madvise(f->mm, AT(0), 6 * PAGE, MADV_DONTFORK), -ENOMEM);
	assert_true(flags_at(f->mm, 0) & SAMARA_VM_DONTCOPY);
	assert_true(flags_at(f->mm, 4) & SAMARA_VM_DONTCOPY);
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, 12345), -EINVAL);
	assert_int_equal(samara_madvise(f->mm, AT(0), 0, MADV_DONTFORK), 0);
	assert_int_equal(samara_madvise(f->mm, AT(0), ~0UL, MADV_DONTFORK), -EINVAL);
}

static void each_advice_sets_and_clears_its_flag(void **state)
{
	struct fixture *f = *state;
	const struct {
		int set, clear;
		unsigned long flag;
	} pairs[] = {
		{ MADV_DONTFORK, MADV_DOFORK, SAMARA_VM_DONTCOPY },
		{ MADV_DONTDUMP, MADV_DODUMP, SAMARA_VM_DONTDUMP },
		{ MADV_WIPEONFORK, MADV_KEEPONFORK, SAMARA_VM_WIPEONFORK },
		{ MADV_MERGEABLE, MADV_UNMERGEABLE, SAMARA_VM_MERGEABLE },
		{ MADV_SEQUENTIAL, MADV_NORMAL, SAMARA_VM_SEQ_READ },
		{ MADV_RANDOM, MADV_NORMAL, SAMARA_VM_RAND_READ },
		{ MADV_RANDOM, MADV_SEQUENTIAL, SAMARA_VM_RAND_READ },
		{ MADV_HUGEPAGE, MADV_NOHUGEPAGE, SAMARA_VM_HUGEPAGE },
		{ MADV_NOHUGEPAGE, MADV_HUGEPAGE, SAMARA_VM_NOHUGEPAGE },
	};

	map_pages(f->mm, 0, 4, RW, 0);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_int_equal(samara_madvise(f->mm, AT(1), 2 * PAGE, pairs[i].set), 0);
		assert_true(flags_at(f->mm, 1) & pairs[i].flag);
		assert_false(flags_at(f->mm, 0) & pairs[i].flag);
		assert_int_equal(samara_madvise(f->mm, AT(1), 2 * PAGE, pairs[i].clear), 0);
		assert_false(flags_at(f->mm, 1) & pairs[i].flag);
	}
}

static void advice_that_does_not_fit_the_mapping(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 2, PROT_READ, MAP_PRIVATE, 0);
	map_pages(f->mm, 4, 6, RW, MAP_LOCKED);
	map_pages(f->mm, 8, 10, RW, MAP_SHARED);
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_WIPEONFORK), -EINVAL);
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_FREE), -EINVAL);
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_REMOVE), -EACCES);
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_POPULATE_WRITE), -EINVAL);
	assert_int_equal(samara_madvise(f->mm, AT(4), PAGE, MADV_DONTNEED), -EINVAL);
	assert_int_equal(samara_madvise(f->mm, AT(4), PAGE, 24), 0); /* MADV_DONTNEED_LOCKED */
	assert_int_equal(samara_madvise(f->mm, AT(4), PAGE, MADV_COLD), -EINVAL);
	assert_int_equal(samara_madvise(f->mm, AT(4), PAGE, MADV_REMOVE), -EINVAL);
	assert_int_equal(samara_madvise(f->mm, AT(8), PAGE, MADV_REMOVE), 0);
	assert_int_equal(samara_madvise(f->mm, AT(8), PAGE, MADV_MERGEABLE), 0);
	assert_false(flags_at(f->mm, 8) & SAMARA_VM_MERGEABLE);
}

static void locking_counts_and_splits(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 8, RW, 0);
	assert_int_equal(samara_mlock(f->mm, AT(2) + 5, PAGE), 0);
	assert_map(f->mm, "0-2 rw-p, 2-4 rw-p, 4-8 rw-p");
	assert_int_equal(stats_of(f->mm).locked_vm, 2);
	assert_int_equal(samara_mlock2(f->mm, AT(2), 2 * PAGE, 1), 0);
	assert_true(flags_at(f->mm, 2) & SAMARA_VM_LOCKONFAULT);
	assert_int_equal(stats_of(f->mm).locked_vm, 2);
	assert_int_equal(samara_munlock(f->mm, AT(0), 8 * PAGE), 0);
	assert_map(f->mm, "0-8 rw-p");
	assert_int_equal(stats_of(f->mm).locked_vm, 0);
	assert_int_equal(samara_mlock2(f->mm, AT(0), PAGE, 2), -EINVAL);
	assert_int_equal(samara_mlock(f->mm, AT(7), 2 * PAGE), -ENOMEM);
	/* What cannot be read is locked, but the caller is told that it is not there. */
	map_pages(f->mm, 20, 22, PROT_NONE, 0);
	assert_int_equal(samara_mlock(f->mm, AT(20), PAGE), -ENOMEM);
	assert_true(flags_at(f->mm, 20) & SAMARA_VM_LOCKED);
}

static void locking_everything_now_and_later(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(samara_mlockall(f->mm, 0), -EINVAL);
	assert_int_equal(samara_mlockall(f->mm, 4), -EINVAL); /* MCL_ONFAULT alone */
	assert_int_equal(samara_mlockall(f->mm, MCL_FUTURE), 0);
	assert_false(flags_at(f->mm, 0) & SAMARA_VM_LOCKED);
	map_pages(f->mm, 10, 12, RW, 0);
	assert_true(flags_at(f->mm, 10) & SAMARA_VM_LOCKED);
	assert_int_equal(samara_mlockall(f->mm, MCL_CURRENT), 0);
	assert_int_equal(stats_of(f->mm).locked_vm, 6);
	map_pages(f->mm, 20, 22, RW, 0);
	assert_false(flags_at(f->mm, 20) & SAMARA_VM_LOCKED);
	assert_int_equal(samara_munlockall(f->mm), 0);
	assert_int_equal(stats_of(f->mm).locked_vm, 0);
}

static void a_sealed_mapping_stays_as_it_is(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 6, PROT_READ, 0);
	assert_int_equal(samara_mseal(f->mm, AT(0), 7 * PAGE, 0), -ENOMEM);
	assert_false(flags_at(f->mm, 0) & SAMARA_VM_SEALED);
	assert_int_equal(samara_mseal(f->mm, AT(2), 2 * PAGE, 1), -EINVAL);
	assert_int_equal(samara_mseal(f->mm, AT(2), 2 * PAGE, 0), 0);
	assert_map(f->mm, "0-2 r--p, 2-4 r--p, 4-6 r--p");
	assert_int_equal(samara_mprotect(f->mm, AT(2), PAGE, RW), -EPERM);
	assert_int_equal(samara_munmap(f->mm, AT(2), PAGE), -EPERM);
	assert_int_equal(samara_madvise(f->mm, AT(2), PAGE, MADV_DONTNEED), -EPERM);
	assert_int_equal(samara_madvise(f->mm, AT(2), PAGE, MADV_DONTFORK), -EPERM);
	assert_int_equal(samara_madvise(f->mm, AT(2), PAGE, MADV_DONTDUMP), 0);
}

/* Linux refuses advice that throws contents away, where the caller may not write. */
static void advice_on_a_sealed_mapping(void **state)
{
	static const struct {
		int first, last, answer;
	} advice[] = {
		{ MADV_NORMAL, MADV_WILLNEED, 0 },
		{ MADV_DONTNEED, MADV_DONTNEED, -EPERM },
		{ MADV_FREE, MADV_DONTFORK, -EPERM },
		{ MADV_DOFORK, MADV_DODUMP, 0 },
		{ MADV_WIPEONFORK, MADV_WIPEONFORK, -EPERM },
		{ MADV_KEEPONFORK, 22, 0 }, /* MADV_POPULATE_READ */
		{ 24, 24, -EPERM },         /* MADV_DONTNEED_LOCKED */
		{ 102, 102, -EPERM },       /* MADV_GUARD_INSTALL */
		{ 103, 103, 0 },            /* MADV_GUARD_REMOVE */
	};
	struct fixture *f = *state;

	map_pages(f->mm, 0, 8, PROT_READ, 0);
	assert_int_equal(samara_mseal(f->mm, AT(0), 8 * PAGE, 0), 0);
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
		for (int a = advice[i].first; a <= advice[i].last; a++)
			assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, a), advice[i].answer);
	/* What the caller may write it may throw away, too. */
	map_pages(f->mm, 10, 12, RW, 0);
	assert_int_equal(samara_mseal(f->mm, AT(10), 2 * PAGE, 0), 0);
	assert_int_equal(samara_madvise(f->mm, AT(10), PAGE, MADV_DONTNEED), 0);
}

static void advice_above_all_mappings_finds_a_hole(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(samara_madvise(f->mm, AT(2), 4 * PAGE, MADV_DONTFORK), -ENOMEM);
	assert_true(flags_at(f->mm, 2) & SAMARA_VM_DONTCOPY);
	assert_int_equal(samara_madvise(f->mm, AT(4), PAGE, MADV_DONTFORK), -ENOMEM);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(protecting_the_middle_splits_and_going_back_joins),
		test(the_edge_moves_between_neighbours),
		test(protecting_many_stops_at_the_first_that_may_not),
		test(mprotect_arguments),
		test(advice_skips_holes_and_reports_them),
		test(each_advice_sets_and_clears_its_flag),
		test(advice_that_does_not_fit_the_mapping),
		test(locking_counts_and_splits),
		test(locking_everything_now_and_later),
		test(a_sealed_mapping_stays_as_it_is),
		test(advice_on_a_sealed_mapping),
		test(advice_above_all_mappings_finds_a_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
