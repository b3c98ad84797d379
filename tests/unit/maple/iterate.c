/* SPDX-License-Identifier: MIT */
/*
 * Going through a tree: mt_find() and its family, pauses, both directions,
 * the ends of the index space, small and large trees.
 */

#include "support/cmocka_all.h"
#include "support/tree_model.h"

#define A ((void *)0xa000)
#define B ((void *)0xb000)
#define M ULONG_MAX

/* n entries i of 16 i .. 16 i + 7; value i + 1 */
static void grow(struct maple_tree *mt, unsigned int flags, unsigned long n)
{
	unsigned long i;

	mt_init_flags(mt, flags);
	for (i = 0; i < n; i++)
		assert_int_equal(mtree_store_range(mt, 16 * i, 16 * i + 7, xa_mk_value(i + 1),
						   GFP_KERNEL),
				 0);
}

static void mt_for_each_meets_every_entry_once(void **state)
{
	static const unsigned long sizes[] = { 0, 1, 2, 20, 21, 640, 3000 };
	unsigned int flags;
	size_t s;

	for (flags = 0; flags < 4; flags++) {
		for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			unsigned long index = 0, n = 0;
			struct maple_tree mt;
			void *entry;

			grow(&mt, flags, sizes[s]);
			mt_for_each(&mt, entry, index, M) {
				assert_ptr_equal(entry, xa_mk_value(++n));
				assert_int_equal(index, 16 * (n - 1) + 8);
			}
			assert_int_equal(n, sizes[s]);
			/* up to a limit inside an entry: that one is the last */
			index = n = 0;
			mt_for_each(&mt, entry, index, 16 * 5 + 3)
				n++;
			assert_int_equal(n, sizes[s] < 6 ? sizes[s] : 6);
			mtree_destroy(&mt);
		}
	}
}

static void mt_find_at_the_top_stops(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	unsigned long index = 0, n = 0;
	void *entry;

	assert_int_equal(mtree_store_range(&mt, M - 5, M, A, GFP_KERNEL), 0);
	assert_int_equal(mtree_store_range(&mt, 3, 4, B, GFP_KERNEL), 0);
	mt_for_each(&mt, entry, index, M)
		n++;
	assert_int_equal(n, 2);
	assert_int_equal(index, 0); /* wrapped: mt_find_after() takes this for the end */
	assert_null(mt_find_after(&mt, &index, M));
	assert_int_equal(index, 0);
	index = 4;
	assert_ptr_equal(mt_find_after(&mt, &index, M), B);
	assert_int_equal(index, 5);
	index = 9;
	assert_null(mt_find(&mt, &index, 8));
	assert_int_equal(index, 9);
	assert_null(mt_find(&mt, &index, M - 6));
	assert_int_equal(index, 9);
	assert_ptr_equal(mt_find(&mt, &index, M - 5), A);
	mtree_destroy(&mt);
}

static void mt_find_passes_over_zero_entries(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	unsigned long index = 0, i;
	MA_STATE(mas, &mt, 0, 0);

	for (i = 0; i < 200; i++)
		assert_int_equal(mtree_store(&mt, 5 + i, XA_ZERO_ENTRY, GFP_KERNEL), 0);
	assert_null(mt_find(&mt, &index, M));
	assert_int_equal(index, 0);
	assert_int_equal(mtree_store(&mt, 300, A, GFP_KERNEL), 0);
	assert_ptr_equal(mt_find(&mt, &index, M), A);
	assert_int_equal(index, 301);
	assert_true(xa_is_zero(mt_next(&mt, 0, M)));
	assert_true(xa_is_zero(mt_prev(&mt, 300, 0)));
	mtree_lock(&mt);
	assert_true(xa_is_zero(mas_find(&mas, M)));
	assert_int_equal(mas.index, 5);
	mtree_unlock(&mt);
	mtree_destroy(&mt);
}

static void mt_next_and_mt_prev(void **state)
{
	struct maple_tree mt;

	grow(&mt, 0, 300);
	assert_ptr_equal(mt_next(&mt, 0, M), xa_mk_value(2));
	assert_ptr_equal(mt_next(&mt, 7, 16), xa_mk_value(2));
	assert_null(mt_next(&mt, 7, 15));
	assert_null(mt_next(&mt, 7, 7));
	assert_null(mt_next(&mt, 9, 8));
	assert_ptr_equal(mt_next(&mt, 8, M), xa_mk_value(2));
	assert_null(mt_next(&mt, 16 * 299, M));
	assert_null(mt_next(&mt, M, M));
	assert_ptr_equal(mt_prev(&mt, M, 0), xa_mk_value(300));
	assert_ptr_equal(mt_prev(&mt, 16, 0), xa_mk_value(1));
	assert_ptr_equal(mt_prev(&mt, 16, 7), xa_mk_value(1));
	assert_null(mt_prev(&mt, 16, 8));
	assert_ptr_equal(mt_prev(&mt, 12, 0), xa_mk_value(1));
	assert_null(mt_prev(&mt, 7, 0));
	assert_null(mt_prev(&mt, 0, 0));
	mtree_destroy(&mt);
}

