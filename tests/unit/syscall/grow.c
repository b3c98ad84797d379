/* SPDX-License-Identifier: MIT */
/*
 * The heap and the stack, layout, and what else asks about ranges.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/resource.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

#define GAP 256UL /* pages kept free below a stack */

static void set_heap(struct fixture *f, unsigned long at)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	layout.start_brk = layout.brk = at;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
}

static void the_break_moves_by_bytes_and_maps_pages(void **state)
{
	struct fixture *f = *state;
	struct samara_vma_info info;

	set_heap(f, AT(0) + 100);
	assert_int_equal(samara_brk(f->mm, 0), AT(0) + 100);
	assert_int_equal(samara_brk(f->mm, AT(2) + 1), AT(2) + 1);
	assert_map(f->mm, "1-3 rw-p");
	assert_int_equal(samara_vma_next(f->mm, AT(1), &info), 0);
	assert_string_equal(info.name, "[heap]");
	assert_int_equal(samara_brk(f->mm, AT(3)), AT(3));
	assert_map(f->mm, "1-3 rw-p");
	assert_int_equal(samara_brk(f->mm, AT(8)), AT(8));
	assert_map(f->mm, "1-8 rw-p");
	assert_int_equal(samara_brk(f->mm, AT(1)), AT(1));
	assert_map(f->mm, "");
	assert_int_equal(samara_brk(f->mm, AT(0)), AT(1));
}

static void the_break_stops_at_limits_and_neighbours(void **state)
{
	struct fixture *f = *state;

	set_heap(f, AT(0));
	map_pages(f->mm, 10, 11, RW, 0);
	/* One page stays free. */
	assert_int_equal(samara_brk(f->mm, AT(10)), AT(0));
	assert_int_equal(samara_brk(f->mm, AT(9)), AT(9));
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_DATA, 4 * PAGE, RLIM_INFINITY), 0);
	assert_int_equal(samara_brk(f->mm, AT(6)), AT(9));
	assert_int_equal(samara_brk(f->mm, AT(4)), AT(4));
	assert_map(f->mm, "0-4 rw-p, 10-11 rw-p");
}

static void the_heap_does_not_grow_over_what_took_its_place(void **state)
{
	struct fixture *f = *state;

	set_heap(f, AT(0));
	assert_int_equal(samara_brk(f->mm, AT(4)), AT(4));
	assert_int_equal(samara_mprotect(f->mm, AT(3), PAGE, PROT_READ), 0);
	assert_int_equal(samara_brk(f->mm, AT(6)), AT(6));
	assert_map(f->mm, "0-3 rw-p, 3-4 r--p, 4-6 rw-p");
	/* Not joined with the mapping above, which is alike. */
	map_pages(f->mm, 12, 14, RW, 0);
	assert_int_equal(samara_brk(f->mm, AT(11)), AT(11));
	assert_map(f->mm, "0-3 rw-p, 3-4 r--p, 4-11 rw-p, 12-14 rw-p");
}

static void a_stack_grows_to_where_it_is_touched(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 1000, 1004, RW, MAP_GROWSDOWN);
	assert_int_equal(samara_touch(f->mm, AT(990) + 8, 1, PROT_WRITE), 0);
	assert_map(f->mm, "990-1004 rw-p");
	assert_int_equal(stats_of(f->mm).stack_vm, 14);
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_STACK, 20 * PAGE, RLIM_INFINITY), 0);
	assert_int_equal(samara_touch(f->mm, AT(983), 1, PROT_WRITE), -EFAULT);
	assert_int_equal(samara_touch(f->mm, AT(984), 1, PROT_WRITE), 0);
	assert_map(f->mm, "984-1004 rw-p");
}

static void a_stack_that_may_not_grow_has_been_written_to(void **state)
{
	struct fixture *f = *state;
	struct samara_vma_info info;

	map_pages(f->mm, 1000, 1003, RW, MAP_GROWSDOWN);
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_STACK, PAGE, RLIM_INFINITY), 0);
	assert_int_equal(samara_touch(f->mm, AT(998), 1, PROT_WRITE), -EFAULT);
	/* Memory that certainly has no pages would give its charge back. */
	assert_int_equal(samara_mprotect(f->mm, AT(1002), PAGE, PROT_READ), 0);
	assert_int_equal(samara_vma_next(f->mm, AT(1002), &info), 0);
	assert_true(info.flags & SAMARA_VM_ACCOUNT);
}

