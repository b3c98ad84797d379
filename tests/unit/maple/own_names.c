/* SPDX-License-Identifier: MIT */
/*
 * The tree by samara's own names, in a file where the Linux names belong to
 * somebody else.
 */
#define SAMARA_NO_LINUX_NAMES
#include <samara/maple_tree.h>

#include "support/cmocka_all.h"

/* Not macros, and free. */
static int mtree_load(int x)
{
	return x + 1;
}

static int mas_find(void)
{
	return 7;
}

enum { mtree_store = 3, mt_find, mas_for_each, mt_init };

static void linux_names_are_left_alone(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	MA_STATE(mas, &mt, 0, 0);
	unsigned long index = 0;

	assert_int_equal(mtree_load(1), 2);
	assert_int_equal(mas_find(), 7);
	assert_int_equal(mtree_store + mt_find + mas_for_each + mt_init, 3 + 4 + 5 + 6);
	assert_int_equal(samara_mtree_store_range(&mt, 5, 9, samara_xa_mk_value(1), GFP_KERNEL), 0);
	assert_ptr_equal(samara_mtree_load(&mt, 7), samara_xa_mk_value(1));
	assert_ptr_equal(samara_mt_find(&mt, &index, ULONG_MAX), samara_xa_mk_value(1));
	assert_int_equal(index, 10);
	samara_mtree_lock(&mt);
	assert_ptr_equal(samara_mas_find(&mas, ULONG_MAX), samara_xa_mk_value(1));
	samara_mtree_unlock(&mt);
	samara_mtree_destroy(&mt);
	assert_true(samara_mtree_empty(&mt));
}

static void small_integers_survive_the_encoding(void **state)
{
	assert_int_equal(samara_xa_to_value(samara_xa_mk_value(0)), 0);
	assert_int_equal(samara_xa_to_value(samara_xa_mk_value(LONG_MAX)), LONG_MAX);
	assert_true(samara_xa_is_value(samara_xa_mk_value(0)));
	assert_false(samara_xa_is_value(SAMARA_XA_ZERO_ENTRY));
	assert_true(samara_xa_is_zero(SAMARA_XA_ZERO_ENTRY));
	assert_false(samara_xa_is_zero(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linux_names_are_left_alone),
		cmocka_unit_test(small_integers_survive_the_encoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
