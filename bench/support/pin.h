/* SPDX-License-Identifier: MIT */
/*
 * Keeping a thread on one core.
 */
#ifndef BENCH_PIN_H
#define BENCH_PIN_H

#include <errno.h>
#include <sched.h>

/* The calling thread, and every thread it creates from now on, runs on this core. 0 or -errno. */
static inline int bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* Any core of the first n. 0 or -errno. */
static inline int bench_unpin(int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < n; i++)
		CPU_SET((unsigned int)i, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

#endif
