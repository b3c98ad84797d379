/* SPDX-License-Identifier: MIT */
/*
 * Searching for free indices, and allocating them: bounds, errno, both
 * directions, the cyclic kind.
 */
#include <errno.h>

#include "support/cmocka_all.h"
#include "support/tree_model.h"

#define A ((void *)0xa000)
#define M ULONG_MAX

static struct maple_tree mt;

static void open_tree(unsigned int flags)
{
	mt_init_flags(&mt, MT_FLAGS_ALLOC_RANGE | flags);
}

static void put(unsigned long first, unsigned long last)
{
	assert_int_equal(mtree_store_range(&mt, first, last, A, GFP_KERNEL), 0);
}

static void up(unsigned long min, unsigned long max, unsigned long size, int want,
	       unsigned long first)
{
	MA_STATE(mas, &mt, 0, 0);
	int err;

	mtree_lock(&mt);
	err = mas_empty_area(&mas, min, max, size);
	mtree_unlock(&mt);
	if (err != want || (!err && (mas.index != first || mas.last != first + size - 1)))
		fail_msg("%#lx in %#lx..%#lx upwards: %d %#lx..%#lx, should be %d %#lx", size, min,
			 max, err, mas.index, mas.last, want, first);
}

static void down(unsigned long min, unsigned long max, unsigned long size, int want,
		 unsigned long first)
{
	MA_STATE(mas, &mt, 0, 0);
	int err;

	mtree_lock(&mt);
	err = mas_empty_area_rev(&mas, min, max, size);
	mtree_unlock(&mt);
	if (err != want || (!err && (mas.index != first || mas.last != first + size - 1)))
		fail_msg("%#lx in %#lx..%#lx downwards: %d %#lx..%#lx, should be %d %#lx", size,
			 min, max, err, mas.index, mas.last, want, first);
}

static void both(unsigned long min, unsigned long max, unsigned long size, int err)
{
	up(min, max, size, err, 0);
	down(min, max, size, err, 0);
}

static void impossible_windows_are_refused(void **state)
{
	open_tree(0);
	both(10, 9, 1, -EINVAL);
	both(10, 20, 0, -EINVAL);
	both(10, 20, 12, -EINVAL);
	up(0, M - 1, M, 0, 0);
	down(0, M - 1, M, 0, 0);
	up(0, M, M, 0, 0);
	down(0, M, M, 0, 1);
	put(100, 199);
	both(10, 9, 1, -EINVAL);
	both(10, 20, 0, -EINVAL);
	both(10, 20, 12, -EINVAL);
	both(10, 20, M, -EINVAL);
	mtree_destroy(&mt);
}

static void empty_tree_gives_the_ends_of_the_window(void **state)
{
	open_tree(0);
	up(0, M, 1, 0, 0);
	down(0, M, 1, 0, M);
	up(5, 50, 46, 0, 5);
	down(5, 50, 10, 0, 41);
}

static void root_entry_takes_index_zero(void **state)
{
	open_tree(0);
	put(0, 0);
	up(0, M, 1, 0, 1);
	down(0, M, M, 0, 1);
	down(0, 5, 5, 0, 1);
	both(0, 5, 6, -EBUSY);
	both(0, 0, 1, -EBUSY);
	up(1, 5, 5, 0, 1);
	mtree_destroy(&mt);
}

static void gaps_between_and_around_entries(void **state)
{
	open_tree(0);
	put(100, 199);
	put(210, 299);
	put(400, M - 5);
	up(0, M, 100, 0, 0);
	up(0, M, 101, -EBUSY, 0);
	up(50, M, 50, 0, 50);
	up(50, M, 51, 0, 300);
	up(51, M, 50, 0, 300);
	up(100, 250, 10, 0, 200);
	up(100, 250, 11, -EBUSY, 0);
	up(205, 250, 5, 0, 205);
	up(205, 250, 6, -EBUSY, 0);
	up(120, 180, 1, -EBUSY, 0);
	up(250, 349, 50, 0, 300);
	up(250, 349, 51, -EBUSY, 0);
	up(M - 4, M, 5, 0, M - 4);
	up(500, M, 6, -EBUSY, 0);
	down(0, M, 5, 0, M - 4);
	down(0, M, 6, 0, 394);
	down(0, M, 100, 0, 300);
	down(0, 340, 20, 0, 321);
	down(0, 340, 41, 0, 300);
	down(0, 340, 42, 0, 58);
	down(0, 205, 6, 0, 200);
	down(0, 205, 7, 0, 93);
	down(203, 205, 3, 0, 203);
	down(120, 180, 1, -EBUSY, 0);
	down(50, 99, 50, 0, 50);
	down(51, 150, 50, -EBUSY, 0);
	mtree_destroy(&mt);
}

