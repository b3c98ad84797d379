/* SPDX-License-Identifier: MIT */
/*
 * Time for benches, in nanoseconds.
 *
 * Wall time by default. BENCH_CLOCK_CPU counts the CPU time of the whole
 * process instead: helper threads of the library count too, other programs on
 * the same core don't, so it is the clock for a busy machine. Reading it is a
 * system call, so the cost of reading it is measured once and taken off.
 * BENCH_CLOCK_THREAD counts the calling thread's only.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

enum bench_clock { BENCH_CLOCK_WALL, BENCH_CLOCK_CPU, BENCH_CLOCK_THREAD };

struct bench_clock_state {
	clockid_t id;
	double overhead; /* of one read */
};

static inline double bench_read(const struct bench_clock_state *c)
{
	struct timespec t;

	__asm__ volatile("" ::: "memory");
	clock_gettime(c->id, &t);
	__asm__ volatile("" ::: "memory");
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline struct bench_clock_state bench_clock_open(enum bench_clock kind)
{
	struct bench_clock_state c;
	double best = 1e9;

	c.id = kind == BENCH_CLOCK_CPU    ? CLOCK_PROCESS_CPUTIME_ID :
	       kind == BENCH_CLOCK_THREAD ? CLOCK_THREAD_CPUTIME_ID :
					    CLOCK_MONOTONIC;
	c.overhead = 0;
	for (int round = 0; round < 32; round++) {
		double start = bench_read(&c), end = start;

		for (int i = 0; i < 64; i++)
			end = bench_read(&c);
		if ((end - start) / 64 < best)
			best = (end - start) / 64;
	}
	c.overhead = best;
	return c;
}

/* Between two reads, without the cost of reading. Never negative. */
static inline double bench_elapsed(const struct bench_clock_state *c, double start, double end)
{
	double t = end - start - c->overhead;

	return t > 0 ? t : 0;
}

#endif
