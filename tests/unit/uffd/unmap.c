/* SPDX-License-Identifier: MIT */
/*
 * UNMAP and REMAP: which calls tell which range, in which order, and that each waits until it is
 * read. The answers are those that tools/uffd_facts got of Linux 6.18, row by row, but for failed
 * calls (docs/fidelity.md).
 */
#include "told.h"

#include <sys/resource.h>

#include <samara/access.h>

#define DONTUNMAP 4

/* munmap, mmap --------------------------------------------------------------------- */

static long unmap_0_1(struct fixture *f)
{
	return samara_munmap(f->mm, AT(0), PAGE);
}

static long unmap_2_6(struct fixture *f)
{
	return samara_munmap(f->mm, AT(2), 4 * PAGE);
}

static long unmap_all(struct fixture *f)
{
	return samara_munmap(f->mm, AT(0), 8 * PAGE);
}

static long map_11(struct fixture *f)
{
	return err_of(samara_mmap(f->mm, AT(11), PAGE, PROT_READ,
				  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0));
}

static void an_unmapping_tells_its_whole_range_once(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 16);
	assert_int_equal(samara_mprotect(f->mm, AT(3), PAGE, PROT_READ), 0);
	call_tells(&t, unmap_0_1, 0, "unmap 0-1");
	call_tells(&t, unmap_0_1, 0, "");
	call_tells(&t, unmap_2_6, 0, "unmap 2-6");
	call_tells(&t, map_11, 0, "unmap 11-12");
	assert_map(f->mm, "1-2 rw-p, 6-11 rw-p, 11-12 r--p, 12-16 rw-p");
	assert_false(registered(f->mm, 11));
	told_close(&t);
}

static void handlers_are_told_one_after_the_other_in_the_order_of_addresses(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	t.handler[1] = open_with(f->mm, EVENTS);
	t.handler[2] = open_with(f->mm, EVENTS & ~UFFD_FEATURE_EVENT_UNMAP);
	map_told(f->mm, t.handler[1], 2, 3);
	map_told(f->mm, t.handler[0], 3, 4);
	map_told(f->mm, t.handler[1], 4, 5);
	map_told(f->mm, t.handler[2], 5, 6);
	call_tells(&t, unmap_2_6, 0, "b: unmap 2-6, a: unmap 2-6");
	told_close(&t);
}

static void sealed_memory_keeps_all_and_tells_none(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	map_pages(f->mm, 4, 8, RW, 0);
	assert_int_equal(samara_mseal(f->mm, AT(6), PAGE, 0), 0);
	call_tells(&t, unmap_all, -EPERM, "");
	assert_true(registered(f->mm, 0));
	told_close(&t);
}

static long brk_down(struct fixture *f)
{
	return err_of(samara_brk(f->mm, AT(20)));
}

static void a_heap_that_shrinks_tells(void **state)
{
	struct fixture *f = *state;
	struct samara_layout layout;
	struct told t;

	told_open(&t, f);
	samara_get_layout(f->mm, &layout);
	layout.start_brk = layout.brk = AT(20);
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	assert_int_equal(samara_brk(f->mm, AT(24)), AT(24));
	do_register(t.handler[0], 20, 24);
	call_tells(&t, brk_down, 0, "unmap 20-24");
	told_close(&t);
}

static long grow_stack(struct fixture *f)
{
	char byte = 1;

	return samara_write(f->mm, AT(28), &byte, 1, NULL);
}

static void a_stack_that_grows_is_registered_and_tells_nothing(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_pages(f->mm, 30, 32, RW, MAP_GROWSDOWN);
	/* Without a mode that the access would wait for. */
	assert_int_equal(
		samara_uffd_ioctl(t.handler[0], UFFDIO_REGISTER,
				  &(struct uffdio_register){ { AT(30), 2 * PAGE }, WP, 0 }),
		0);
	call_tells(&t, grow_stack, 1, "");
	assert_map(f->mm, "28-32 rw-p");
	assert_true(registered(f->mm, 28));
	told_close(&t);
}

static long nonlinear(struct fixture *f)
{
	return samara_remap_file_pages(f->mm, AT(2), 2 * PAGE, 0, 0, 0);
}

