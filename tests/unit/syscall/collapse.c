/* SPDX-License-Identifier: MIT */
/*
 * MADV_COLLAPSE of a range that holds no whole huge page: 0 where the mapping has room for one,
 * -EINVAL elsewhere. Each answer is Linux's (6.18, x86-64).
 */
#define _GNU_SOURCE
#include <errno.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

#define COLLAPSE 25
#define MAP_END 1024UL /* pages: two huge pages */

static int collapse(struct fixture *f, unsigned long from, unsigned long to)
{
	return samara_madvise(f->mm, AT(from), (to - from) * PAGE, COLLAPSE);
}

/* Pages [from, to), of which the first was written to. */
static void map_written(struct fixture *f, unsigned long from, unsigned long to)
{
	assert_int_equal(samara_munmap(f->mm, AT(0), MAP_END * PAGE), 0);
	map_pages(f->mm, from, to, RW, 0);
	write_pages(f->mm, from, from + 1);
}

static void only_memory_that_was_written_to_is_collapsed(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, MAP_END, RW, 0);
	assert_int_equal(collapse(f, 500, 520), -EINVAL);
	write_pages(f->mm, 1, 2);
	assert_int_equal(collapse(f, 500, 520), 0);
	assert_int_equal(collapse(f, 500, 512), 0);
	assert_int_equal(collapse(f, 512, 520), 0);
	assert_int_equal(samara_madvise(f->mm, AT(0), MAP_END * PAGE, MADV_NOHUGEPAGE), 0);
	assert_int_equal(collapse(f, 500, 520), -EINVAL);
}

static void the_range_touches_the_edge_of_a_huge_page(void **state)
{
	struct fixture *f = *state;

	map_written(f, 0, MAP_END);
	assert_int_equal(collapse(f, 1, 5), -EINVAL);
	assert_int_equal(collapse(f, 0, 5), 0);
	assert_int_equal(collapse(f, 511, 512), 0);
	assert_int_equal(collapse(f, 511, 513), 0);
	assert_int_equal(collapse(f, 513, 1023), -EINVAL);
}

static void the_mapping_has_room_for_a_huge_page(void **state)
{
	struct fixture *f = *state;

	map_written(f, 0, 512);
	assert_int_equal(collapse(f, 0, 5), 0);
	map_written(f, 0, 511);
	assert_int_equal(collapse(f, 0, 5), -EINVAL);
	map_written(f, 1, 601);
	assert_int_equal(collapse(f, 500, 520), -EINVAL);
	map_written(f, 1, 1024);
	assert_int_equal(collapse(f, 500, 520), 0);
	map_written(f, 1, 1023);
	assert_int_equal(collapse(f, 500, 520), -EINVAL);
}

static void pages_of_a_memfd_lie_as_in_the_file(void **state)
{
	static const struct {
		int flags;
		unsigned long page; /* of the file */
		int answer;
	} cases[] = {
		{ MAP_SHARED, 0, 0 },   { MAP_SHARED, 1, -EINVAL }, { MAP_SHARED, 511, -EINVAL },
		{ MAP_SHARED, 512, 0 }, { MAP_PRIVATE, 512, 0 },
	};
	struct fixture *f = *state;
	struct samara_file *file;

	assert_int_equal(samara_file_memfd(f->machine, "large", 16 << 20, &file), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(samara_mmap(f->mm, AT(0), MAP_END * PAGE, RW,
					     cases[i].flags | MAP_FIXED, file,
					     cases[i].page * PAGE),
				 AT(0));
		assert_int_equal(collapse(f, 500, 520), cases[i].answer);
	}
	samara_file_put(file);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(only_memory_that_was_written_to_is_collapsed),
		test(the_range_touches_the_edge_of_a_huge_page),
		test(the_mapping_has_room_for_a_huge_page),
		test(pages_of_a_memfd_lie_as_in_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
