/* SPDX-License-Identifier: MIT */
/*
 * What a scenario is: a few threads, and what holds whatever their order.
 *
 *   static void setup(void *world);      one thread, before the others
 *   static void reader(void *world);     the threads
 *   static void writer(void *world);
 *   static void check(void *world);      one thread, after the others; tears down
 *
 *   static const struct scenario race = {
 *           .name = "load-erase", .what = "a load returns what was stored, or nothing",
 *           .world_size = sizeof(struct world), .setup = setup, .check = check,
 *           .threads = { { "reader", reader }, { "writer", writer } },
 *   };
 *
 * Preset `schedule` runs a program of scenarios under the deterministic scheduler (runtime/): a
 * schedule is one choice of all orders, made from a seed. The other presets run the same program
 * with real threads (plain.c), as a stress test. docs/concurrency.md says how to write one.
 */
#ifndef SAMARA_TEST_SCHEDULE_H
#define SAMARA_TEST_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#define SCHEDULE_THREADS 6

struct scenario_thread {
	const char *name; /* NULL ends the list */
	void (*run)(void *world);
};

/* One scenario. Its world is world_size bytes, zero at the begin of each schedule. */
struct scenario {
	const char *name;
	const char *what; /* one line: the invariant that it holds */
	/*
	 * NULL. A toy bug: what the scheduler must find ("requirement", "race", "deadlock",
	 * "steps", "crash", "freed"). Such a scenario passes when that was found. It does not run
	 * with real threads.
	 */
	const char *finds;
	size_t world_size;
	void (*setup)(void *world); /* one thread alone, before the others; may be NULL */
	struct scenario_thread threads[SCHEDULE_THREADS];
	void (*check)(
		void *world); /* one thread alone, after the others; tears down. May be NULL */
};

/* What holds must be true, else this schedule has failed. By any thread, at any time. */
#define schedule_require(holds) schedule_require_((holds), #holds, __FILE__, __LINE__)
void schedule_require_(bool holds, const char *text, const char *file, int line);

/* What traces call a word (at its address; until the schedule ends). name is kept, not copied. */
void schedule_name(const void *word, const char *name);

/*
 * Ghost state: add to a counter that only requirements look at; returns the sum. Threads may share
 * it: it is whole, but no yield point, and orders nothing.
 */
long schedule_ghost(long *counter, long add);

/* Whether threads change at yield points, one at a time: false in builds with real threads. */
bool schedule_is_scheduled(void);

/* The program's main(). scenarios ends with NULL. The exit status. */
int schedule_main(int argc, char **argv, const struct scenario *const *scenarios);

#endif
