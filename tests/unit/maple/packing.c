/* SPDX-License-Identifier: MIT */
/*
 * How full nodes are. Nothing breaks when they are not, so no other test would
 * notice.
 */
#include <stdio.h>

#include "support/cmocka_all.h"
#include "support/random.h"
#include "support/tree_model.h"

#define A ((void *)0xa000)
#define ENTRIES 20000ul

static void put(struct maple_tree *mt, unsigned long i)
{
	assert_int_equal(mtree_store_range(mt, 64 * i, 64 * i + 31, A, GFP_KERNEL), 0);
}

/* Entries a leaf, in hundredths. */
static unsigned long fill_of(struct maple_tree *mt)
{
	struct samara_tree_stats stats;

	mtree_lock(mt);
	samara_mtree_stats(mt, &stats);
	mtree_unlock(mt);
	assert_int_equal(stats.entries, ENTRIES);
	return 100 * stats.entries / stats.leaves;
}

static void expect_fill(struct maple_tree *mt, const char *what, unsigned long percent)
{
	unsigned long fill = fill_of(mt);

	if (fill < percent * SAMARA_MAPLE_SLOTS)
		fail_msg("%s: %lu.%02lu entries a leaf", what, fill / 100, fill % 100);
}

static void filling_in_order_makes_full_leaves(void **state)
{
	unsigned int flags;
	unsigned long i;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt = MTREE_INIT(mt, flags);

		for (i = 0; i < ENTRIES; i++)
			put(&mt, i);
		expect_fill(&mt, "upwards", 95);
		mtree_destroy(&mt);
		for (i = ENTRIES; i-- > 0;)
			put(&mt, i);
		expect_fill(&mt, "downwards", 95);
		mtree_destroy(&mt);
	}
}

static void filling_at_random_leaves_two_thirds(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, MT_FLAGS_ALLOC_RANGE);
	unsigned long i;

	for (i = 0; i < ENTRIES; i++)
		put(&mt, i * 7919 % ENTRIES);
	expect_fill(&mt, "at random", 66);
	mtree_destroy(&mt);
}

/* Entries come and go a hundred thousand times. */
static void churn_does_not_empty_the_leaves(void **state)
{
	unsigned int flags;
	struct rng rng;

	rng_init(&rng, test_seed());
	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt = MTREE_INIT(mt, flags);
		unsigned long i;

		for (i = 0; i < ENTRIES; i++)
			put(&mt, i);
		for (i = 0; i < 100000; i++) {
			unsigned long at = rng_below(&rng, ENTRIES);

			assert_ptr_equal(mtree_erase(&mt, 64 * at), A);
			put(&mt, at);
		}
		expect_fill(&mt, "churn in place", 66);
		/* from here to there and back */
		for (i = 0; i < 5 * ENTRIES; i++) {
			unsigned long from = i % (2 * ENTRIES), to = (i + ENTRIES) % (2 * ENTRIES);

			assert_ptr_equal(mtree_erase(&mt, 64 * from), A);
			put(&mt, to);
		}
		expect_fill(&mt, "churn over the index space", 50);
		mtree_destroy(&mt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filling_in_order_makes_full_leaves),
		cmocka_unit_test(filling_at_random_leaves_two_thirds),
		cmocka_unit_test(churn_does_not_empty_the_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
