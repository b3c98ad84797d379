/* SPDX-License-Identifier: MIT */
/*
 * Waiting for somebody who announces nothing when he is done (a TLB section, a
 * notifier pair), so that his side stays short: look, spin, look, nap, look.
 */
#ifndef MMU_WAIT_H
#define MMU_WAIT_H

#include "base/compiler.h"
#include "base/futex.h"

#define WAIT_SPINS 200
#define WAIT_NAP_NS 50000L

/* Between two looks; round counts them from 0. */
static inline void wait_a_little(unsigned long round)
{
	static const struct timespec nap = { .tv_nsec = WAIT_NAP_NS };
	unsigned int nobody_wakes = 0;

	if (round < WAIT_SPINS)
		cpu_relax();
	else
		futex_wait(&nobody_wakes, 0, FUTEX_ANYONE, &nap);
}

#endif
