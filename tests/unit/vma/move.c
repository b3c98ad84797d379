/* SPDX-License-Identifier: MIT */
/*
 * mremap of populated memory where the two places share page tables.
 */
#define _GNU_SOURCE
#include <samara/access.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

#define LEAF 512ul /* pages of one leaf table */

/*
 *   pages     0          512        1024        1536
 *   leaves    |    L0    |    L1    |    L2      |
 *   old                       [ no page |x ]           L1 has no table
 *   new            [ no page|x ]         x makes L1's, which then serves the old part too
 */
static void tables_of_the_new_place_may_serve_the_old_one(void **state)
{
	struct fixture *f = *state;
	const unsigned long from = 2 * LEAF - 200, to = from - LEAF, len = 328;
	char byte = 'x';

	map_pages(f->mm, from, from + len, RW, 0);
	assert_int_equal(samara_write(f->mm, AT(2 * LEAF), &byte, 1, NULL), 1);
	assert_int_equal(samara_mremap(f->mm, AT(from), len * PAGE, len * PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, AT(to)),
			 AT(to));
	byte = 0;
	assert_int_equal(samara_read(f->mm, AT(LEAF), &byte, 1, NULL), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(samara_read(f->mm, AT(2 * LEAF), &byte, 1, NULL), 0);
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tables_of_the_new_place_may_serve_the_old_one,
						fixture_up, fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
