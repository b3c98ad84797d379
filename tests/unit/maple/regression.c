/* SPDX-License-Identifier: MIT */
/*
 * Sequences that trees like this one have got wrong.
 */

#include "support/cmocka_all.h"
#include "support/tree_model.h"

struct range {
	unsigned long first, last;
};

static void *value(size_t i)
{
	return (void *)((i + 1) << 12);
}

/* Twelve stores; a known stand-alone port of Linux's tree loses one of the last three. */
static void overlapping_stores_keep_the_latest_on_top(void **state)
{
	static const struct range ranges[] = {
		{ 429, 435 }, { 310, 322 }, { 236, 245 }, { 207, 225 }, { 184, 189 }, { 26, 32 },
		{ 13, 26 },   { 38, 40 },   { 175, 197 }, { 93, 110 },  { 181, 201 }, { 182, 197 },
	};
	unsigned int flags;
	size_t i;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt = MTREE_INIT(mt, flags);
		struct tree_model m;
		char text[300] = "";
		unsigned long at;

		model_init(&m);
		for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
			assert_int_equal(mtree_store_range(&mt, ranges[i].first, ranges[i].last,
							   value(i), GFP_KERNEL),
					 0);
			model_store(&m, ranges[i].first, ranges[i].last, value(i));
		}
		assert_ptr_equal(mtree_load(&mt, 184), value(11));
		assert_ptr_equal(mtree_load(&mt, 182), value(11));
		assert_ptr_equal(mtree_load(&mt, 197), value(11));
		assert_ptr_equal(mtree_load(&mt, 181), value(10));
		assert_ptr_equal(mtree_load(&mt, 198), value(10));
		assert_ptr_equal(mtree_load(&mt, 180), value(8));
		assert_ptr_equal(mtree_load(&mt, 26), value(6));
		assert_ptr_equal(mtree_load(&mt, 27), value(5));
		for (at = 0; at < 500; at++)
			assert_ptr_equal(mtree_load(&mt, at), model_load(&m, at));
		mtree_lock(&mt);
		if (model_compare(&m, &mt, text, sizeof(text)))
			fail_msg("%s", text);
		mtree_unlock(&mt);
		mtree_destroy(&mt);
		model_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlapping_stores_keep_the_latest_on_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
