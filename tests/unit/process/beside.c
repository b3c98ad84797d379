/* SPDX-License-Identifier: MIT */
/*
 * Truncation beside forks that are not held: wherever the copying of pages is when it comes by, no
 * truncated page is left in anybody.
 */
#include <pthread.h>

#include "family.h"

#define ROUNDS 60
#define PAGES 700UL /* over two leaf tables at least */
#define KEPT 3UL    /* that truncation leaves */

static struct mem m;
static struct samara_file *file;
static pthread_barrier_t start;
static pthread_t thread;
static unsigned long at; /* a private mapping of the file */

static void *truncate_each_round(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&start);
		assert_int_equal(samara_file_set_length(file, KEPT * MEM_PAGE), 0);
		pthread_barrier_wait(&start);
	}
	return arg;
}

/* Every second page is a private copy, the others are the file's. */
static void populate(void)
{
	assert_int_equal(samara_file_set_length(file, PAGES * MEM_PAGE), 0);
	for (unsigned long i = 0; i < PAGES; i++) {
		if (i % 2)
			put(m.mm, at + i * MEM_PAGE, i);
		else
			get(m.mm, at + i * MEM_PAGE);
	}
}

static void assert_truncated(struct samara_mm *mm)
{
	const struct mem o = other(&m, mm);

	for (unsigned long i = KEPT; i < PAGES; i++)
		assert_false(there(&o, at + i * MEM_PAGE));
	assert_int_equal(mm_rss_sum(mm, MM_ANONPAGES), 1);
	mem_check(&o);
}

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 16 << 20);
	assert_int_equal(samara_file_memfd(m.machine, "many", PAGES * MEM_PAGE, &file), 0);
	at = mem_map(&m, PAGES, RW, MAP_PRIVATE, file);
	assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, truncate_each_round, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&start);
	samara_file_put(file);
	mem_close(&m);
	return 0;
}

static void no_generation_keeps_a_truncated_page(void **state)
{
	struct samara_mm *child, *grandchild;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		populate();
		pthread_barrier_wait(&start);
		child = forked(&m);
		assert_int_equal(samara_fork(child, &grandchild), 0);
		pthread_barrier_wait(&start);
		assert_truncated(m.mm);
		assert_truncated(child);
		assert_truncated(grandchild);
		samara_mm_exit(child);
		samara_mm_exit(grandchild);
	}
}

/* The child is torn down, or the fork undone, while truncation comes by. */
static void nor_does_a_fork_that_fails(void **state)
{
	unsigned int failed = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct samara_mm *child = NULL;
		unsigned long pfn, frames;

		populate();
		pfn = pfn_of(&m, at + MEM_PAGE);
		pthread_barrier_wait(&start);
		samara_inject_nth(4 + (unsigned long)round % 8);
		failed += samara_fork(m.mm, &child) != 0;
		samara_inject_nth(0);
		pthread_barrier_wait(&start);
		samara_mm_exit(child); /* NULL: nothing */
		assert_truncated(m.mm);
		frames = mem_frames(&m);
		put(m.mm, at + MEM_PAGE, 1); /* the parent's alone again */
		assert_int_equal(pfn_of(&m, at + MEM_PAGE), pfn);
		assert_int_equal(mem_frames(&m), frames);
	}
	assert_in_range(failed, ROUNDS / 8, ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(no_generation_keeps_a_truncated_page),
		TEST(nor_does_a_fork_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
