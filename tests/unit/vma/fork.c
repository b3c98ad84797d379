/* SPDX-License-Identifier: MIT */
/*
 * What a child inherits, and what it does not.
 */
#include <errno.h>
#include <sys/resource.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

static void the_child_has_the_same_map(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 0, 4, RW, 0);
	map_file(f, 4, 8, PROT_READ, MAP_PRIVATE, 3);
	map_pages(f->mm, 10, 12, RW, MAP_SHARED);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	assert_map(child, "0-4 rw-p, 4-8 r--p @3, 10-12 rw-s @0");
	assert_int_equal(stats_of(child).total_vm, 10);
	assert_int_equal(samara_committed_pages(f->machine), 4 + 4 + 2);
	/* Each goes its own way. */
	assert_int_equal(samara_munmap(child, AT(0), 2 * PAGE), 0);
	assert_map(f->mm, "0-4 rw-p, 4-8 r--p @3, 10-12 rw-s @0");
	samara_mm_exit(child);
}

static void advice_decides_what_is_inherited(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 0, 6, RW, 0);
	write_pages(f->mm, 0, 6);
	assert_int_equal(samara_madvise(f->mm, AT(0), 2 * PAGE, MADV_DONTFORK), 0);
	assert_int_equal(samara_madvise(f->mm, AT(2), 2 * PAGE, MADV_WIPEONFORK), 0);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	assert_map(child, "2-4 rw-p, 4-6 rw-p");
	assert_int_equal(stats_of(child).accounted, 4);
	assert_int_equal(stats_of(child).data_vm, 4);
	/* Wiped memory is as if untouched: it takes in what is new. */
	assert_int_equal(samara_madvise(child, AT(2), 2 * PAGE, MADV_KEEPONFORK), 0);
	map_pages(child, 0, 2, RW, 0);
	assert_map(child, "0-4 rw-p, 4-6 rw-p");
	samara_mm_exit(child);
}

static void locks_are_not_inherited_but_limits_are(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(samara_mlockall(f->mm, MCL_CURRENT | MCL_FUTURE), 0);
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_AS, 5 * PAGE, 5 * PAGE), 0);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	assert_int_equal(stats_of(child).locked_vm, 0);
	assert_false(flags_at(child, 0) & SAMARA_VM_LOCKED);
	map_pages(child, 4, 5, PROT_NONE, 0);
	assert_false(flags_at(child, 4) & SAMARA_VM_LOCKED);
	assert_map(child, "0-4 rw-p, 4-5 ---p");
	assert_int_equal(samara_mmap(child, AT(9), PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0),
			 (unsigned long)-ENOMEM);
	samara_mm_exit(child);
}

static void split_memory_is_not_joined_again_in_the_child(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 0, 6, RW, 0);
	write_pages(f->mm, 0, 6);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, PROT_READ), 0);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, RW), 0);
	assert_map(f->mm, "0-6 rw-p");
	/* Each piece got a family of its own. */
	assert_int_equal(samara_mprotect(child, AT(2), 2 * PAGE, RW), 0);
	assert_map(child, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
	samara_mm_exit(child);
}

static void a_parent_may_go_first(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child, *grandchild;

	map_pages(f->mm, 0, 4, RW, 0);
	map_file(f, 4, 6, RW, MAP_SHARED, 0);
	write_pages(f->mm, 0, 4);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	samara_mm_exit(f->mm);
	assert_int_equal(samara_fork(child, &grandchild), 0);
	samara_mm_exit(child);
	assert_map(grandchild, "0-4 rw-p, 4-6 rw-s @0");
	f->mm = grandchild;
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_child_has_the_same_map),
		test(advice_decides_what_is_inherited),
		test(locks_are_not_inherited_but_limits_are),
		test(split_memory_is_not_joined_again_in_the_child),
		test(a_parent_may_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
