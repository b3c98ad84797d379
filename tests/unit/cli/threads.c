/* SPDX-License-Identifier: MIT */
/*
 * What a line costs must not grow with the number of threads: how many entries
 * the tables and lists pass in their searches is counted, not time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "replay/begun.h"
#include "unit/cli/feed.h"

#define THREADS 40000
#define A_FEW 8 /* entries that one search may pass, on average */

static void a_call_that_has_begun_is_found_at_once(void **state)
{
	struct begun_table b = { .nr = 0 };
	struct begun *found;

	(void)state;
	for (int tid = 1; tid <= THREADS; tid++)
		assert_int_equal(begun_keep(&b, 100 * tid, "mmap(", 5), 0);
	assert_int_equal(b.nr, THREADS);
	assert_int_equal(b.oldest->tid, 100);
	/* again: the old one goes */
	assert_int_equal(begun_keep(&b, 100, "munmap(", 7), 0);
	assert_int_equal(b.nr, THREADS);
	assert_int_equal(b.oldest->tid, 200);
	assert_int_equal(b.newest->tid, 100);
	for (int tid = THREADS; tid > 0; tid--) {
		found = begun_take(&b, 100 * tid);
		assert_non_null(found);
		assert_int_equal(found->tid, 100 * tid);
		assert_string_equal(found->text, tid == 1 ? "munmap(" : "mmap(");
		free(found);
		assert_null(begun_take(&b, 100 * tid));
	}
	assert_int_equal(b.nr, 0);
	assert_null(b.oldest);
	assert_in_range(b.looked_at, THREADS, 4 * A_FEW * THREADS);
	begun_free(&b);
}

static void what_is_left_is_freed(void **state)
{
	struct begun_table b = { .nr = 0 };

	(void)state;
	assert_null(begun_take(&b, 1));
	begun_free(&b);
	assert_int_equal(begun_keep(&b, 1, "", 0), 0);
	assert_int_equal(begun_keep(&b, 2, "x", 1), 0);
	begun_free(&b);
}

static void feed_each(const char *fmt, int first, int last)
{
	char line[120];

	for (int tid = first; tid <= last; tid++) {
		snprintf(line, sizeof(line), fmt, tid, tid);
		feed(line);
	}
}

static void make_threads(void)
{
	char line[120];

	feed("1 execve(\"/x\", [\"x\"], 0x1 /* 1 var */) = 0");
	for (int tid = 2; tid <= THREADS; tid++) {
		snprintf(line, sizeof(line),
			 "1 clone(child_stack=0x7f0000000000, flags=CLONE_VM|CLONE_THREAD) = %d",
			 tid);
		feed(line);
	}
	assert_int_equal(r.world.threads.all.nr, THREADS);
}

static void calls_of_many_threads_at_once(void **state)
{
	(void)state;
	make_threads();
	feed_each("%d munmap(0x7f0000000000, 4096 <unfinished ...>", 2, THREADS);
	feed_each("%d <... munmap resumed>) = 0", 2, THREADS);
	assert_int_equal(r.stats.calls, THREADS - 1);
	assert_int_equal(r.stats.call_diffs, 0);
	assert_in_range(r.world.threads.looked_at, 0, A_FEW * line_number);
}

/* The library chooses: each call waits until no earlier one is under way. */
static void calls_that_wait_for_an_order(void **state)
{
	(void)state;
	r.how.place = PLACE_OWN;
	make_threads();
	feed_each("%d munmap(0x7f0000000000, 4096 <unfinished ...>", 2, THREADS);
	feed_each("%d <... munmap resumed>) = 0", 2, THREADS);
	assert_int_equal(replay_finish(&r), 0);
	assert_int_equal(r.stats.calls, THREADS - 1);
	assert_int_equal(r.world.threads.nr_waiting, 0);
	assert_in_range(r.world.threads.looked_at, 0, A_FEW * line_number);
}

/* Whose child a new thread is, is not known while several clones are under way. */
static void clones_of_many_threads_at_once(void **state)
{
	(void)state;
	make_threads();
	feed_each(
		"%d clone(child_stack=0x7f0000000000, flags=CLONE_VM|CLONE_THREAD <unfinished ...>",
		2, THREADS);
	assert_int_equal(r.world.threads.cloning.nr, THREADS - 1);
	feed_each("%d munmap(0x7f0000000000, 4096) = 0", THREADS + 2, 2 * THREADS);
	assert_int_equal(r.world.threads.orphans.nr, THREADS - 1);
	for (int tid = 2; tid <= THREADS; tid++) {
		char line[60];

		snprintf(line, sizeof(line), "%d <... clone resumed>) = %d", tid, tid + THREADS);
		feed(line);
	}
	assert_int_equal(r.world.threads.orphans.nr, 0);
	assert_int_equal(r.stats.calls, THREADS - 1);
	assert_in_range(r.world.threads.looked_at, 0, A_FEW * line_number);
}

/* A thread whose parent is never told is a process of its own in the end. */
static void orphans_calls_are_not_lost(void **state)
{
	(void)state;
	feed("1 execve(\"/x\", [\"x\"], 0x1 /* 1 var */) = 0");
	feed("1 clone(child_stack=0x7f0000000000, flags=CLONE_VM|CLONE_THREAD) = 2");
	feed("1 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>");
	feed("2 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>");
	feed("9 munmap(0x7f0000000000, 4096) = 0");
	feed("8 munmap(0x7f0000000000, 4096) = 0");
	assert_int_equal(r.stats.calls, 0);
	assert_int_equal(replay_finish(&r), 0);
	assert_int_equal(r.stats.calls, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_has_begun_is_found_at_once),
		cmocka_unit_test(what_is_left_is_freed),
		TEST(calls_of_many_threads_at_once),
		TEST(calls_that_wait_for_an_order),
		TEST(clones_of_many_threads_at_once),
		TEST(orphans_calls_are_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