/* Gaps that straddle leaves, close and open again as entries come and go. */
static void gaps_follow_every_change_in_a_large_tree(void **state)
{
	unsigned int rcu;
	unsigned long i;

	for (rcu = 0; rcu <= MT_FLAGS_USE_RCU; rcu += MT_FLAGS_USE_RCU) {
		open_tree(rcu);
		for (i = 0; i < 3000; i++)
			put(10 * i, 10 * i + 7); /* gaps of two */
		up(0, M, 2, 0, 8);
		up(0, M, 3, 0, 29998);
		up(0, 29999, 3, -EBUSY, 0);
		down(0, 29997, 2, 0, 29988);
		for (i = 0; i < 3000; i++) {
			unsigned long at = 10 * (i * 1237 % 3000);

			assert_ptr_equal(mtree_erase(&mt, at), A);
			if (at)
				up(0, 29999, 12, 0, at - 2);
			down(0, 29999, 10, 0, at == 29990 ? 29990 : at);
			put(at, at + 7);
			up(0, 29999, 3, -EBUSY, 0);
			down(0, 29997, 3, -EBUSY, 0);
		}
		assert_int_equal(mtree_store_range(&mt, 5000, 20007, NULL, GFP_KERNEL), 0);
		up(0, 29999, 3, 0, 4998);
		up(0, 29999, 15012, 0, 4998);
		up(0, 29999, 15013, -EBUSY, 0);
		down(0, 29997, 3, 0, 20007);
		mtree_destroy(&mt);
	}
}

static void alloc_refuses_bad_arguments(void **state)
{
	struct maple_tree plain = MTREE_INIT(plain, 0);
	unsigned long at = 77, next = 3;

	assert_int_equal(mtree_alloc_range(&plain, &at, A, 1, 0, M, GFP_KERNEL), -EINVAL);
	assert_int_equal(mtree_alloc_rrange(&plain, &at, A, 1, 0, M, GFP_KERNEL), -EINVAL);
	assert_int_equal(mtree_alloc_cyclic(&plain, &at, A, 0, M, &next, GFP_KERNEL), -EINVAL);
	open_tree(0);
	for (unsigned long v = 2; v < 4096; v += 4) {
		assert_int_equal(mtree_alloc_range(&mt, &at, (void *)v, 1, 0, M, GFP_KERNEL),
				 -EINVAL);
		assert_int_equal(mtree_alloc_rrange(&mt, &at, (void *)v, 1, 0, M, GFP_KERNEL),
				 -EINVAL);
		assert_int_equal(mtree_alloc_cyclic(&mt, &at, (void *)v, 0, M, &next, GFP_KERNEL),
				 -EINVAL);
	}
	assert_int_equal(mtree_alloc_range(&mt, &at, A, 0, 0, M, GFP_KERNEL), -EINVAL);
	assert_int_equal(mtree_alloc_range(&mt, &at, A, 5, 10, 13, GFP_KERNEL), -EINVAL);
	assert_int_equal(mtree_alloc_rrange(&mt, &at, A, 5, 10, 9, GFP_KERNEL), -EINVAL);
	assert_int_equal(at, 77);
	assert_int_equal(next, 3);
	assert_true(mtree_empty(&mt));
}

static void alloc_fills_from_below_and_from_above(void **state)
{
	unsigned long at, i;

	open_tree(0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(mtree_alloc_range(&mt, &at, A, 8, 1000, 1799, GFP_KERNEL), 0);
		assert_int_equal(at, 1000 + 8 * i);
	}
	assert_int_equal(mtree_alloc_range(&mt, &at, A, 8, 1000, 1799, GFP_KERNEL), -EBUSY);
	assert_int_equal(mtree_alloc_rrange(&mt, &at, A, 1, 1000, 1799, GFP_KERNEL), -EBUSY);
	assert_ptr_equal(mtree_erase(&mt, 1500), A);
	assert_int_equal(mtree_alloc_rrange(&mt, &at, A, 3, 1000, 1799, GFP_KERNEL), 0);
	assert_int_equal(at, 1501);
	assert_int_equal(mtree_alloc_range(&mt, &at, A, 3, 1000, 1799, GFP_KERNEL), 0);
	assert_int_equal(at, 1496);
	mtree_destroy(&mt);
	for (i = 0; i < 100; i++) {
		assert_int_equal(mtree_alloc_rrange(&mt, &at, A, 4096, 0, M, GFP_KERNEL), 0);
		assert_int_equal(at, 0ul - 4096 * (i + 1));
	}
	mtree_destroy(&mt);
}

