/* SPDX-License-Identifier: MIT */
/*
 * All orders of a few threads' atomic operations, tried on the real source.
 *
 * Each thread is a coroutine that stops before each of its atomic operations (explored.h). A
 * state is what the threads share, and each thread's registers and live stack. From each
 * state every thread that does not sleep makes its next step, and a state that was met before
 * is not followed again, so that the search ends also where threads spin or go on for ever.
 *
 * Found are: a state in which all threads that are not done sleep (a lost wake-up), and what
 * explore_fail() was called for. Then the steps that lead there are printed.
 *
 * Memory is sequentially consistent here. What weaker orders allow is for the argument in the
 * source's header.
 */
#ifndef SAMARA_TEST_EXPLORE_H
#define SAMARA_TEST_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>

#define EXPLORE_THREADS 4

struct explore {
	const char *name;
	unsigned int threads; /* at most EXPLORE_THREADS */
	void (*thread)(unsigned int self);
	void *shared; /* all that they share; zeroed, then begin() */
	size_t size;
	void (*begin)(void);       /* or NULL */
	bool spurious;             /* sleepers may also wake up for no reason */
	unsigned long most_states; /* more is a failure: the search would not end in time */
};

/* True: no order fails. Else the order has been printed. */
bool explore(const struct explore *what);

/* States that the last explore() found. */
unsigned long explore_states(void);

/* From a thread: what is promised does not hold. Does not return. */
__attribute__((noreturn)) void explore_fail(const char *why);

/* Sanitizers do not allow stacks to be copied. */
bool explore_possible(void);

#endif
