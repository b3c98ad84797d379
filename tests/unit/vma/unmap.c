/* SPDX-License-Identifier: MIT */
/*
 * munmap: what leaves, what is cut, what it counts.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/mm_shape.h"

static void munmap_middle_splits_in_two(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 6, RW, 0);
	assert_int_equal(samara_munmap(f->mm, AT(2), 2 * PAGE), 0);
	assert_map(f->mm, "0-2 rw-p, 4-6 rw-p");
	assert_int_equal(stats_of(f->mm).map_count, 2);
	assert_int_equal(stats_of(f->mm).accounted, 4);
}

static void munmap_over_many_cuts_only_the_edges(void **state)
{
	struct fixture *f = *state;

	for (unsigned long i = 0; i < 40; i++)
		map_pages(f->mm, i * 3, i * 3 + 2, i % 2 ? RW : PROT_READ, 0);
	assert_int_equal(samara_munmap(f->mm, AT(1), (117 - 0) * PAGE), 0);
	assert_map(f->mm, "0-1 r--p, 118-119 rw-p");
}

static void munmap_keeps_the_file_offset_of_what_stays(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 10, PROT_READ, MAP_PRIVATE, 20);
	assert_int_equal(samara_munmap(f->mm, AT(0), 3 * PAGE), 0);
	assert_int_equal(samara_munmap(f->mm, AT(5), 2 * PAGE), 0);
	assert_map(f->mm, "3-5 r--p @23, 7-10 r--p @27");
}

static void munmap_of_whole_mappings_needs_no_memory(void **state)
{
	struct fixture *f = *state;

	for (unsigned long i = 0; i < 500; i++)
		map_pages(f->mm, i * 2, i * 2 + 1, RW, 0);
	samara_inject_from(1);
	assert_int_equal(samara_munmap(f->mm, AT(0), 1000 * PAGE), 0);
	samara_inject_from(0);
	assert_map(f->mm, "");
	assert_int_equal(stats_of(f->mm).total_vm, 0);
}

static void munmap_of_nothing_succeeds(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(samara_munmap(f->mm, AT(0), PAGE), 0);
}

static void munmap_refuses_bad_arguments(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	assert_int_equal(samara_munmap(f->mm, AT(0) + 1, PAGE), -EINVAL);
	assert_int_equal(samara_munmap(f->mm, AT(0), 0), -EINVAL);
	assert_int_equal(samara_munmap(f->mm, AT(0), ~0UL), -EINVAL);
	assert_int_equal(samara_munmap(f->mm, 1UL << 48, PAGE), -EINVAL);
	assert_map(f->mm, "0-2 rw-p");
}

static void munmap_at_a_sealed_mapping_stops_and_leaves_the_first_cut(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	map_pages(f->mm, 4, 6, PROT_READ, 0);
	assert_int_equal(samara_mseal(f->mm, AT(4), 2 * PAGE, 0), 0);
	assert_int_equal(samara_munmap(f->mm, AT(2), 4 * PAGE), -EPERM);
	assert_map(f->mm, "0-2 rw-p, 2-4 rw-p, 4-6 r--p");
}

static void the_map_count_limit_forbids_only_what_adds_a_mapping(void **state)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;
	struct samara_mm *mm;

	(void)state;
	cfg.max_map_count = 10;
	assert_int_equal(samara_machine_create(&cfg, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	for (unsigned long i = 0; i < 10; i++)
		map_pages(mm, i * 4, i * 4 + 3, RW, 0);
	assert_int_equal(samara_munmap(mm, AT(1), PAGE), -ENOMEM);
	assert_int_equal(samara_munmap(mm, AT(0), PAGE), 0);
	assert_int_equal(samara_mprotect(mm, AT(1), PAGE, PROT_READ), -ENOMEM);
	assert_int_equal(samara_madvise(mm, AT(1), PAGE, MADV_DONTFORK), -EAGAIN);
	/* As in Linux, one mapping more than the limit may come by mmap. */
	map_pages(mm, 100, 101, RW, 0);
	assert_int_equal(samara_mmap(mm, AT(200), PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0),
			 (unsigned long)-ENOMEM);
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
}

static void the_kernels_own_mappings_cannot_be_cut(void **state)
{
	struct fixture *f = *state;
	const struct samara_mapping vdso = {
		.start = AT(0),
		.end = AT(2),
		.prot = PROT_READ | PROT_EXEC,
		.name = "[vdso]",
	};

	assert_int_equal(samara_mm_install(f->mm, &vdso), 0);
	assert_int_equal(samara_munmap(f->mm, AT(1), PAGE), -EINVAL);
	assert_int_equal(samara_mprotect(f->mm, AT(1), PAGE, PROT_READ), -EINVAL);
	assert_map(f->mm, "0-2 r-xp");
	assert_int_equal(samara_munmap(f->mm, AT(0), 2 * PAGE), 0);
	assert_map(f->mm, "");
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(munmap_middle_splits_in_two),
		test(munmap_over_many_cuts_only_the_edges),
		test(munmap_keeps_the_file_offset_of_what_stays),
		test(munmap_of_whole_mappings_needs_no_memory),
		test(munmap_of_nothing_succeeds),
		test(munmap_refuses_bad_arguments),
		test(munmap_at_a_sealed_mapping_stops_and_leaves_the_first_cut),
		test(the_map_count_limit_forbids_only_what_adds_a_mapping),
		test(the_kernels_own_mappings_cannot_be_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
