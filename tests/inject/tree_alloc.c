/* SPDX-License-Identifier: MIT */
/*
 * Failing allocations in the calls that choose the place themselves, and what a
 * cursor is like after a store that failed (inject/tree.c has the other calls).
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "maple/writer.h"
#include "support/inject_matrix.h"
#include "support/random.h"
#include "support/tree_pair.h"

#define NEW ((void *)0xabc000)
#define ALLOCATIONS_MAX 200u

/* The allocating calls, which choose the place themselves. */
static int alloc_one(struct maple_tree *mt, int which, unsigned long *start, unsigned long *next)
{
	int ret;

	switch (which) {
	case 0:
		return mtree_alloc_range(mt, start, NEW, 8, 0, ULONG_MAX, GFP_KERNEL);
	case 1:
		return mtree_alloc_rrange(mt, start, NEW, 8, 0, 16 * 300, GFP_KERNEL);
	default:
		ret = mtree_alloc_cyclic(mt, start, NEW, 0, 16 * 300, next, GFP_KERNEL);
		return ret > 0 ? 0 : ret;
	}
}

/* False when the call does not ask for memory nth times. */
static bool attempt_alloc(unsigned int flags, unsigned int n, int which, unsigned long nth, bool on)
{
	unsigned long start = 9, next = 9;
	struct tree_pair b;
	bool asked;
	int err;

	tree_pair_grow(&b, MT_FLAGS_ALLOC_RANGE | flags, n, 7);
	inject_arm(on ? INJECT_ON : INJECT_ONCE, nth);
	err = alloc_one(&b.mt, which, &start, &next);
	asked = inject_disarm(err ? INJECT_FAILED : INJECT_SUCCEEDED) >= nth;
	if (err == -ENOMEM) {
		assert_int_equal(start, 9);
		assert_int_equal(next, 9);
		tree_pair_check(&b, "alloc", "after the failure");
		err = alloc_one(&b.mt, which, &start, &next);
	}
	assert_int_equal(err, 0);
	model_store(&b.m, start, start + (which < 2 ? 7 : 0), NEW);
	tree_pair_check(&b, "alloc", "after success");
	tree_pair_free(&b);
	return asked;
}

static void alloc_calls_fail_cleanly(void **state)
{
	unsigned long before = samara_live_objects(), nth;
	unsigned int n, rcu;
	int which, on;

	for (which = 0; which < 3; which++) {
		for (n = 0; n <= 320; n = n * 4 + 5) {
			for (rcu = 0; rcu < 4; rcu++) {
				on = rcu & 1;
				for (nth = 1;
				     attempt_alloc(rcu & MT_FLAGS_USE_RCU, n, which, nth, on);
				     nth++)
					assert_true(nth < ALLOCATIONS_MAX);
			}
		}
	}
	assert_int_equal(samara_live_objects(), before);
}

static void store_that_fails_leaves_cursor_in_error(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	MA_STATE(mas, &mt, 10, 20);

	mtree_lock(&mt);
	samara_inject_from(1);
	assert_null(mas_store(&mas, NEW));
	assert_true(mas_is_err(&mas));
	assert_int_equal(samara_mas_errno(&mas), -ENOMEM);
	assert_int_equal(mas.index, 10);
	assert_int_equal(mas.last, 20);
	assert_false(mas_nomem(&mas, GFP_KERNEL)); /* nothing to be had */
	assert_true(mas_is_err(&mas));
	samara_inject_from(0);
	assert_true(mas_nomem(&mas, GFP_KERNEL));
	assert_false(mas_is_err(&mas));
	samara_inject_from(1); /* what mas_nomem() found is enough */
	mas_set_range(&mas, 10, 20);
	assert_null(mas_store(&mas, NEW));
	samara_inject_from(0);
	assert_false(mas_is_err(&mas));
	assert_false(mas_nomem(&mas, GFP_KERNEL));
	mas_destroy(&mas);
	mtree_unlock(&mt);
	assert_ptr_equal(mtree_load(&mt, 15), NEW);
	mtree_destroy(&mt);
}