static void cyclic_allocation_wraps_round(void **state)
{
	unsigned long at = 0, next = 0, i;

	open_tree(0);
	for (i = 0; i < 10; i++) {
		assert_int_equal(mtree_alloc_cyclic(&mt, &at, A, 5, 24, &next, GFP_KERNEL), 0);
		assert_int_equal(at, 5 + i);
		assert_int_equal(next, at + 1);
	}
	assert_ptr_equal(mtree_erase(&mt, 7), A);
	/* goes on behind, although 7 is free */
	for (; i < 20; i++) {
		assert_int_equal(mtree_alloc_cyclic(&mt, &at, A, 5, 24, &next, GFP_KERNEL), 0);
		assert_int_equal(at, 5 + i);
	}
	assert_int_equal(mtree_alloc_cyclic(&mt, &at, A, 5, 24, &next, GFP_KERNEL), 1);
	assert_int_equal(at, 7);
	assert_int_equal(next, 8);
	at = 77;
	assert_int_equal(mtree_alloc_cyclic(&mt, &at, A, 5, 24, &next, GFP_KERNEL), -EBUSY);
	assert_int_equal(at, 77);
	assert_int_equal(next, 8);
	mtree_destroy(&mt);
}

static void cyclic_allocation_notes_the_wrap_at_the_top(void **state)
{
	unsigned long at = 0, next = M;

	open_tree(0);
	assert_int_equal(mtree_alloc_cyclic(&mt, &at, A, 0, M, &next, GFP_KERNEL), 0);
	assert_int_equal(at, M);
	assert_int_equal(next, 0);
	assert_true(mt.ma_flags & MT_FLAGS_ALLOC_WRAPPED);
	assert_int_equal(mtree_alloc_cyclic(&mt, &at, A, 0, M, &next, GFP_KERNEL), 1);
	assert_int_equal(at, 0);
	assert_int_equal(next, 1);
	assert_false(mt.ma_flags & MT_FLAGS_ALLOC_WRAPPED);
	assert_int_equal(mtree_alloc_cyclic(&mt, &at, A, 0, M, &next, GFP_KERNEL), 0);
	assert_int_equal(at, 1);
	mtree_destroy(&mt);
}

static void cursor_on_a_gap_can_store_there(void **state)
{
	MA_STATE(mas, &mt, 0, 0);
	unsigned long i;

	open_tree(MT_FLAGS_USE_RCU);
	for (i = 0; i < 400; i++)
		put(20 * i, 20 * i + 9);
	mtree_lock(&mt);
	for (i = 0; i < 400; i++) {
		mas_set(&mas, 0);
		assert_int_equal(mas_empty_area(&mas, 0, M, 10), 0);
		assert_int_equal(mas.index, 20 * i + 10);
		assert_int_equal(mas_store_gfp(&mas, A, GFP_KERNEL), 0);
	}
	mas_set(&mas, 0);
	assert_int_equal(mas_empty_area(&mas, 0, 7999, 1), -EBUSY);
	assert_int_equal(samara_mas_errno(&mas), -EBUSY);
	mas_set(&mas, 0);
	assert_int_equal(mas_empty_area_rev(&mas, 0, 7999, 1), -EBUSY);
	assert_int_equal(samara_mas_errno(&mas), -EBUSY);
	mas_set(&mas, 7);
	assert_int_equal(mas_empty_area(&mas, 2, 1, 1), -EINVAL); /* says nothing of the tree */
	assert_false(mas_is_err(&mas));
	assert_int_equal(mas.index, 7);
	mas_set(&mas, 42); /* the cursor is usable again */
	assert_ptr_equal(mas_walk(&mas), A);
	mtree_unlock(&mt);
	mtree_destroy(&mt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_windows_are_refused),
		cmocka_unit_test(empty_tree_gives_the_ends_of_the_window),
		cmocka_unit_test(root_entry_takes_index_zero),
		cmocka_unit_test(gaps_between_and_around_entries),
		cmocka_unit_test(gaps_follow_every_change_in_a_large_tree),
		cmocka_unit_test(alloc_refuses_bad_arguments),
		cmocka_unit_test(alloc_fills_from_below_and_from_above),
		cmocka_unit_test(cyclic_allocation_wraps_round),
		cmocka_unit_test(cyclic_allocation_notes_the_wrap_at_the_top),
		cmocka_unit_test(cursor_on_a_gap_can_store_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
