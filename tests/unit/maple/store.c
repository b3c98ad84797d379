/* SPDX-License-Identifier: MIT */
/*
 * Storing and inserting: arguments that are refused, values of every kind, the
 * root entry, the cursor after a store.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "support/cmocka_all.h"
#include "support/tree_model.h"

#define A ((void *)0xa000)
#define B ((void *)0xb000)

static void expect_valid(struct maple_tree *mt)
{
	struct samara_report report = { NULL, "" };

	mtree_lock(mt);
	if (samara_mtree_validate(mt, &report))
		fail_msg("%s: %s", report.invariant, report.text);
	mtree_unlock(mt);
}

static void reserved_values_are_refused(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	unsigned long v;

	for (v = 2; v <= 1026; v += 4) {
		assert_int_equal(mtree_store(&mt, 5, (void *)v, GFP_KERNEL), -EINVAL);
		assert_int_equal(mtree_store_range(&mt, 5, 9, (void *)v, GFP_KERNEL), -EINVAL);
		assert_int_equal(mtree_insert(&mt, 5, (void *)v, GFP_KERNEL), -EINVAL);
		assert_int_equal(mtree_insert_range(&mt, 5, 9, (void *)v, GFP_KERNEL), -EINVAL);
	}
	assert_true(mtree_empty(&mt));
}

static void values_of_any_low_bits_are_stored(void **state)
{
	static const unsigned long values[] = { 1,      3,    4,    1030, 4098,
						0x1002, ~0ul, ~1ul, ~3ul, 1ul << 63 };
	size_t i, j;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		void *v = (void *)values[i], *seen = xa_is_zero(v) ? NULL : v;
		struct maple_tree mt = MTREE_INIT(mt, 0);
		MA_STATE(mas, &mt, 0, 0);

		/* 0..0 alone is where an entry and a node could be mistaken for each other */
		assert_int_equal(mtree_store(&mt, 0, v, GFP_KERNEL), 0);
		assert_ptr_equal(mtree_load(&mt, 0), seen);
		assert_null(mtree_load(&mt, 1));
		mtree_lock(&mt);
		assert_ptr_equal(mas_walk(&mas), v);
		mtree_unlock(&mt);
		expect_valid(&mt);
		for (j = 10; j < 100; j++)
			assert_int_equal(mtree_store_range(&mt, 10 * j, 10 * j + 5, v, GFP_KERNEL),
					 0);
		for (j = 10; j < 100; j++)
			assert_ptr_equal(mtree_load(&mt, 10 * j + 3), seen);
		assert_ptr_equal(mtree_load(&mt, 0), seen);
		expect_valid(&mt);
		assert_ptr_equal(mtree_erase(&mt, 500), v);
		mtree_destroy(&mt);
		assert_true(mtree_empty(&mt));
	}
}

static void backward_ranges_are_refused(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	MA_STATE(mas, &mt, 10, 9);

	assert_int_equal(mtree_store_range(&mt, 10, 9, A, GFP_KERNEL), -EINVAL);
	assert_int_equal(mtree_store_range(&mt, ULONG_MAX, 0, A, GFP_KERNEL), -EINVAL);
	assert_int_equal(mtree_store_range(&mt, 10, 9, NULL, GFP_KERNEL), -EINVAL);
	assert_int_equal(mtree_insert_range(&mt, 10, 9, A, GFP_KERNEL), -EINVAL);
	mtree_lock(&mt);
	assert_null(mas_store(&mas, A));
	assert_int_equal(samara_mas_errno(&mas), -EINVAL);
	mtree_unlock(&mt);
	assert_true(mtree_empty(&mt));
}

