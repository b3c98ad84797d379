/* SPDX-License-Identifier: MIT */
/*
 * Erasing, NULL stores, and what is left afterwards: nothing at all, when it
 * was the last entry.
 */

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/tree_model.h"

#define A ((void *)0xa000)
#define B ((void *)0xb000)

static void expect_nothing_left(struct maple_tree *mt)
{
	struct samara_report report = { NULL, "" };
	struct samara_tree_stats stats;

	mtree_lock(mt);
	if (samara_mtree_validate(mt, &report))
		fail_msg("%s: %s", report.invariant, report.text);
	samara_mtree_stats(mt, &stats);
	mtree_unlock(mt);
	assert_null(mt->ma_root);
	assert_true(mtree_empty(mt));
	assert_int_equal(mt_height(mt), 0);
	assert_int_equal(stats.entries, 0);
	assert_int_equal(stats.erased, 0);
	assert_int_equal(stats.leaves, 0);
	assert_int_equal(stats.nodes, 0);
	assert_int_equal(stats.levels, 0);
	assert_int_equal(stats.bytes, 0);
}

static void fill(struct maple_tree *mt, unsigned int flags, unsigned long n)
{
	unsigned long i;

	mt_init_flags(mt, flags);
	for (i = 0; i < n; i++)
		assert_int_equal(mtree_store_range(mt, 16 * i, 16 * i + 7, A, GFP_KERNEL), 0);
}

/* Nodes wholly within the range, at each level and under the root too, are freed with it. */
static void a_store_over_many_nodes_leaves_none_of_them(void **state)
{
	static const unsigned long sizes[] = { 20, 100, 2000, 20000 };
	unsigned long before = samara_live_objects(), edge;
	unsigned int flags;
	size_t i;

	for (flags = 0; flags < 4; flags++) {
		for (i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
			const unsigned long n = sizes[i / 2];
			struct maple_tree mt;

			edge = i % 2 ? 3 : n / 3;
			fill(&mt, flags, n);
			assert_int_equal(mtree_store_range(&mt, 16 * edge, 16 * (n - edge),
							   i % 4 < 2 ? A : NULL, GFP_KERNEL),
					 0);
			mtree_destroy(&mt);
			assert_int_equal(samara_live_objects(), before);
		}
	}
}

/* An implementation may keep a few empty nodes cached; its trees may not. */
static void whole_null_store_leaves_no_node(void **state)
{
	static const unsigned long sizes[] = { 0, 1, 2, 20, 21, 100, 2000 };
	unsigned long before = samara_live_objects();
	unsigned int flags;
	size_t i;

	for (flags = 0; flags < 4; flags++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct maple_tree mt;

			fill(&mt, flags, sizes[i]);
			samara_inject_from(1);
			assert_int_equal(mtree_store_range(&mt, 0, ULONG_MAX, NULL, GFP_KERNEL), 0);
			samara_inject_from(0);
			expect_nothing_left(&mt);
		}
	}
	assert_int_equal(samara_live_objects(), before);
}

/* The stored range is not everything; with the empty ranges at its ends it is. */
static void null_store_that_becomes_everything_leaves_no_node(void **state)
{
	unsigned long before = samara_live_objects();
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt;
		MA_STATE(mas, &mt, 100, 16 * 500);

		fill(&mt, flags, 500);
		assert_int_equal(mtree_store_range(&mt, 0, 110, NULL, GFP_KERNEL), 0);
		mtree_lock(&mt);
		samara_inject_from(1);
		(void)mas_store(&mas, NULL);
		samara_inject_from(0);
		assert_false(mas_is_err(&mas));
		mtree_unlock(&mt);
		expect_nothing_left(&mt);

		/* entry by entry from the middle outwards */
		fill(&mt, flags, 300);
		samara_inject_from(1);
		for (unsigned long i = 0; i < 150; i++) {
			assert_ptr_equal(mtree_erase(&mt, 16 * (150 + i)), A);
			assert_ptr_equal(mtree_erase(&mt, 16 * (149 - i) + 7), A);
		}
		samara_inject_from(0);
		expect_nothing_left(&mt);

		/* the first and the last index */
		assert_int_equal(mtree_store(&mt, 0, A, GFP_KERNEL), 0);
		assert_int_equal(mtree_store(&mt, ULONG_MAX, B, GFP_KERNEL), 0);
		assert_int_equal(mtree_store_range(&mt, 1, ULONG_MAX, NULL, GFP_KERNEL), 0);
		assert_ptr_equal(mtree_load(&mt, 0), A);
		assert_ptr_equal(mtree_erase(&mt, 0), A);
		expect_nothing_left(&mt);
	}
	assert_int_equal(samara_live_objects(), before);
}

