/* SPDX-License-Identifier: MIT */
/*
 * When neighbours become one mapping, and when they stay apart.
 */
#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "vma/find.h"

static void new_memory_merges_with_both_neighbours(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 4, 6, RW, 0);
	assert_map(f->mm, "0-2 rw-p, 4-6 rw-p");
	map_pages(f->mm, 2, 4, RW, 0);
	assert_map(f->mm, "0-6 rw-p");
}

static void other_rights_or_flags_do_not_merge(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 2, 4, PROT_READ, 0);
	map_pages(f->mm, 4, 6, PROT_READ, MAP_NORESERVE);
	assert_map(f->mm, "0-2 rw-p, 2-4 r--p, 4-6 r--p");
}

static void files_merge_where_the_offset_goes_on(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 2, PROT_READ, MAP_SHARED, 10);
	map_file(f, 2, 4, PROT_READ, MAP_SHARED, 12);
	assert_map(f->mm, "0-4 r--s @10");
	map_file(f, 4, 5, PROT_READ, MAP_SHARED, 13);
	assert_map(f->mm, "0-4 r--s @10, 4-5 r--s @13");
	map_file(f, 4, 5, PROT_READ, MAP_SHARED, 14);
	assert_map(f->mm, "0-5 r--s @10");
}

static void fresh_shared_memory_merges_with_nothing(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, MAP_SHARED);
	map_pages(f->mm, 2, 4, RW, MAP_SHARED);
	assert_map(f->mm, "0-2 rw-s @0, 2-4 rw-s @0");
	/* But the pieces of one do. */
	assert_int_equal(samara_mprotect(f->mm, AT(1), PAGE, PROT_READ), 0);
	assert_map(f->mm, "0-1 rw-s @0, 1-2 r--s @1, 2-4 rw-s @0");
	assert_int_equal(samara_mprotect(f->mm, AT(1), PAGE, RW), 0);
	assert_map(f->mm, "0-2 rw-s @0, 2-4 rw-s @0");
}

static void untouched_memory_joins_one_written_side(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	write_pages(f->mm, 0, 2);
	map_pages(f->mm, 2, 4, RW, 0);
	assert_map(f->mm, "0-4 rw-p");
}

static void two_written_strangers_are_not_joined(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 4, 6, RW, 0);
	write_pages(f->mm, 0, 2);
	write_pages(f->mm, 4, 6);
	/* The gap goes to the lower one; the upper one stays apart. */
	map_pages(f->mm, 2, 4, RW, 0);
	assert_map(f->mm, "0-4 rw-p, 4-6 rw-p");
}

static void pieces_of_one_written_mapping_are_joined_again(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 6, RW, 0);
	write_pages(f->mm, 0, 6);
	assert_int_equal(samara_munmap(f->mm, AT(2), 2 * PAGE), 0);
	assert_map(f->mm, "0-2 rw-p, 4-6 rw-p");
	map_pages(f->mm, 2, 4, RW, 0);
	assert_map(f->mm, "0-6 rw-p");
}

static void neighbours_that_could_be_one_share_their_family_at_the_first_write(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, RW | PROT_EXEC), 0);
	write_pages(f->mm, 0, 2);
	write_pages(f->mm, 2, 4);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, RW), 0);
	assert_map(f->mm, "0-4 rw-p");
}

static void inherited_memory_takes_in_nothing_untouched(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 0, 2, RW, 0);
	write_pages(f->mm, 0, 2);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	map_pages(child, 2, 4, RW, 0);
	assert_map(child, "0-2 rw-p, 2-4 rw-p");
	map_pages(f->mm, 2, 4, RW, 0);
	assert_map(f->mm, "0-4 rw-p");
	samara_mm_exit(child);
}