static void remap_file_pages_tells_nothing(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_pages(f->mm, 0, 8, RW, MAP_SHARED);
	do_register(t.handler[0], 0, 8);
	call_tells(&t, nonlinear, 0, "");
	assert_false(registered(f->mm, 2));
	assert_true(registered(f->mm, 4));
	told_close(&t);
}

/* mremap --------------------------------------------------------------------------- */

static long remap(struct fixture *f, unsigned long from, unsigned long old_pages,
		  unsigned long pages, int flags, unsigned long to)
{
	return err_of(
		samara_mremap(f->mm, AT(from), old_pages * PAGE, pages * PAGE, flags, AT(to)));
}

static long move_0_4(struct fixture *f)
{
	return remap(f, 0, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 40);
}

static long shrink_40(struct fixture *f)
{
	return remap(f, 40, 4, 2, 0, 0);
}

static long grow_40(struct fixture *f)
{
	return remap(f, 40, 2, 4, 0, 0);
}

static long grow_and_move_40(struct fixture *f)
{
	return remap(f, 40, 4, 8, MREMAP_MAYMOVE | MREMAP_FIXED, 60);
}

static long move_over(struct fixture *f)
{
	return remap(f, 20, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 22);
}

static long shrink_and_move(struct fixture *f)
{
	return remap(f, 24, 4, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 80);
}

static long shrink_and_move_over(struct fixture *f)
{
	return remap(f, 0, 8, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 80);
}

static long dontunmap(struct fixture *f)
{
	return remap(f, 28, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, 90);
}

static long fails(struct fixture *f)
{
	return err_of(samara_mremap(f->mm, AT(28), 2 * PAGE, 1UL << 60, MREMAP_MAYMOVE, 0));
}

static void a_move_tells_target_move_tail_and_source(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	map_told(f->mm, t.handler[0], 20, 32);
	call_tells(&t, move_0_4, 0, "remap 0>40 len 4, unmap 0-4");
	assert_true(registered(f->mm, 40));
	call_tells(&t, shrink_40, 0, "unmap 42-44");
	call_tells(&t, grow_40, 0, "");
	assert_map(f->mm, "20-32 rw-p, 40-44 rw-p");
	assert_true(registered(f->mm, 43));
	call_tells(&t, grow_and_move_40, 0, "remap 40>60 len 4, unmap 40-44");
	assert_true(registered(f->mm, 67));
	call_tells(&t, move_over, 0, "unmap 22-24, remap 20>22 len 2, unmap 20-22");
	call_tells(&t, shrink_and_move, 0, "remap 24>80 len 2, unmap 26-28, unmap 24-26");
	call_tells(&t, dontunmap, 0, "remap 28>90 len 2");
	assert_true(registered(f->mm, 28) && registered(f->mm, 90));
	call_tells(&t, fails, -EINVAL, "");
	told_close(&t);
}

static void a_tail_of_other_handlers_is_told_to_them(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	t.handler[1] = open_with(f->mm, EVENTS);
	map_told(f->mm, t.handler[0], 0, 2);
	map_told(f->mm, t.handler[1], 2, 4);
	map_told(f->mm, t.handler[0], 4, 6);
	map_told(f->mm, t.handler[1], 80, 81);
	call_tells(&t, shrink_and_move_over, 0,
		   "b: unmap 80-82, a: remap 0>80 len 2, b: unmap 2-8, a: unmap 2-8, a: unmap 0-2");
	assert_map(f->mm, "80-82 rw-p");
	told_close(&t);
}

static long second_mapping(struct fixture *f)
{
	return remap(f, 0, 0, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 40);
}

static void a_second_mapping_is_a_move_of_length_0(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_pages(f->mm, 0, 8, RW, MAP_SHARED);
	do_register(t.handler[0], 0, 8);
	call_tells(&t, second_mapping, 0, "remap 0>40 len 0");
	assert_true(registered(f->mm, 40) && registered(f->mm, 0));
	told_close(&t);
}

