/* SPDX-License-Identifier: MIT */
/*
 * Limits, totals, and the three overcommit modes.
 */
#include <errno.h>
#include <sys/resource.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static unsigned long map(struct samara_mm *mm, unsigned long pages, int prot, int flags)
{
	return samara_mmap(mm, 0, pages * PAGE, prot, flags, NULL, 0);
}

static void rlimit_as_counts_everything(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_AS, 10 * PAGE, RLIM_INFINITY), 0);
	map_pages(f->mm, 0, 6, PROT_NONE, 0);
	assert_int_equal(map(f->mm, 5, PROT_READ, ANON), (unsigned long)-ENOMEM);
	/* What is replaced is not counted twice, and a refused replacement leaves the cuts. */
	map_pages(f->mm, 2, 8, PROT_READ, 0);
	assert_int_equal(samara_mmap(f->mm, AT(4), 8 * PAGE, RW, ANON | MAP_FIXED, NULL, 0),
			 (unsigned long)-ENOMEM);
	assert_map(f->mm, "0-2 ---p, 2-4 r--p, 4-8 r--p");
}

static void rlimit_data_counts_private_writable_memory(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_DATA, 4 * PAGE, RLIM_INFINITY), 0);
	map_pages(f->mm, 0, 8, PROT_READ, 0);
	map_pages(f->mm, 8, 16, RW, MAP_SHARED);
	map_pages(f->mm, 16, 20, RW, 0);
	assert_int_equal(map(f->mm, 1, RW, ANON), (unsigned long)-ENOMEM);
	assert_int_equal(samara_mprotect(f->mm, AT(0), PAGE, RW), -ENOMEM);
	assert_int_equal(stats_of(f->mm).data_vm, 4);
}

static void rlimit_memlock_is_for_those_without_the_capability(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_MEMLOCK, 4 * PAGE, 4 * PAGE), 0);
	map_pages(f->mm, 0, 8, RW, 0);
	assert_int_equal(samara_mlock(f->mm, AT(0), 5 * PAGE), -ENOMEM);
	assert_int_equal(samara_mlock(f->mm, AT(0), 4 * PAGE), 0);
	/* Locking the same pages again costs nothing. */
	assert_int_equal(samara_mlock(f->mm, AT(1), 3 * PAGE), 0);
	assert_int_equal(map(f->mm, 1, RW, ANON | MAP_LOCKED), (unsigned long)-EAGAIN);
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_MEMLOCK, 0, 0), 0);
	assert_int_equal(map(f->mm, 1, RW, ANON | MAP_LOCKED), (unsigned long)-EPERM);
	assert_int_equal(samara_mlock(f->mm, AT(0), PAGE), -EPERM);
	samara_set_caps(f->mm, SAMARA_CAP_IPC_LOCK);
	assert_int_equal(samara_mlock(f->mm, AT(0), 8 * PAGE), 0);
	assert_int_equal(stats_of(f->mm).locked_vm, 8);
}

static struct samara_machine *small_machine(enum samara_overcommit mode)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;

	cfg.ram_bytes = 1000 * PAGE;
	cfg.overcommit = mode;
	cfg.admin_reserve_bytes = 100 * PAGE;
	cfg.user_reserve_bytes = PAGE;
	assert_int_equal(samara_machine_create(&cfg, &machine), 0);
	return machine;
}

static void guessing_refuses_only_what_is_larger_than_the_machine(void **state)
{
	struct samara_machine *machine = small_machine(SAMARA_OVERCOMMIT_GUESS);
	struct samara_mm *mm;

	(void)state;
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_int_equal(map(mm, 1001, RW, ANON), (unsigned long)-ENOMEM);
	for (int i = 0; i < 5; i++)
		assert_false(SAMARA_IS_ERR_VALUE(map(mm, 999, RW, ANON)));
	assert_int_equal(samara_committed_pages(machine), 5 * 999);
	assert_false(SAMARA_IS_ERR_VALUE(map(mm, 5000, RW, ANON | MAP_NORESERVE)));
	assert_false(SAMARA_IS_ERR_VALUE(map(mm, 5000, PROT_READ, ANON)));
	assert_int_equal(samara_committed_pages(machine), 5 * 999);
	samara_mm_exit(mm);
	assert_int_equal(samara_committed_pages(machine), 0);
	samara_machine_destroy(machine);
}

