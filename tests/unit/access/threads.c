/* SPDX-License-Identifier: MIT */
/*
 * Threads that access one address space at once, while it changes.
 *
 * Each word that is written says which word it is, so that a page in the wrong place is noticed.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "base/compiler.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "syscall/advise_pages.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 400UL

static struct mem m;
static unsigned long at;
static bool stop;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 16 << 20);
	at = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);
	stop = false;
	return 0;
}

MEM_TEAR_DOWN(m);

static void together(void *(*one)(void *), void *(*other)(void *))
{
	pthread_t threads[2];

	assert_int_equal(pthread_create(&threads[0], NULL, one, (void *)1), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, other, (void *)2), 0);
	pthread_join(threads[0], NULL);
	WRITE_ONCE(stop, true);
	pthread_join(threads[1], NULL);
}

/* Thread number's word of each page. */
static void *fill(void *number)
{
	const unsigned long who = (unsigned long)number;

	for (unsigned long i = 0; i < PAGES; i++) {
		const unsigned long addr = at + i * MEM_PAGE + who * 8, word = addr * 3;

		assert_int_equal(samara_write(m.mm, addr, &word, 8, NULL), 8);
	}
	return NULL;
}

static void two_threads_fault_the_same_pages_in(void **state)
{
	unsigned long word;

	(void)state;
	together(fill, fill);
	for (unsigned long i = 0; i < PAGES; i++) {
		for (unsigned long who = 1; who <= 2; who++) {
			const unsigned long addr = at + i * MEM_PAGE + who * 8;

			assert_int_equal(samara_read(m.mm, addr, &word, 8, NULL), 8);
			assert_int_equal(word, addr * 3);
		}
	}
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), PAGES);
	assert_int_equal(mem_frames(&m), PAGES);
}

static void faults_in_a_mapping_that_stays_take_no_mmap_lock(void **state)
{
	unsigned long before;

	(void)state;
	assert_int_equal(samara_touch(m.mm, at, 1, PROT_WRITE), 0);
	before = mm_lock_stat_sum(m.mm, VMA_LOCK_SUCCESS);
	together(fill, fill);
	assert_in_range(mm_lock_stat_sum(m.mm, VMA_LOCK_SUCCESS) - before, PAGES - 1, 2 * PAGES);
	assert_int_equal(mm_lock_stat_sum(m.mm, VMA_LOCK_ABORT), 0);
	assert_int_equal(mm_lock_stat_sum(m.mm, VMA_LOCK_MISS), 0);
	assert_int_equal(mm_lock_stat_sum(m.mm, VMA_LOCK_RETRY), 1); /* the first: its anon_vma */
}

/* Next to the pages that the other thread faults in: neighbours come, merge, split and go. */
static void *map_and_unmap(void *arg)
{
	(void)arg;
	for (unsigned long i = 0; !READ_ONCE(stop); i++) {
		const unsigned long len = (1 + i % 7) * MEM_PAGE;
		const unsigned long place = i % 2 ? at + PAGES * MEM_PAGE : at - len;
		const unsigned long a =
			samara_mmap(m.mm, place, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);

		assert_false(SAMARA_IS_ERR_VALUE(a));
		assert_int_equal(samara_touch(m.mm, a, len, PROT_WRITE), 0);
		assert_int_equal(samara_munmap(m.mm, a, len), 0);
	}
	return NULL;
}

/* What the mmap_lock's writer waits for: without it this ends, or the test never does. */
static void *throw_away(void *arg)
{
	static const int advice[] = { MADV_DONTNEED, MADV_FREE, ADV_GUARD_REMOVE };

	(void)arg;
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
		assert_int_equal(samara_madvise(m.mm, at, PAGES * MEM_PAGE, advice[i]), 0);
	return NULL;
}

static void pages_of_one_mapping_are_thrown_away_without_the_mmap_lock(void **state)
{
	pthread_t thread;

	(void)state;
	fill(NULL);
	mmap_write_lock(m.mm);
	assert_int_equal(pthread_create(&thread, NULL, throw_away, NULL), 0);
	pthread_join(thread, NULL);
	mmap_write_unlock(m.mm);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 0);
	assert_int_equal(mem_frames(&m), 0);
}

static void pages_of_two_mappings_are_thrown_away_too(void **state)
{
	const unsigned long half = PAGES / 2 * MEM_PAGE;

	(void)state;
	fill(NULL);
	assert_int_equal(samara_mprotect(m.mm, at + half, half, PROT_READ), 0);
	assert_int_equal(samara_madvise(m.mm, at, PAGES * MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 0);
}

static void *fill_often(void *arg)
{
	for (int round = 0; round < 30; round++) {
		fill(arg);
		assert_int_equal(samara_madvise(m.mm, at, PAGES * MEM_PAGE, MADV_DONTNEED), 0);
	}
	return fill(arg);
}

static void a_neighbour_comes_and_goes_meanwhile(void **state)
{
	(void)state;
	together(fill_often, map_and_unmap);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), PAGES);
}