static void insert_finds_the_range_occupied(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);

	assert_int_equal(mtree_insert_range(&mt, 10, 19, A, GFP_KERNEL), 0);
	assert_int_equal(mtree_insert(&mt, 10, B, GFP_KERNEL), -EEXIST);
	assert_int_equal(mtree_insert(&mt, 19, B, GFP_KERNEL), -EEXIST);
	assert_int_equal(mtree_insert_range(&mt, 0, 10, B, GFP_KERNEL), -EEXIST);
	assert_int_equal(mtree_insert_range(&mt, 19, 30, B, GFP_KERNEL), -EEXIST);
	assert_int_equal(mtree_insert_range(&mt, 0, ULONG_MAX, B, GFP_KERNEL), -EEXIST);
	assert_int_equal(mtree_insert_range(&mt, 20, ULONG_MAX, B, GFP_KERNEL), 0);
	assert_int_equal(mtree_insert_range(&mt, 0, 9, B, GFP_KERNEL), 0);
	assert_ptr_equal(mtree_load(&mt, 10), A);
	assert_ptr_equal(mtree_load(&mt, 19), A);
	assert_ptr_equal(mtree_load(&mt, 20), B);
	assert_ptr_equal(mtree_load(&mt, ULONG_MAX), B);
	mtree_destroy(&mt);
	/* also where the entry is the root itself */
	assert_int_equal(mtree_insert(&mt, 0, A, GFP_KERNEL), 0);
	assert_int_equal(mtree_insert(&mt, 0, B, GFP_KERNEL), -EEXIST);
	assert_int_equal(mtree_insert_range(&mt, 0, 7, B, GFP_KERNEL), -EEXIST);
	assert_int_equal(mtree_insert_range(&mt, 1, 7, B, GFP_KERNEL), 0);
	mtree_destroy(&mt);
}

static void insert_reuses_the_place_of_an_erased_entry(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, MT_FLAGS_USE_RCU);
	unsigned long i;

	for (i = 0; i < 100; i++)
		assert_int_equal(mtree_insert_range(&mt, 10 * i, 10 * i + 9, A, GFP_KERNEL), 0);
	for (i = 0; i < 100; i += 2)
		assert_ptr_equal(mtree_erase(&mt, 10 * i + 5), A);
	for (i = 0; i < 100; i += 2) {
		assert_int_equal(mtree_insert_range(&mt, 10 * i + 2, 10 * i + 3, B, GFP_KERNEL), 0);
		assert_int_equal(mtree_insert_range(&mt, 10 * i, 10 * i + 9, B, GFP_KERNEL),
				 -EEXIST);
	}
	expect_valid(&mt);
	for (i = 0; i < 1000; i++)
		assert_ptr_equal(mtree_load(&mt, i), i / 10 % 2                 ? A :
						     i % 10 == 2 || i % 10 == 3 ? B :
										  NULL);
	mtree_destroy(&mt);
}

static void single_entry_at_zero_needs_no_node(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	struct samara_tree_stats stats;

	assert_int_equal(mt_height(&mt), 0);
	assert_int_equal(mtree_store(&mt, 0, A, GFP_KERNEL), 0);
	assert_false(mtree_empty(&mt));
	assert_int_equal(mt_height(&mt), 0);
	mtree_lock(&mt);
	samara_mtree_stats(&mt, &stats);
	mtree_unlock(&mt);
	assert_int_equal(stats.entries, 1);
	assert_int_equal(stats.nodes, 0);
	assert_int_equal(stats.levels, 0);
	assert_int_equal(mtree_store(&mt, 0, B, GFP_KERNEL), 0);
	assert_ptr_equal(mtree_load(&mt, 0), B);
	assert_int_equal(mt_height(&mt), 0);
	assert_int_equal(mtree_store(&mt, 1, A, GFP_KERNEL), 0);
	assert_int_equal(mt_height(&mt), 1);
	assert_ptr_equal(mtree_load(&mt, 0), B);
	assert_ptr_equal(mtree_erase(&mt, 1), A);
	assert_ptr_equal(mtree_erase(&mt, 0), B);
	assert_true(mtree_empty(&mt));
	assert_int_equal(mt_height(&mt), 0);
	/* 0..1 is not that entry */
	assert_int_equal(mtree_store_range(&mt, 0, 1, A, GFP_KERNEL), 0);
	assert_int_equal(mt_height(&mt), 1);
	mtree_destroy(&mt);
}

static void range_over_everything(void **state)
{
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt = MTREE_INIT(mt, flags);
		unsigned long i;

		assert_int_equal(mtree_store_range(&mt, 0, ULONG_MAX, A, GFP_KERNEL), 0);
		assert_ptr_equal(mtree_load(&mt, 0), A);
		assert_ptr_equal(mtree_load(&mt, ULONG_MAX), A);
		assert_int_equal(mtree_store(&mt, 1ul << 40, B, GFP_KERNEL), 0);
		assert_ptr_equal(mtree_load(&mt, (1ul << 40) - 1), A);
		assert_ptr_equal(mtree_load(&mt, (1ul << 40) + 1), A);
		for (i = 0; i < 1000; i++)
			assert_int_equal(mtree_store(&mt, i * 3, B, GFP_KERNEL), 0);
		expect_valid(&mt);
		assert_int_equal(mtree_store_range(&mt, 0, ULONG_MAX, B, GFP_KERNEL), 0);
		expect_valid(&mt);
		assert_int_equal(mt_height(&mt), 1);
		assert_ptr_equal(mtree_erase(&mt, 77), B);
		assert_true(mtree_empty(&mt));
		assert_int_equal(mt_height(&mt), 0);
	}
}