static void never_overcommitting_keeps_to_the_limit(void **state)
{
	struct samara_machine *machine = small_machine(SAMARA_OVERCOMMIT_NEVER);
	struct samara_mm *mm, *child;
	unsigned long addr;

	(void)state;
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	/* Half of RAM, less what is kept for the administrator: 400 pages, not reached. */
	assert_int_equal(map(mm, 400, RW, ANON), (unsigned long)-ENOMEM);
	addr = map(mm, 399, RW, ANON);
	assert_false(SAMARA_IS_ERR_VALUE(addr));
	/* MAP_NORESERVE means nothing here, and shared memory is promised too. */
	assert_int_equal(map(mm, 1, RW, ANON | MAP_NORESERVE), (unsigned long)-ENOMEM);
	assert_int_equal(map(mm, 1, RW, MAP_SHARED | MAP_ANONYMOUS), (unsigned long)-ENOMEM);
	assert_int_equal(samara_fork(mm, &child), -ENOMEM);
	assert_int_equal(samara_committed_pages(machine), 399);
	samara_set_caps(mm, SAMARA_CAP_SYS_ADMIN);
	assert_int_equal(samara_mremap(mm, addr, 399 * PAGE, 450 * PAGE, 1, 0), addr);
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
}

/* More was promised, before the policy was set, than the policy allows. */
static void a_length_that_stays_asks_for_no_promise(void **state)
{
	struct samara_machine *machine = small_machine(SAMARA_OVERCOMMIT_ALWAYS);
	struct samara_file *file, *rest;

	(void)state;
	assert_int_equal(samara_file_shmem(machine, 4 * PAGE, &file), 0);
	assert_int_equal(samara_file_shmem(machine, 5000 * PAGE, &rest), 0);
	assert_int_equal(samara_set_overcommit(machine, SAMARA_OVERCOMMIT_NEVER), 0);
	assert_int_equal(samara_file_set_length(file, 4 * PAGE), 0);
	assert_int_equal(samara_file_set_length(file, 3 * PAGE + 1), 0);
	assert_int_equal(samara_file_set_length(file, 4 * PAGE + 1), -ENOMEM);
	assert_int_equal(samara_file_set_length(file, 2 * PAGE), 0);
	assert_int_equal(samara_file_set_length(file, 3 * PAGE), -ENOMEM);
	assert_int_equal(samara_file_set_length(file, 5 * PAGE), -ENOMEM);
	samara_file_put(file);
	samara_file_put(rest);
	assert_int_equal(samara_committed_pages(machine), 0);
	samara_machine_destroy(machine);
}

static void shared_memory_is_promised_until_nobody_maps_it(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 0, 8, RW, MAP_SHARED);
	assert_int_equal(samara_committed_pages(f->machine), 8);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	assert_int_equal(samara_munmap(f->mm, AT(0), 8 * PAGE), 0);
	assert_int_equal(samara_committed_pages(f->machine), 8);
	samara_mm_exit(child);
	assert_int_equal(samara_committed_pages(f->machine), 0);
}

static void refused_shared_memory_leaves_a_gap_as_in_linux(void **state)
{
	struct samara_machine *machine = small_machine(SAMARA_OVERCOMMIT_GUESS);
	struct samara_mm *mm;

	(void)state;
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	map_pages(mm, 0, 2000, RW, MAP_NORESERVE);
	assert_int_equal(samara_mmap(mm, AT(100), 1001 * PAGE, RW,
				     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 (unsigned long)-ENOMEM);
	assert_map(mm, "0-100 rw-p, 1101-2000 rw-p");
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
}

static void a_moved_mapping_takes_its_charge_along(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 8, RW, 0);
	assert_int_equal(samara_mremap(f->mm, AT(2), 4 * PAGE, 6 * PAGE, 3, AT(100)), AT(100));
	assert_map(f->mm, "0-2 rw-p, 6-8 rw-p, 100-106 rw-p");
	assert_int_equal(stats_of(f->mm).accounted, 10);
	/* MREMAP_DONTUNMAP keeps both. */
	assert_int_equal(samara_mremap(f->mm, AT(100), 6 * PAGE, 6 * PAGE, 7, AT(200)), AT(200));
	assert_int_equal(stats_of(f->mm).accounted, 16);
	assert_int_equal(samara_committed_pages(f->machine), 16);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rlimit_as_counts_everything),
		test(rlimit_data_counts_private_writable_memory),
		test(rlimit_memlock_is_for_those_without_the_capability),
		cmocka_unit_test(guessing_refuses_only_what_is_larger_than_the_machine),
		cmocka_unit_test(never_overcommitting_keeps_to_the_limit),
		cmocka_unit_test(a_length_that_stays_asks_for_no_promise),
		test(shared_memory_is_promised_until_nobody_maps_it),
		cmocka_unit_test(refused_shared_memory_leaves_a_gap_as_in_linux),
		test(a_moved_mapping_takes_its_charge_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
