/* SPDX-License-Identifier: MIT */
/* See this_thread.h. */
#include "base/this_thread.h"

#include "base/atomic.h"

__thread unsigned int this_thread_number_word; /* 0: the thread has not asked yet */

unsigned int this_thread_number_slow(void)
{
	static unsigned int last;

	do
		this_thread_number_word = atomic_add_return_relaxed(&last, 1);
	while (!this_thread_number_word);
	return this_thread_number_word;
}
