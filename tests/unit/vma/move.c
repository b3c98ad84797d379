/* SPDX-License-Identifier: MIT */
/*
 * mremap of populated memory where the two places share page tables, and of parts of mappings where
 * memory is refused.
 */
#define _GNU_SOURCE
#include <errno.h>

#include <samara/access.h>
#include <samara/inject.h>

#include "base/compiler.h"
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

static const struct {
	unsigned long from, to; /* of pages 0 to 8 */
	const char *after;
} parts[] = {
	{ 0, 4, "4-8 rw-p, 20-24 rw-p" },
	{ 2, 6, "0-2 rw-p, 6-8 rw-p, 20-24 rw-p" },
	{ 4, 8, "0-4 rw-p, 20-24 rw-p" },
	{ 0, 8, "20-28 rw-p" },
};

static unsigned long move_part(struct fixture *f, size_t i)
{
	const unsigned long len = (parts[i].to - parts[i].from) * PAGE;

	return samara_mremap(f->mm, AT(parts[i].from), len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			     AT(20));
}

static void a_part_whose_move_is_refused_stays_where_it_was(void **state)
{
	static void (*const refuse[])(unsigned long) = { samara_inject_nth, samara_inject_from };
	struct fixture *f = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(parts); i++) {
		unsigned long ret = (unsigned long)-ENOMEM;

		map_pages(f->mm, 0, 8, RW, 0);
		write_pages(f->mm, 0, 8);
		for (unsigned long nth = 1; ret == (unsigned long)-ENOMEM; nth++) {
			assert_in_range(nth, 1, 100);
			refuse[i % 2](nth);
			ret = move_part(f, i / 2);
			refuse[i % 2](0);
			if (ret == (unsigned long)-ENOMEM)
				assert_map(f->mm, "0-8 rw-p");
		}
		assert_int_equal(ret, AT(20));
		assert_map(f->mm, parts[i / 2].after);
		assert_int_equal(samara_munmap(f->mm, AT(0), 100 * PAGE), 0);
	}
}

/* Nothing is set aside for clearing a whole mapping: that needs no memory. */
static void a_whole_mapping_needs_less_memory_than_a_part(void **state)
{
	struct fixture *f = *state;
	unsigned long asked[ARRAY_SIZE(parts)];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const unsigned long before = samara_inject_count();

		map_pages(f->mm, 0, 8, RW, 0);
		assert_int_equal(move_part(f, i), AT(20));
		asked[i] = samara_inject_count() - before;
		assert_int_equal(samara_munmap(f->mm, AT(0), 100 * PAGE), 0);
	}
	for (size_t i = 0; i < 3; i++)
		assert_true(asked[3] < asked[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tables_of_the_new_place_may_serve_the_old_one,
						fixture_up, fixture_down),
		cmocka_unit_test_setup_teardown(a_part_whose_move_is_refused_stays_where_it_was,
						fixture_up, fixture_down),
		cmocka_unit_test_setup_teardown(a_whole_mapping_needs_less_memory_than_a_part,
						fixture_up, fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