static void a_stack_keeps_its_distance(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 1000, 1004, RW, MAP_GROWSDOWN);
	map_pages(f->mm, 700, 702, RW, 0);
	assert_int_equal(samara_touch(f->mm, AT(702 + GAP) - 1, 1, PROT_READ), -EFAULT);
	assert_int_equal(samara_touch(f->mm, AT(702 + GAP), 1, PROT_READ), 0);
	/* A mapping without rights may be near. */
	assert_int_equal(samara_mprotect(f->mm, AT(700), 2 * PAGE, PROT_NONE), 0);
	assert_int_equal(samara_touch(f->mm, AT(702), 1, PROT_READ), 0);
	assert_map(f->mm, "700-702 ---p, 702-1004 rw-p");
}

static void a_stack_grows_to_the_lowest_address_that_may_be_mapped(void **state)
{
	struct fixture *f = *state;
	const unsigned long least = samara_geometry_x86_64()->map_min_addr;

	assert_int_equal(samara_mmap(f->mm, least + 2 * PAGE, PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, NULL,
				     0),
			 least + 2 * PAGE);
	assert_int_equal(samara_touch(f->mm, least - 1, 1, PROT_WRITE), -EFAULT);
	assert_int_equal(samara_touch(f->mm, least, 1, PROT_WRITE), 0);
}

static void touching_asks_for_rights(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, PROT_READ, 0);
	map_pages(f->mm, 2, 4, PROT_NONE, 0);
	map_file(f, 10, 14, RW, MAP_SHARED, 254);
	assert_int_equal(samara_touch(f->mm, AT(0), 2 * PAGE, PROT_READ), 0);
	assert_int_equal(samara_touch(f->mm, AT(0), 3 * PAGE, PROT_READ), -EFAULT);
	assert_int_equal(samara_touch(f->mm, AT(0), 1, PROT_WRITE), -EFAULT);
	assert_int_equal(samara_touch(f->mm, AT(0), 1, PROT_EXEC), -EFAULT);
	assert_int_equal(samara_touch(f->mm, AT(50), 1, PROT_READ), -EFAULT);
	/* The file has 256 pages. */
	assert_int_equal(samara_touch(f->mm, AT(11), PAGE, PROT_WRITE), 0);
	assert_int_equal(samara_touch(f->mm, AT(12), 1, PROT_READ), -EFAULT);
}

static void msync_and_mincore_see_holes(void **state)
{
	struct fixture *f = *state;
	unsigned char vec[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 3, 6, RW, MAP_LOCKED);
	assert_int_equal(samara_msync(f->mm, AT(0), 2 * PAGE, MS_SYNC), 0);
	assert_int_equal(samara_msync(f->mm, AT(0), 4 * PAGE, MS_SYNC), -ENOMEM);
	assert_int_equal(samara_msync(f->mm, AT(3), PAGE, MS_INVALIDATE), -EBUSY);
	assert_int_equal(samara_msync(f->mm, AT(0), PAGE, MS_SYNC | MS_ASYNC), -EINVAL);
	assert_int_equal(samara_msync(f->mm, AT(0) + 1, PAGE, MS_SYNC), -EINVAL);
	assert_int_equal(samara_mincore(f->mm, AT(0), 2 * PAGE, vec), 0);
	assert_int_equal(vec[1], 0);
	assert_int_equal(vec[2], 1);
	assert_int_equal(samara_mincore(f->mm, AT(0), 3 * PAGE, vec), -ENOMEM);
	assert_int_equal(samara_mincore(f->mm, AT(0), PAGE, NULL), -EFAULT);
	assert_int_equal(samara_mincore(f->mm, AT(0) + 1, PAGE, vec), -EINVAL);
}

static void remap_file_pages_maps_another_part_of_the_file(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 6, RW, MAP_SHARED, 0);
	assert_int_equal(samara_remap_file_pages(f->mm, AT(2), 2 * PAGE, 0, 9, 0), 0);
	assert_map(f->mm, "0-2 rw-s @0, 2-4 rw-s @9, 4-6 rw-s @4");
	assert_int_equal(samara_remap_file_pages(f->mm, AT(2), 2 * PAGE, 0, 2, 0), 0);
	assert_map(f->mm, "0-6 rw-s @0");
	assert_int_equal(samara_remap_file_pages(f->mm, AT(2), 2 * PAGE, PROT_READ, 2, 0), -EINVAL);
	map_pages(f->mm, 10, 12, RW, 0);
	assert_int_equal(samara_remap_file_pages(f->mm, AT(10), PAGE, 0, 2, 0), -EINVAL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_break_moves_by_bytes_and_maps_pages),
		test(the_break_stops_at_limits_and_neighbours),
		test(the_heap_does_not_grow_over_what_took_its_place),
		test(a_stack_grows_to_where_it_is_touched),
		test(a_stack_that_may_not_grow_has_been_written_to),
		test(a_stack_keeps_its_distance),
		test(a_stack_grows_to_the_lowest_address_that_may_be_mapped),
		test(touching_asks_for_rights),
		test(msync_and_mincore_see_holes),
		test(remap_file_pages_maps_another_part_of_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