static void equal_neighbours_are_not_joined(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	MA_STATE(mas, &mt, 15, 15);

	assert_int_equal(mtree_store_range(&mt, 10, 19, A, GFP_KERNEL), 0);
	assert_int_equal(mtree_store_range(&mt, 20, 29, A, GFP_KERNEL), 0);
	mtree_lock(&mt);
	assert_ptr_equal(mas_walk(&mas), A);
	assert_int_equal(mas.last, 19);
	assert_ptr_equal(mas_next(&mas, ULONG_MAX), A);
	assert_int_equal(mas.index, 20);
	mtree_unlock(&mt);
	assert_ptr_equal(mtree_erase(&mt, 15), A);
	assert_ptr_equal(mtree_load(&mt, 25), A);
	mtree_destroy(&mt);
}

static void mas_store_returns_what_was_there(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	MA_STATE(mas, &mt, 10, 19);

	mtree_lock(&mt);
	assert_null(mas_store(&mas, A));
	mas_set_range(&mas, 10, 19);
	assert_ptr_equal(mas_store(&mas, B), A);
	mas_set_range(&mas, 15, 30);
	assert_ptr_equal(mas_store(&mas, A), B);
	mas_set_range(&mas, 10, 10);
	assert_ptr_equal(mas_store(&mas, NULL), B);
	mas_set_range(&mas, 31, 40);
	assert_null(mas_store(&mas, NULL));
	mtree_unlock(&mt);
	assert_null(mtree_load(&mt, 10));
	assert_ptr_equal(mtree_load(&mt, 11), B);
	assert_ptr_equal(mtree_load(&mt, 30), A);
	mtree_destroy(&mt);
}

static void iteration_goes_on_after_a_store(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, MT_FLAGS_USE_RCU);
	MA_STATE(mas, &mt, 0, 0);
	unsigned long i, met = 0;
	void *entry;

	for (i = 1; i <= 500; i++)
		assert_int_equal(mtree_store_range(&mt, 10 * i, 10 * i + 4, A, GFP_KERNEL), 0);
	mtree_lock(&mt);
	/* replace each under way; the new one is not met again */
	mas_for_each(&mas, entry, ULONG_MAX) {
		assert_ptr_equal(entry, A);
		assert_ptr_equal(mas_store(&mas, B), A);
		met++;
	}
	assert_int_equal(met, 500);
	/* a store that swallows the next ones: go on behind it */
	mas_set_range(&mas, 1000, 3004);
	assert_ptr_equal(mas_store(&mas, A), B);
	assert_int_equal(mas.index, 1000);
	assert_int_equal(mas.last, 3004);
	assert_ptr_equal(mas_next(&mas, ULONG_MAX), B);
	assert_int_equal(mas.index, 3010);
	assert_ptr_equal(mas_prev(&mas, 0), A);
	assert_int_equal(mas.index, 1000);
	assert_ptr_equal(mas_prev(&mas, 0), B);
	assert_int_equal(mas.index, 990);
	/* __mas_set_range() inside the current range keeps the place */
	assert_ptr_equal(mas_next(&mas, ULONG_MAX), A);
	__mas_set_range(&mas, 1500, 1599);
	assert_int_equal(mas_store_gfp(&mas, NULL, GFP_KERNEL), 0);
	assert_ptr_equal(mas_next(&mas, ULONG_MAX), A);
	assert_int_equal(mas.index, 1600);
	assert_int_equal(mas.last, 3004);
	mtree_unlock(&mt);
	expect_valid(&mt);
	mtree_destroy(&mt);
}

