/* SPDX-License-Identifier: MIT */
/*
 * What a room does at the end of each thread that it has something for: when the thread returns
 * from its function, calls pthread_exit(3) or is cancelled. Not at the end of the process.
 *
 * A destructor of the embedder's may run after at_end, and may use the library again.
 */
#ifndef BASE_AT_THREAD_END_H
#define BASE_AT_THREAD_END_H

#include "base/compiler.h"

/* One per room, static; at_end is called in the thread that ends. */
struct thread_end {
	void (*at_end)(void *arg);
	unsigned long key; /* atomic; 0: none yet, else a pthread_key_t plus 1 */
};

/*
 * at_end(arg) for the calling thread, instead of what was armed before; arg is not NULL. False if
 * the C library has neither memory nor a key left: then nothing has changed.
 */
bool thread_end_arm(struct thread_end *end, void *arg) __must_check;

#endif
