/* SPDX-License-Identifier: MIT */
/* Counts of references (base/refcount.h), and what becomes of them at their ends. */
#include <string.h>

#include "support/cmocka_all.h"
#include "support/forked.h"

#include "base/refcount.h"

static refcount_t r;

static void the_last_reference_is_noticed(void **state)
{
	(void)state;
	refcount_set(&r, 1);
	refcount_inc(&r);
	refcount_add(3, &r);
	assert_false(refcount_dec_and_test(&r));
	assert_false(refcount_sub_and_test(3, &r));
	assert_int_equal(refcount_read(&r), 1);
	assert_true(refcount_dec_and_test(&r));
	assert_int_equal(refcount_read(&r), 0);
}

static void a_lookup_gets_no_reference_of_what_is_being_freed(void **state)
{
	(void)state;
	refcount_set(&r, 0);
	assert_false(refcount_inc_not_zero(&r));
	assert_int_equal(refcount_read(&r), 0);
	refcount_set(&r, 1);
	assert_true(refcount_inc_not_zero(&r));
	assert_int_equal(refcount_read(&r), 2);
}

static void the_last_one_is_left_where_that_is_asked_for(void **state)
{
	(void)state;
	refcount_set(&r, 2);
	assert_true(refcount_dec_not_one(&r));
	assert_false(refcount_dec_not_one(&r));
	assert_int_equal(refcount_read(&r), 1);
}

/* The object stays for good, and the count where it is. */
static void is_saturated(void)
{
	for (int i = 0; i < 3; i++) {
		refcount_inc(&r);
		assert_true(refcount_read(&r) >= REFCOUNT_MAX);
		assert_true(refcount_inc_not_zero(&r));
		assert_true(refcount_dec_not_one(&r));
		assert_int_equal(refcount_read(&r), REFCOUNT_SATURATED);
		assert_false(refcount_dec_and_test(&r));
	}
	assert_int_equal(refcount_read(&r), REFCOUNT_SATURATED);
}

static void a_count_does_not_wrap_but_saturates(void **state)
{
	(void)state;
	refcount_set(&r, REFCOUNT_MAX - 2);
	refcount_inc(&r);
	refcount_inc(&r);
	refcount_inc(&r);
	is_saturated();
	refcount_set(&r, REFCOUNT_MAX - 1);
	assert_true(refcount_inc_not_zero(&r));
	is_saturated();
	refcount_set(&r, ~0UL);
	refcount_inc(&r);
	refcount_set(&r, 5);
	refcount_add(REFCOUNT_MAX, &r);
	is_saturated();
}

static void put_one_too_many(void *arg)
{
	(void)arg;
	refcount_set(&r, 0);
	(void)!refcount_dec_and_test(&r);
}

static void a_put_too_many_is_noticed(void **state)
{
#ifdef SAMARA_DEBUG
	struct forked child;

	(void)state;
	run_forked(put_one_too_many, NULL, &child);
	assert_non_null(strstr(child.text, "WARN"));
#else
	(void)state;
	put_one_too_many(NULL);
	is_saturated();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_reference_is_noticed),
		cmocka_unit_test(a_lookup_gets_no_reference_of_what_is_being_freed),
		cmocka_unit_test(the_last_one_is_left_where_that_is_asked_for),
		cmocka_unit_test(a_count_does_not_wrap_but_saturates),
		cmocka_unit_test(a_put_too_many_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