/* Linux merges the new place first and looks at EVENT_REMAP afterwards. */
static void without_remap_what_was_merged_with_is_not_registered_either(void **state)
{
	struct fixture *f = *state;
	struct told t = { .f = f };

	t.handler[0] = open_with(f->mm, UFFD_FEATURE_EVENT_UNMAP);
	map_told(f->mm, t.handler[0], 0, 4);
	call_tells(&t, move_0_4, 0, "unmap 0-4");
	assert_false(registered(f->mm, 40));
	assert_map(f->mm, "40-44 rw-p");
	/* Untouched memory takes the offset of its new place, so these merge. */
	map_pages(f->mm, 0, 4, RW, 0);
	do_register(t.handler[0], 0, 4);
	map_pages(f->mm, 36, 40, RW, 0);
	do_register(t.handler[0], 36, 40);
	assert_int_equal(samara_munmap(f->mm, AT(40), 4 * PAGE), 0);
	call_tells(&t, move_0_4, 0, "unmap 0-4");
	assert_map(f->mm, "36-44 rw-p");
	assert_false(registered(f->mm, 36) || registered(f->mm, 40));
	told_close(&t);
}

static long move_to_own_end(struct fixture *f)
{
	return remap(f, 0, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 16);
}

static void memory_that_moves_to_its_own_end(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_pages(f->mm, 0, 16, RW, 0);
	do_register(t.handler[0], 0, 16);
	call_tells(&t, move_to_own_end, 0, "remap 0>16 len 4, unmap 0-4");
	assert_map(f->mm, "4-20 rw-p");
	assert_true(registered(f->mm, 4));
	told_close(&t);

	t = (struct told){ .f = f };
	t.handler[0] = open_with(f->mm, UFFD_FEATURE_EVENT_UNMAP);
	assert_int_equal(samara_munmap(f->mm, AT(0), 32 * PAGE), 0);
	map_pages(f->mm, 0, 16, RW, 0);
	do_register(t.handler[0], 0, 16);
	call_tells(&t, move_to_own_end, 0, "");
	assert_map(f->mm, "4-20 rw-p");
	assert_false(registered(f->mm, 4));
	told_close(&t);
}

static long move_0_8(struct fixture *f)
{
	return remap(f, 0, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, 40);
}

static long move_20_28(struct fixture *f)
{
	return remap(f, 20, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, 60);
}

static void registered_memory_moves_alone_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	map_pages(f->mm, 4, 8, RW, 0);
	call_tells(&t, move_0_8, -EFAULT, "");
	assert_map(f->mm, "0-4 rw-p, 4-8 rw-p");
	/* What comes before it has moved by then. */
	map_pages(f->mm, 20, 24, RW, 0);
	map_told(f->mm, t.handler[0], 24, 28);
	call_tells(&t, move_20_28, -EFAULT, "");
	assert_map(f->mm, "0-4 rw-p, 4-8 rw-p, 24-28 rw-p, 60-64 rw-p");
	told_close(&t);
}

static void limit_space(struct fixture *f, unsigned long pages)
{
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_AS, pages * PAGE, RLIM_INFINITY), 0);
}

static long dontunmap_over(struct fixture *f)
{
	return remap(f, 0, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, 4);
}

static long map_more(struct fixture *f)
{
	return err_of(samara_mmap(f->mm, AT(0), 4 * PAGE, RW,
				  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0));
}

static void what_a_failed_call_has_done_is_told_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 8);
	limit_space(f, 7);
	call_tells(&t, map_more, -ENOMEM, "");
	call_tells(&t, dontunmap_over, -ENOMEM, "unmap 4-6");
	assert_map(f->mm, "0-4 rw-p, 6-8 rw-p");
	assert_true(registered(f->mm, 0));
	told_close(&t);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_unmapping_tells_its_whole_range_once),
		T(handlers_are_told_one_after_the_other_in_the_order_of_addresses),
		T(sealed_memory_keeps_all_and_tells_none),
		T(a_heap_that_shrinks_tells),
		T(a_stack_that_grows_is_registered_and_tells_nothing),
		T(remap_file_pages_tells_nothing),
		T(a_move_tells_target_move_tail_and_source),
		T(a_tail_of_other_handlers_is_told_to_them),
		T(a_second_mapping_is_a_move_of_length_0),
		T(without_remap_what_was_merged_with_is_not_registered_either),
		T(memory_that_moves_to_its_own_end),
		T(registered_memory_moves_alone_or_not_at_all),
		T(what_a_failed_call_has_done_is_told_and_no_more),
	};

	return cmocka_run_group_tests_name("unit/uffd/unmap", tests, NULL, NULL);
}