static void expected_entries_then_stores_in_order(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, MT_FLAGS_ALLOC_RANGE);
	MA_STATE(mas, &mt, 0, 0);
	unsigned long i;

	mtree_lock(&mt);
	assert_int_equal(mas_expected_entries(&mas, 1000), 0);
	for (i = 0; i < 1000; i++) {
		mas_set_range(&mas, 16 * i, 16 * i + 7);
		assert_null(mas_store(&mas, A));
		assert_false(mas_is_err(&mas));
	}
	mas_destroy(&mas);
	mtree_unlock(&mt);
	expect_valid(&mt);
	for (i = 0; i < 1000; i++)
		assert_ptr_equal(mtree_load(&mt, 16 * i + 3), A);
	mtree_destroy(&mt);
}

static void *nth(unsigned long i)
{
	return (void *)((i + 1) << 12);
}

/* Of n entries, the i-th over 16 i .. 16 i + 7. */
static void fill(struct maple_tree *mt, unsigned int flags, unsigned long n)
{
	mt_init_flags(mt, flags);
	for (unsigned long i = 0; i < n; i++)
		assert_int_equal(mtree_store_range(mt, 16 * i, 16 * i + 7, nth(i), GFP_KERNEL), 0);
}

struct around {
	unsigned long first, last;  /* what is stored over */
	unsigned long below, above; /* where the entries on both sides begin */
	unsigned long below_last;
	void *lower, *upper; /* NULL: there is none */
};

static void store_and_step(struct maple_tree *mt, const struct around *a, void *entry, bool up)
{
	MA_STATE(mas, mt, a->first, a->last);

	mtree_lock(mt);
	(void)mas_store(&mas, entry);
	/* In a tree without nodes it stands nowhere. */
	if (mt_height(mt)) {
		assert_int_equal(mas.index, entry ? a->first : a->lower ? a->below_last + 1 : 0);
		assert_int_equal(mas.last, entry ? a->last : a->upper ? a->above - 1 : ULONG_MAX);
	}
	if (up) {
		assert_ptr_equal(mas_next(&mas, ULONG_MAX), a->upper);
		assert_true(!a->upper || mas.index == a->above);
	} else {
		assert_ptr_equal(mas_prev(&mas, 0), a->lower);
		assert_true(!a->lower || mas.index == a->below);
	}
	mtree_unlock(mt);
	expect_valid(mt);
}

static void check_steps(const struct around *a, unsigned long n)
{
	for (unsigned int how = 0; how < 8; how++) {
		struct maple_tree mt;

		fill(&mt, how & 1 ? MT_FLAGS_ALLOC_RANGE : 0, n);
		store_and_step(&mt, a, how & 2 ? B : NULL, how & 4);
		mtree_destroy(&mt);
	}
}

/* Whatever the store did to the nodes: leaves are split, emptied, or go with all that is above. */
static void a_cursor_goes_on_from_what_it_stored(void **state)
{
	static const unsigned long sizes[] = { 1, 15, 40, 300, 3000 }, spans[] = { 0, 1, 20, 280 };

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		const unsigned long n = sizes[s];

		for (unsigned long i = 0; i < n; i += 1 + n / 20) {
			const struct around inside = {
				.first = 16 * i + 2,
				.last = 16 * i + 4,
				.below = 16 * i,
				.above = 16 * i + 5,
				.below_last = 16 * i + 1,
				.lower = nth(i),
				.upper = nth(i),
			};

			check_steps(&inside, n);
			for (size_t k = 0; k < sizeof(spans) / sizeof(spans[0]); k++) {
				const unsigned long next = i + spans[k] + 1;
				const struct around a = {
					.first = 16 * i,
					.last = 16 * next - 1,
					.below = 16 * (i - 1),
					.above = 16 * next,
					.below_last = 16 * (i - 1) + 7,
					.lower = i ? nth(i - 1) : NULL,
					.upper = next < n ? nth(next) : NULL,
				};

				check_steps(&a, n);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserved_values_are_refused),
		cmocka_unit_test(values_of_any_low_bits_are_stored),
		cmocka_unit_test(backward_ranges_are_refused),
		cmocka_unit_test(insert_finds_the_range_occupied),
		cmocka_unit_test(insert_reuses_the_place_of_an_erased_entry),
		cmocka_unit_test(single_entry_at_zero_needs_no_node),
		cmocka_unit_test(range_over_everything),
		cmocka_unit_test(equal_neighbours_are_not_joined),
		cmocka_unit_test(mas_store_returns_what_was_there),
		cmocka_unit_test(iteration_goes_on_after_a_store),
		cmocka_unit_test(a_cursor_goes_on_from_what_it_stored),
		cmocka_unit_test(expected_entries_then_stores_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