static void pause_lets_others_change_the_tree(void **state)
{
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt;
		MA_STATE(mas, &mt, 0, 0);
		unsigned long met = 0;
		void *entry;

		grow(&mt, flags, 400);
		mtree_lock(&mt);
		mas_for_each(&mas, entry, M) {
			assert_ptr_equal(entry, xa_mk_value(++met));
			mas_pause(&mas);
			mtree_unlock(&mt);
			/* the entry itself and those before go; one comes behind the next */
			assert_ptr_equal(mtree_erase(&mt, 16 * (met - 1)), entry);
			assert_int_equal(mtree_store(&mt, 16 * (met - 1) + 12, B, GFP_KERNEL), 0);
			assert_ptr_equal(mtree_erase(&mt, 16 * (met - 1) + 12), B);
			mtree_lock(&mt);
		}
		assert_int_equal(met, 400);
		assert_true(mtree_empty(&mt));
		/* and downwards */
		mtree_unlock(&mt);
		grow(&mt, flags, 400);
		mtree_lock(&mt);
		mas_set(&mas, M);
		mas_for_each_rev(&mas, entry, 0) {
			assert_ptr_equal(entry, xa_mk_value(met--));
			mas_pause(&mas);
			mtree_unlock(&mt);
			assert_ptr_equal(mtree_erase(&mt, 16 * met), entry);
			mtree_lock(&mt);
		}
		assert_int_equal(met, 0);
		assert_true(mtree_empty(&mt));
		mtree_unlock(&mt);
	}
}

static void ranges_cover_the_whole_index_space(void **state)
{
	static const unsigned long sizes[] = { 2, 20, 21, 700 };
	size_t s;

	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct maple_tree mt;
		MA_STATE(mas, &mt, 0, 0);
		unsigned long at = 0, i;

		grow(&mt, MT_FLAGS_ALLOC_RANGE, sizes[s]);
		for (i = 1; i < sizes[s]; i += 3) /* holes join their neighbours */
			assert_non_null(mtree_erase(&mt, 16 * i));
		mtree_lock(&mt);
		for (mas_walk(&mas); mas_is_active(&mas); mas_next_range(&mas, M)) {
			assert_int_equal(mas.index, at);
			at = mas.last + 1;
		}
		assert_true(mas_is_overflow(&mas));
		assert_int_equal(at, 0);
		mas_set(&mas, M);
		for (mas_walk(&mas); mas_is_active(&mas); mas_prev_range(&mas, 0)) {
			assert_int_equal(mas.last, at - 1);
			at = mas.index;
		}
		assert_true(mas_is_underflow(&mas));
		assert_int_equal(at, 0);
		mtree_unlock(&mt);
		mtree_destroy(&mt);
	}
}

static void turning_round_meets_the_same_entries(void **state)
{
	struct maple_tree mt;
	MA_STATE(mas, &mt, 0, 0);
	unsigned long i, k;

	grow(&mt, MT_FLAGS_USE_RCU, 1000);
	mtree_lock(&mt);
	assert_ptr_equal(mas_walk(&mas), xa_mk_value(1));
	for (i = 1; i < 990; i += 3) {
		/* five forwards, two back: over every leaf's edge */
		for (k = 0; k < 5; k++)
			assert_ptr_equal(mas_next(&mas, M), xa_mk_value(i + k + 1));
		for (k = 5; k-- > 3;)
			assert_ptr_equal(mas_prev(&mas, 0), xa_mk_value(i + k));
	}
	mtree_unlock(&mt);
	mtree_destroy(&mt);
}

/* Each leaf has its own part of the index space, and the parts leave nothing out. */
static void min_and_max_are_those_of_the_leaf(void **state)
{
	struct maple_tree mt;
	MA_STATE(mas, &mt, 0, 0);
	unsigned long min, max, leaves = 1;
	struct samara_tree_stats stats;
	void *entry;

	grow(&mt, MT_FLAGS_ALLOC_RANGE, 3000);
	mtree_lock(&mt);
	samara_mtree_stats(&mt, &stats);
	assert_non_null(mas_walk(&mas));
	min = mas.min;
	max = mas.max;
	assert_int_equal(min, 0);
	mas_for_each(&mas, entry, M) {
		assert_true(mas.min <= mas.index && mas.last <= mas.max);
		if (mas.min == min) {
			assert_int_equal(mas.max, max);
			continue;
		}
		assert_int_equal(mas.min, max + 1);
		min = mas.min;
		max = mas.max;
		leaves++;
	}
	assert_int_equal(max, M);
	assert_int_equal(leaves, stats.leaves);
	mas_set(&mas, 0); /* from the last leaf back to the first */
	assert_non_null(mas_walk(&mas));
	assert_int_equal(mas.min, 0);
	assert_true(mas.max < M);
	mtree_unlock(&mt);
	mtree_destroy(&mt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mt_for_each_meets_every_entry_once),
		cmocka_unit_test(mt_find_at_the_top_stops),
		cmocka_unit_test(mt_find_passes_over_zero_entries),
		cmocka_unit_test(mt_next_and_mt_prev),
		cmocka_unit_test(pause_lets_others_change_the_tree),
		cmocka_unit_test(ranges_cover_the_whole_index_space),
		cmocka_unit_test(turning_round_meets_the_same_entries),
		cmocka_unit_test(min_and_max_are_those_of_the_leaf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