static void entries_that_are_only_cut_stay(void **state)
{
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt;
		struct tree_model m;
		char text[300] = "";
		unsigned long i;

		fill(&mt, flags, 200);
		model_init(&m);
		for (i = 0; i < 200; i++)
			model_store(&m, 16 * i, 16 * i + 7, A);
		/* from inside the first to inside the last */
		assert_int_equal(mtree_store_range(&mt, 3, 16 * 199 + 3, NULL, GFP_KERNEL), 0);
		model_store(&m, 3, 16 * 199 + 3, NULL);
		mtree_lock(&mt);
		if (model_compare(&m, &mt, text, sizeof(text)))
			fail_msg("%s", text);
		mtree_unlock(&mt);
		assert_ptr_equal(mtree_load(&mt, 2), A);
		assert_null(mtree_load(&mt, 3));
		assert_ptr_equal(mtree_load(&mt, 16 * 199 + 4), A);
		/* a hole in what is left */
		assert_int_equal(mtree_store(&mt, 1, NULL, GFP_KERNEL), 0);
		assert_ptr_equal(mtree_load(&mt, 0), A);
		assert_null(mtree_load(&mt, 1));
		assert_ptr_equal(mtree_load(&mt, 2), A);
		assert_ptr_equal(mtree_erase(&mt, 0), A);
		assert_ptr_equal(mtree_erase(&mt, 2), A);
		assert_ptr_equal(mtree_erase(&mt, 16 * 199 + 7), A);
		expect_nothing_left(&mt);
		model_free(&m);
	}
}

static void erase_takes_the_whole_range(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);

	assert_int_equal(mtree_store_range(&mt, 10, 19, A, GFP_KERNEL), 0);
	assert_int_equal(mtree_store_range(&mt, 20, 29, B, GFP_KERNEL), 0);
	assert_null(mtree_erase(&mt, 9));
	assert_null(mtree_erase(&mt, 30));
	assert_ptr_equal(mtree_erase(&mt, 15), A);
	assert_null(mtree_erase(&mt, 15));
	assert_null(mtree_load(&mt, 10));
	assert_null(mtree_load(&mt, 19));
	assert_ptr_equal(mtree_load(&mt, 20), B);
	assert_ptr_equal(mtree_erase(&mt, 29), B);
	expect_nothing_left(&mt);
}

