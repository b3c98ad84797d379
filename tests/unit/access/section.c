/* SPDX-License-Identifier: MIT */
/*
 * Calls of a thread that is inside a CPU's section: -EDEADLK, as they could wait for that section.
 * Other threads' calls, and this thread's once it is outside, go on.
 */
#include "support/cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include <samara/access.h>
#include <samara/cpu.h>
#include <samara/file.h>
#include <samara/inject.h>
#include <samara/mm.h>

#define AREA 0x20000000UL
#define PAGE 4096UL

static struct samara_machine *machine;
static struct samara_mm *mm, *other;
static struct samara_file *file;
static struct samara_cpu *cpu, *second;

static int set_up(void **state)
{
	assert_int_equal(samara_machine_create(NULL, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_int_equal(samara_mm_create(machine, &other), 0);
	assert_int_equal(samara_file_shmem(machine, 4 * PAGE, &file), 0);
	assert_int_equal(samara_mmap(mm, AREA, 4 * PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_FIXED, file, 0),
			 AREA);
	assert_int_equal(samara_cpu_create(machine, &cpu), 0);
	assert_int_equal(samara_cpu_create(machine, &second), 0);
	return 0;
}

static int tear_down(void **state)
{
	samara_cpu_destroy(cpu);
	samara_cpu_destroy(second);
	samara_mm_exit(other);
	samara_mm_exit(mm);
	samara_file_put(file);
	samara_machine_destroy(machine);
	assert_int_equal(samara_live_objects(), 0);
	return 0;
}

static void enter(struct samara_cpu *which)
{
	struct samara_fault fault;

	samara_cpu_run(which, mm);
	samara_cpu_enter(which);
	assert_non_null(samara_cpu_miss(which, AREA, SAMARA_ACCESS_WRITE, &fault));
}

static void check_refused(void)
{
	struct samara_mm *child;
	char c = 0;

	assert_int_equal(samara_munmap(mm, AREA, PAGE), -EDEADLK);
	assert_int_equal(samara_mprotect(mm, AREA, PAGE, PROT_READ), -EDEADLK);
	assert_int_equal(samara_madvise(mm, AREA, PAGE, MADV_DONTNEED), -EDEADLK);
	assert_int_equal((long)samara_mmap(mm, AREA, PAGE, PROT_READ,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 -EDEADLK);
	assert_int_equal(samara_fork(mm, &child), -EDEADLK);
	assert_int_equal(samara_file_set_length(file, 0), -EDEADLK);
	assert_int_equal(samara_file_punch_hole(file, 0, PAGE), -EDEADLK);
	assert_int_equal(samara_write(mm, AREA, &c, 1, NULL), -EDEADLK);
	assert_int_equal(samara_msync(mm, AREA, PAGE, MS_SYNC), -EDEADLK);
	/* Its lock could be held by a thread that waits for the section. */
	assert_int_equal(samara_munmap(other, AREA, PAGE), -EDEADLK);
}

static void a_call_inside_ones_own_section_is_refused(void **state)
{
	enter(cpu);
	check_refused();
	samara_cpu_exit(cpu);
	assert_int_equal(samara_munmap(mm, AREA, PAGE), 0);
}

static void any_of_a_threads_cpus_counts(void **state)
{
	enter(cpu);
	samara_cpu_exit(cpu);
	enter(second);
	check_refused();
	samara_cpu_exit(second);
	assert_int_equal(samara_munmap(mm, AREA, PAGE), 0);
}

static void *unmap_elsewhere(void *arg)
{
	*(int *)arg = samara_munmap(other, AREA, PAGE);
	return NULL;
}

/* The CPU is the new thread's then, and the old one's calls go on beside its section. */
static void *take_over(void *arg)
{
	pthread_barrier_t *barrier = arg;

	enter(cpu);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	check_refused();
	samara_cpu_exit(cpu);
	return NULL;
}

static void another_threads_section_does_not_count(void **state)
{
	pthread_barrier_t barrier;
	pthread_t thread;
	int err = 1;

	enter(cpu);
	assert_int_equal(pthread_create(&thread, NULL, unmap_elsewhere, &err), 0);
	pthread_join(thread, NULL);
	assert_int_equal(err, 0);
	samara_cpu_exit(cpu);

	assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_over, &barrier), 0);
	pthread_barrier_wait(&barrier);
	assert_int_equal(samara_munmap(other, AREA, PAGE), 0);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}

#ifndef SAMARA_DEBUG
/* It has no result. The CPU is taken off the mm, and nothing is waited for; debug builds warn. */
static void exit_inside_ones_own_section_ends(void **state)
{
	enter(cpu);
	samara_mm_exit(mm);
	samara_cpu_exit(cpu);
	assert_null(cpu->mm);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_call_inside_ones_own_section_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(any_of_a_threads_cpus_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_threads_section_does_not_count, set_up,
						tear_down),
#ifndef SAMARA_DEBUG
		cmocka_unit_test_setup_teardown(exit_inside_ones_own_section_ends, set_up,
						tear_down),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
