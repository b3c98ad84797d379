/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a thread that sends no wake-up when it is done (a TLB section, a notifier pair, a
 * reader without a record), so that its side stays short. The waiter looks, spins, looks again, and
 * then naps between looks.
 */
#ifndef BASE_NAP_H
#define BASE_NAP_H

#include "base/compiler.h"
#include "base/futex.h"

#ifndef LOOKS_SPUN
#define LOOKS_SPUN 200
#endif
#define LOOKS_NAP_NS 50000L

/* Between two looks; round counts them from 0. */
static inline void nap_between_looks(unsigned long round)
{
	static const struct timespec nap = { .tv_nsec = LOOKS_NAP_NS };
	unsigned int never_woken = 0;

	if (round < LOOKS_SPUN)
		cpu_relax();
	else
		futex_wait(&never_woken, 0, FUTEX_ANYONE, &nap);
}

#endif