static void preallocation_survives_until_the_store(void **state)
{
	unsigned long before = samara_live_objects();
	struct tree_pair b;

	tree_pair_grow(&b, MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU, 100, 7);
	MA_STATE(mas, &b.mt, 100, 900);
	mtree_lock(&b.mt);
	assert_int_equal(mas_preallocate(&mas, NEW, GFP_KERNEL), 0);
	/* once more: the first one is not lost */
	assert_int_equal(mas_preallocate(&mas, NEW, GFP_KERNEL), 0);
	mtree_unlock(&b.mt);
	samara_mt_cache_shrink();
	mtree_lock(&b.mt);
	samara_inject_from(1);
	mas_store_prealloc(&mas, NEW);
	samara_inject_from(0);
	mtree_unlock(&b.mt);
	model_store(&b.m, 100, 900, NEW);
	tree_pair_check(&b, "preallocation", "after the store");
	tree_pair_free(&b);
	assert_int_equal(samara_live_objects(), before);
}

static void expected_entries_are_stored_without_more_memory(void **state)
{
	static const unsigned long counts[] = { 1, 2, 20, 21, 1000, 20000 };
	unsigned long before = samara_live_objects(), i;
	unsigned int flags;
	size_t c;

	for (flags = 0; flags < 4; flags++) {
		for (c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
			struct maple_tree mt = MTREE_INIT(mt, flags);
			MA_STATE(mas, &mt, 0, 0);

			mtree_lock(&mt);
			assert_int_equal(mas_expected_entries(&mas, counts[c]), 0);
			samara_inject_from(1);
			for (i = 0; i < counts[c]; i++) {
				mas_set_range(&mas, 16 * i + 5, 16 * i + 12);
				(void)mas_store(&mas, NEW);
				if (mas_is_err(&mas))
					fail_msg("store %lu of %lu", i, counts[c]);
			}
			samara_inject_from(0);
			mas_destroy(&mas);
			mtree_unlock(&mt);
			assert_ptr_equal(mtree_load(&mt, 16 * (counts[c] - 1) + 9), NEW);
			mtree_destroy(&mt);
		}
	}
	assert_int_equal(samara_live_objects(), before);
}

/* Stores one after the other, with nothing but what was set aside for that many. */
static void stores_need_no_more_than_was_reserved(void **state)
{
	const unsigned long space = 6000, before = samara_live_objects();
	struct maple_writer writer;
	struct maple_request request;
	struct rng rng;

	(void)state;
	rng_init(&rng, test_seed());
	for (unsigned int round = 0; round < 400 / test_slowdown(); round++) {
		struct maple_tree mt = MTREE_INIT(mt, MT_FLAGS_ALLOC_RANGE);
		const unsigned long step = rng_between(&rng, 2, 30), gap = rng_below(&rng, 2);
		void *nodes[2] = { NULL, NULL };

		/* In order, so that nodes are full; then some pieces of it anew. */
		for (unsigned long at = 0; at + step < space; at += step)
			assert_int_equal(mtree_store_range(&mt, at, at + step - 1 - gap, NEW,
							   GFP_KERNEL),
					 0);
		for (unsigned int i = 0; i < 40; i++) {
			const unsigned int n = 1 + i % 4;

			assert_int_equal(maple_reserve_fill(&mt, n, nodes), 0);
			samara_inject_from(1);
			for (unsigned int j = 0; j < n; j++) {
				const unsigned long first = rng_below(&rng, space);
				unsigned long last = first;

				last += rng_below(&rng, rng_one_in(&rng, 3) ? space : 2 * step);
				request = (struct maple_request){
					.first = first,
					.last = last,
					.entry = rng_one_in(&rng, 2) ? NULL : NEW,
					.reserve = nodes,
				};
				maple_writer_init(&writer, &mt);
				if (maple_writer_store(&writer, &request)) {
					test_replay(test_seed());
					fail_msg("store %u of %u needs more than its reserve", j,
						 n);
				}
			}
			samara_inject_from(0);
			maple_reserve_drop(&mt, nodes);
		}
		mtree_destroy(&mt);
	}
	assert_int_equal(samara_live_objects(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alloc_calls_fail_cleanly),
		cmocka_unit_test(store_that_fails_leaves_cursor_in_error),
		cmocka_unit_test(preallocation_survives_until_the_store),
		cmocka_unit_test(expected_entries_are_stored_without_more_memory),
		cmocka_unit_test(stores_need_no_more_than_was_reserved),
	};

	return inject_matrix("inject/tree_alloc", cmocka_run_group_tests(tests, NULL, NULL));
}
