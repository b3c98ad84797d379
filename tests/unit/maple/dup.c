/* SPDX-License-Identifier: MIT */
/*
 * Duplicating a tree of each shape, and what duplication refuses.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/tree_model.h"

#define A ((void *)0xa000)
#define B ((void *)0xb000)

static void grow(struct maple_tree *mt, struct tree_model *m, unsigned int flags, unsigned long n)
{
	unsigned long i;

	mt_init_flags(mt, flags);
	model_init(m);
	for (i = 0; i < n; i++) {
		unsigned long at = 16 * (i * 7 % n), last = n == 1 ? 0 : at + 9;

		assert_int_equal(
			mtree_store_range(mt, at, last, (void *)((i + 1) << 12), GFP_KERNEL), 0);
		model_store(m, at, last, (void *)((i + 1) << 12));
	}
}

static void expect_same(struct tree_model *m, struct maple_tree *mt)
{
	char text[300] = "";

	mtree_lock(mt);
	if (model_compare(m, mt, text, sizeof(text)))
		fail_msg("%s", text);
	mtree_unlock(mt);
}

static void copies_of_every_size_are_equal_and_apart(void **state)
{
	static const unsigned long sizes[] = { 0, 1, 2, 19, 20, 21, 400, 5000 };
	unsigned long before = samara_live_objects();
	unsigned int flags;
	size_t i;

	for (flags = 0; flags < 4; flags++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct maple_tree mt, copy = MTREE_INIT(copy, flags);
			struct samara_tree_stats stats[2];
			struct tree_model m;

			grow(&mt, &m, flags, sizes[i]);
			assert_int_equal(mtree_dup(&mt, &copy, GFP_KERNEL), 0);
			expect_same(&m, &copy);
			expect_same(&m, &mt);
			mtree_lock(&mt);
			samara_mtree_stats(&mt, &stats[0]);
			samara_mtree_stats(&copy, &stats[1]);
			mtree_unlock(&mt);
			/* the shape is copied, not built anew */
			assert_int_equal(stats[0].levels, stats[1].levels);
			assert_int_equal(stats[0].leaves, stats[1].leaves);
			if (sizes[i] > 1)
				assert_ptr_not_equal(mt.ma_root, copy.ma_root);
			/* what happens to one does not happen to the other */
			assert_int_equal(mtree_store_range(&copy, 0, ULONG_MAX, NULL, GFP_KERNEL),
					 0);
			expect_same(&m, &mt);
			assert_int_equal(mtree_store_range(&copy, 3, 100, B, GFP_KERNEL), 0);
			mtree_destroy(&mt);
			assert_ptr_equal(mtree_load(&copy, 50), B);
			mtree_destroy(&copy);
			model_free(&m);
		}
	}
	assert_int_equal(samara_live_objects(), before);
}

static void copy_of_a_tree_with_holes(void **state)
{
	unsigned int flags;
	unsigned long i;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt, copy = MTREE_INIT(copy, flags);
		struct tree_model m;

		grow(&mt, &m, flags, 2000);
		for (i = 0; i < 2000; i++) {
			if (i % 100 < 70) /* whole leaves too */
				assert_ptr_equal(mtree_erase(&mt, 16 * i), model_erase(&m, 16 * i));
		}
		assert_int_equal(mtree_dup(&mt, &copy, GFP_KERNEL), 0);
		expect_same(&m, &copy);
		for (i = 0; i < 2000; i++)
			assert_ptr_equal(mtree_erase(&copy, 16 * i), model_erase(&m, 16 * i));
		assert_true(mtree_empty(&copy));
		mtree_destroy(&mt);
		model_free(&m);
	}
}

static void other_flags_are_refused(void **state)
{
	static const unsigned int all[] = { 0, MT_FLAGS_ALLOC_RANGE, MT_FLAGS_USE_RCU,
					    MT_FLAGS_LOCK_EXTERN,
					    MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU };
	size_t i, j, n;

	for (n = 0; n < 40; n += 13) {
		for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
			for (j = 0; j < sizeof(all) / sizeof(all[0]); j++) {
				struct maple_tree mt, copy = MTREE_INIT(copy, all[j]);
				struct tree_model m;
				int err;

				grow(&mt, &m, all[i], n);
				mtree_lock(&mt);
				mtree_lock_nested(&copy, 1);
				err = __mt_dup(&mt, &copy, GFP_KERNEL);
				mtree_unlock(&copy);
				mtree_unlock(&mt);
				assert_int_equal(err, i == j ? 0 : -EINVAL);
				assert_int_equal(copy.ma_flags, all[j]);
				assert_int_equal(mtree_empty(&copy), i != j || !n);
				mtree_destroy(&copy);
				mtree_destroy(&mt);
				model_free(&m);
			}
		}
	}
}

static void target_that_is_not_empty_is_refused(void **state)
{
	struct maple_tree mt, copy = MTREE_INIT(copy, 0);
	struct tree_model m;

	grow(&mt, &m, 0, 30);
	assert_int_equal(mtree_store(&copy, 0, A, GFP_KERNEL), 0);
	assert_int_equal(mtree_dup(&mt, &copy, GFP_KERNEL), -EINVAL);
	assert_int_equal(mtree_store(&copy, 9, B, GFP_KERNEL), 0);
	assert_int_equal(mtree_dup(&mt, &copy, GFP_KERNEL), -EINVAL);
	assert_ptr_equal(mtree_load(&copy, 0), A);
	assert_ptr_equal(mtree_load(&copy, 9), B);
	expect_same(&m, &mt);
	mtree_destroy(&copy);
	/* emptied by erasing it is empty */
	assert_int_equal(mtree_store(&copy, 9, B, GFP_KERNEL), 0);
	assert_ptr_equal(mtree_erase(&copy, 9), B);
	assert_int_equal(mtree_dup(&mt, &copy, GFP_KERNEL), 0);
	expect_same(&m, &copy);
	mtree_destroy(&copy);
	mtree_destroy(&mt);
	model_free(&m);
}

static void empty_and_root_trees_are_copied_without_memory(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0), copy = MTREE_INIT(copy, 0);

	samara_inject_from(1);
	assert_int_equal(mtree_dup(&mt, &copy, GFP_KERNEL), 0);
	assert_true(mtree_empty(&copy));
	assert_int_equal(mtree_store(&mt, 0, A, GFP_KERNEL), 0);
	assert_int_equal(mtree_dup(&mt, &copy, GFP_KERNEL), 0);
	samara_inject_from(0);
	assert_ptr_equal(mtree_load(&copy, 0), A);
	assert_int_equal(mt_height(&copy), 0);
	mtree_destroy(&copy);
	mtree_destroy(&mt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_of_every_size_are_equal_and_apart),
		cmocka_unit_test(copy_of_a_tree_with_holes),
		cmocka_unit_test(other_flags_are_refused),
		cmocka_unit_test(target_that_is_not_empty_is_refused),
		cmocka_unit_test(empty_and_root_trees_are_copied_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