static void memory_read_only_again_stays_charged_once_written(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(0), 4 * PAGE, PROT_READ), 0);
	assert_false(flags_at(f->mm, 0) & SAMARA_VM_ACCOUNT);
	assert_int_equal(stats_of(f->mm).accounted, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(0), 4 * PAGE, RW), 0);
	write_pages(f->mm, 0, 4);
	assert_int_equal(samara_mprotect(f->mm, AT(0), 4 * PAGE, PROT_READ), 0);
	assert_true(flags_at(f->mm, 0) & SAMARA_VM_ACCOUNT);
	assert_int_equal(stats_of(f->mm).accounted, 4);
	/* So it does not merge with read-only memory that is not. */
	map_pages(f->mm, 4, 6, PROT_READ, 0);
	assert_map(f->mm, "0-4 r--p, 4-6 r--p");
}

static void mappings_with_a_close_hook_are_not_removed_by_merging(void **state)
{
	struct fixture *f = *state;
	struct samara_file *shm;

	assert_int_equal(samara_file_sysv(f->machine, 0x1234, 7, 8 * PAGE, &shm), 0);
	assert_int_equal(samara_mmap(f->mm, AT(0), 8 * PAGE, RW, MAP_SHARED | MAP_FIXED, shm, 0),
			 AT(0));
	samara_file_put(shm);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, PROT_READ), 0);
	assert_map(f->mm, "0-2 rw-s @0, 2-4 r--s @2, 4-8 rw-s @4");
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, RW), 0);
	assert_map(f->mm, "0-2 rw-s @0, 2-4 rw-s @2, 4-8 rw-s @4");
}

/* A replay sees no stores: private memory counts as written as soon as it is writable. */
static void eager_memory_counts_as_written_once_it_is_writable(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(samara_set_touch_policy(f->mm, SAMARA_TOUCH_EAGER), 0);
	map_pages(f->mm, 0, 2, PROT_READ, 0);
	map_pages(f->mm, 4, 6, PROT_READ | PROT_EXEC, 0);
	map_pages(f->mm, 8, 10, RW, MAP_SHARED);
	map_file(f, 12, 14, RW, MAP_SHARED, 0);
	map_pages(f->mm, 16, 18, RW, 0);
	map_file(f, 20, 22, RW, MAP_PRIVATE, 0);
	assert_null(vma_lookup(f->mm, AT(0))->anon_vma);
	assert_null(vma_lookup(f->mm, AT(4))->anon_vma);
	assert_null(vma_lookup(f->mm, AT(8))->anon_vma);
	assert_null(vma_lookup(f->mm, AT(12))->anon_vma);
	assert_non_null(vma_lookup(f->mm, AT(16))->anon_vma);
	assert_non_null(vma_lookup(f->mm, AT(20))->anon_vma);
	/* As mprotect gives the right. */
	assert_int_equal(samara_mprotect(f->mm, AT(0), PAGE, RW), 0);
	assert_non_null(vma_lookup(f->mm, AT(0))->anon_vma);
	assert_null(vma_lookup(f->mm, AT(1))->anon_vma);
	assert_int_equal(samara_set_touch_policy(f->mm, SAMARA_TOUCH_EXPLICIT), 0);
	map_pages(f->mm, 24, 26, RW, 0);
	assert_null(vma_lookup(f->mm, AT(24))->anon_vma);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(new_memory_merges_with_both_neighbours),
		test(other_rights_or_flags_do_not_merge),
		test(files_merge_where_the_offset_goes_on),
		test(fresh_shared_memory_merges_with_nothing),
		test(untouched_memory_joins_one_written_side),
		test(two_written_strangers_are_not_joined),
		test(pieces_of_one_written_mapping_are_joined_again),
		test(neighbours_that_could_be_one_share_their_family_at_the_first_write),
		test(inherited_memory_takes_in_nothing_untouched),
		test(memory_read_only_again_stays_charged_once_written),
		test(eager_memory_counts_as_written_once_it_is_writable),
		test(mappings_with_a_close_hook_are_not_removed_by_merging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
