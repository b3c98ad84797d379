/* SPDX-License-Identifier: MIT */
/* Public structs of other sizes than today's (base/sized.h). */
#include <errno.h>

#include "support/cmocka_all.h"

#include "base/sized.h"

struct today {
	size_t size;
	long a, b;
};

struct tomorrow {
	struct today today;
	long c;
};

static void what_an_older_caller_lacks_is_zero(void **state)
{
	const struct today older = { .size = offsetof(struct today, b), .a = 1, .b = 2 };
	struct today own = { 9, 9, 9 };

	(void)state;
	assert_int_equal(sized_get(&own, sizeof(own), &older), 0);
	assert_int_equal(own.size, sizeof(own));
	assert_int_equal(own.a, 1);
	assert_int_equal(own.b, 0);
}

static void a_newer_caller_is_refused_only_what_it_sets(void **state)
{
	struct tomorrow newer = { .today = { sizeof(newer), 1, 2 } };
	struct today own = { 9, 9, 9 };

	(void)state;
	assert_int_equal(sized_get(&own, sizeof(own), &newer), 0);
	assert_int_equal(own.size, sizeof(own));
	assert_int_equal(own.b, 2);
	newer.c = 1L << 56;
	own.a = 9;
	assert_int_equal(sized_get(&own, sizeof(own), &newer), -E2BIG);
	assert_int_equal(own.a, 9);
}

static void a_size_covers_itself(void **state)
{
	struct today callers = { .size = sizeof(size_t) - 1 }, own = { 9, 9, 9 };

	(void)state;
	assert_int_equal(sized_get(&own, sizeof(own), &callers), -EINVAL);
	assert_int_equal(own.a, 9);
	assert_int_equal(sized_put(&callers, &own, sizeof(own)), -EINVAL);
	assert_int_equal(callers.a, 0);
	callers.size = sizeof(size_t);
	assert_int_equal(sized_get(&own, sizeof(own), &callers), 0);
	assert_int_equal(own.a, 0);
}

static void nothing_is_written_behind_an_older_callers_struct(void **state)
{
	const struct today own = { sizeof(own), 1, 2 };
	struct today older = { .size = offsetof(struct today, b), .a = 9, .b = 9 };

	(void)state;
	assert_int_equal(sized_put(&older, &own, sizeof(own)), 0);
	assert_int_equal(older.size, offsetof(struct today, b));
	assert_int_equal(older.a, 1);
	assert_int_equal(older.b, 9);
}

static void a_newer_caller_gets_zeros(void **state)
{
	const struct today own = { sizeof(own), 1, 2 };
	struct tomorrow newer = { .today = { .size = sizeof(newer) }, .c = 9 };

	(void)state;
	assert_int_equal(sized_put(&newer, &own, sizeof(own)), 0);
	assert_int_equal(newer.today.size, sizeof(newer));
	assert_int_equal(newer.today.b, 2);
	assert_int_equal(newer.c, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_older_caller_lacks_is_zero),
		cmocka_unit_test(a_newer_caller_is_refused_only_what_it_sets),
		cmocka_unit_test(a_size_covers_itself),
		cmocka_unit_test(nothing_is_written_behind_an_older_callers_struct),
		cmocka_unit_test(a_newer_caller_gets_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