static void mas_erase_works_from_every_state(void **state)
{
	struct maple_tree mt;
	MA_STATE(mas, &mt, 0, 0);

	fill(&mt, MT_FLAGS_USE_RCU, 100);
	mtree_lock(&mt);
	mas_set(&mas, 16 * 50 + 2);
	mas_walk(&mas);
	assert_ptr_equal(mas_erase(&mas), A);
	mas_set(&mas, 16 * 51);
	mas_walk(&mas);
	mas_pause(&mas);
	assert_ptr_equal(mas_erase(&mas), A);
	mas_set(&mas, 16 * 52);
	mas_walk(&mas);
	assert_null(mas_next(&mas, mas.last));
	assert_true(mas_is_overflow(&mas));
	assert_ptr_equal(mas_erase(&mas), A);
	mas_set(&mas, 16 * 53);
	mas_walk(&mas);
	assert_null(mas_prev(&mas, mas.index));
	assert_ptr_equal(mas_erase(&mas), A);
	/* nothing there */
	mas_set(&mas, 16 * 53);
	assert_null(mas_erase(&mas));
	/* and the cursor can go both ways from where something was */
	mas_set(&mas, 16 * 60);
	assert_ptr_equal(mas_erase(&mas), A);
	assert_ptr_equal(mas_next(&mas, ULONG_MAX), A);
	assert_int_equal(mas.index, 16 * 61);
	assert_ptr_equal(mas_erase(&mas), A);
	assert_ptr_equal(mas_prev(&mas, 0), A);
	assert_int_equal(mas.index, 16 * 59);
	mtree_unlock(&mt);
	mtree_destroy(&mt);
}

/* Erased slots stay in their leaf for a while; the range reaches over them. */
static void a_cursor_that_stored_null_stands_on_the_whole_empty_range(void **state)
{
	static const struct {
		unsigned long erased, index, last; /* last: of the empty range around 16..23 */
	} cases[] = {
		{ 32, 8, 47 }, /* the one behind it */
		{ 48, 8, 31 }, /* one further on */
		{ 0, 0, 31 },  /* the one before it */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct maple_tree mt;
		MA_STATE(mas, &mt, 16, 23);

		fill(&mt, 0, 8);
		assert_ptr_equal(mtree_erase(&mt, cases[i].erased), A);
		mas_lock(&mas);
		mas_store(&mas, NULL);
		mas_unlock(&mas);
		assert_int_equal(mas.index, cases[i].index);
		assert_int_equal(mas.last, cases[i].last);
		mtree_destroy(&mt);
	}
}

static void for_each_with_erase_inside(void **state)
{
	unsigned int flags, keep;

	for (flags = 0; flags < 4; flags++) {
		for (keep = 1; keep <= 4; keep++) {
			struct maple_tree mt;
			MA_STATE(mas, &mt, 0, 0);
			unsigned long met = 0;
			void *entry;

			fill(&mt, flags, 600);
			mtree_lock(&mt);
			samara_inject_from(1);
			mas_for_each(&mas, entry, ULONG_MAX) {
				assert_int_equal(mas.index, 16 * met);
				if (met++ % keep == 0)
					assert_ptr_equal(mas_erase(&mas), entry);
			}
			samara_inject_from(0);
			assert_int_equal(met, 600);
			mas_set(&mas, 0);
			met = 0;
			mas_for_each(&mas, entry, ULONG_MAX)
				met++;
			assert_int_equal(met, 600 - (600 + keep - 1) / keep);
			mtree_unlock(&mt);
			if (keep == 1)
				expect_nothing_left(&mt);
			mtree_destroy(&mt);
		}
	}
}

static void zero_entries_are_erased_like_others(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);

	assert_int_equal(mtree_store_range(&mt, 5, 9, XA_ZERO_ENTRY, GFP_KERNEL), 0);
	assert_null(mtree_load(&mt, 7));
	assert_false(mtree_empty(&mt));
	assert_true(xa_is_zero(mtree_erase(&mt, 7)));
	expect_nothing_left(&mt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_over_many_nodes_leaves_none_of_them),
		cmocka_unit_test(whole_null_store_leaves_no_node),
		cmocka_unit_test(null_store_that_becomes_everything_leaves_no_node),
		cmocka_unit_test(entries_that_are_only_cut_stay),
		cmocka_unit_test(erase_takes_the_whole_range),
		cmocka_unit_test(mas_erase_works_from_every_state),
		cmocka_unit_test(a_cursor_that_stored_null_stands_on_the_whole_empty_range),
		cmocka_unit_test(for_each_with_erase_inside),
		cmocka_unit_test(zero_entries_are_erased_like_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