/* The very pages go, come back, and lose their rights. */
static void *unsettle(void *arg)
{
	(void)arg;
	for (unsigned long i = 0; !READ_ONCE(stop); i++) {
		const unsigned long a = at + i * 13 % PAGES * MEM_PAGE;

		switch (i % 4) {
		case 0:
			assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, PROT_READ), 0);
			break;
		case 1:
			assert_int_equal(samara_mmap(m.mm, a, MEM_PAGE, RW,
						     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL,
						     0),
					 a);
			break;
		case 2:
			assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
			break;
		default:
			assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_DONTNEED), 0);
		}
	}
	return NULL;
}

/* A word is what it was written as, or the page went meanwhile. */
static void *write_and_look(void *arg)
{
	const unsigned long who = (unsigned long)arg;

	for (unsigned long i = 0; i < 20 * PAGES; i++) {
		const unsigned long addr = at + i * 7 % PAGES * MEM_PAGE + who * 8, word = addr * 3;
		unsigned long back = 0;

		if (samara_write(m.mm, addr, &word, 8, NULL) == 8 &&
		    samara_read(m.mm, addr, &back, 8, NULL) == 8)
			assert_true(back == word || back == 0);
	}
	return NULL;
}

static void pages_go_and_come_meanwhile(void **state)
{
	(void)state;
	together(write_and_look, unsettle);
	together(write_and_look, write_and_look);
}

static void *fork_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 25; i++) {
		struct samara_mm *child;

		assert_int_equal(samara_fork(m.mm, &child), 0);
		for (unsigned long page = 0; page < PAGES; page += 9) {
			const unsigned long addr = at + page * MEM_PAGE + 16;
			unsigned long word = 0, own = 99;

			assert_int_equal(samara_read(child, addr, &word, 8, NULL), 8);
			assert_true(word == 0 || word == addr * 3);
			assert_int_equal(samara_write(child, addr, &own, 8, NULL), 8);
		}
		samara_mm_exit(child);
	}
	return NULL;
}

static void *fill_on(void *arg)
{
	do {
		fill(arg);
	} while (!READ_ONCE(stop));
	return NULL;
}

static void children_are_forked_meanwhile(void **state)
{
	unsigned long word;

	(void)state;
	together(fork_often, fill_on);
	for (unsigned long i = 0; i < PAGES; i++) {
		assert_int_equal(samara_read(m.mm, at + i * MEM_PAGE + 16, &word, 8, NULL), 8);
		assert_int_equal(word, (at + i * MEM_PAGE + 16) * 3);
	}
}

/* A CPU's own stores, while its pages are taken away. */
static void *run_cpu(void *arg)
{
	struct samara_fault fault;
	struct samara_cpu *cpu;

	(void)arg;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	for (unsigned long i = 0; i < 40 * PAGES; i++) {
		const unsigned long addr = at + i * 11 % PAGES * MEM_PAGE + 64;
		unsigned long *p;

		samara_cpu_enter(cpu);
		p = samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_WRITE);
		if (!p)
			p = samara_cpu_miss(cpu, addr, SAMARA_ACCESS_WRITE, &fault);
		if (p) {
			const unsigned long was = __atomic_load_n(p, __ATOMIC_RELAXED);

			assert_true(was == 0 || was == addr);
			__atomic_store_n(p, addr, __ATOMIC_RELAXED);
		}
		samara_cpu_exit(cpu);
	}
	samara_cpu_run(cpu, NULL);
	samara_cpu_destroy(cpu);
	return NULL;
}

static void a_cpu_runs_meanwhile(void **state)
{
	(void)state;
	together(run_cpu, unsettle);
	assert_int_equal(samara_munmap(m.mm, at, PAGES * MEM_PAGE), 0);
	assert_int_equal(mem_frames(&m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(two_threads_fault_the_same_pages_in),
		TEST(faults_in_a_mapping_that_stays_take_no_mmap_lock),
		TEST(pages_of_one_mapping_are_thrown_away_without_the_mmap_lock),
		TEST(pages_of_two_mappings_are_thrown_away_too),
		TEST(a_neighbour_comes_and_goes_meanwhile),
		TEST(pages_go_and_come_meanwhile),
		TEST(children_are_forked_meanwhile),
		TEST(a_cpu_runs_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
