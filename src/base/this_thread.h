/* SPDX-License-Identifier: MIT */
/*
 * The calling thread's number, by which it chooses one of a few copies of what threads would
 * otherwise fight for (shards).
 *
 * It tells two threads apart only as long as there have been fewer than 2^32, and it says nothing
 * about what the thread has done. So it is not what base/gate.h asks for (has this thread run a
 * CPU, and which), nor what alloc/cache.h has per thread (the magazines themselves).
 */
#ifndef BASE_THIS_THREAD_H
#define BASE_THIS_THREAD_H

#include "base/compiler.h"

extern __thread unsigned int this_thread_number_word __attribute__((tls_model("initial-exec")));
unsigned int this_thread_number_slow(void);

/* Not 0. The same for the thread's whole life; threads get them in the order in which they ask. */
static inline unsigned int this_thread_number(void)
{
	const unsigned int number = this_thread_number_word;

	return likely(number) ? number : this_thread_number_slow();
}

#endif
