/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a thread that sends no wake-up when it is done (a TLB section, a notifier pair), so
 * that its side stays short. The waiter looks, spins, looks again, and then naps between looks.
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
	unsigned int never_woken = 0;

	if (round < WAIT_SPINS)
		cpu_relax();
	else
		futex_wait(&never_woken, 0, FUTEX_ANYONE, &nap);
}

#endif
