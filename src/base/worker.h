/* SPDX-License-Identifier: MIT */
/*
 * A thread of the library's own that does one job in rounds: when it is woken, it calls round(arg)
 * once, and sleeps again. It begins with the first wake-up, so that an object which never needs one
 * has none.
 *
 *   worker_wake()   begins or wakes; rounds that were asked for meanwhile become one
 *   worker_end()    no round runs any more, and none begins
 *
 * All signals are blocked in it: they are the embedder's, whose handlers shall not run on a thread
 * that it does not know. If no thread can be made, the next worker_wake() tries again. In a fork(2)
 * of the process there is no such thread; the object that it belongs to is not used there
 * (base/gate.h). Under the deterministic scheduler (preset schedule) there is none either: a
 * scenario that wants rounds calls them.
 */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include <samara/types.h>

#include "base/compiler.h"

struct worker {
	const char *name;         /* at most 15 characters */
	void (*round)(void *arg); /* NULL: there is nothing to do */
	void *arg;
	struct samara_spinlock
		lock;         /* without a rank: tried, or taken with no other; begin and end */
	unsigned int word;    /* futex: enum in worker.c; atomic */
	bool begun;           /* changes under lock; atomic */
	unsigned long thread; /* lock; pthread_t */
};

/* Any lock may be held. Before the worker is initialised or after its end: nothing. */
void worker_wake(struct worker *worker);
/* Waits for a round. No lock is held; not in a round. The worker can be initialised again. */
void worker_end(struct worker *worker);
/* A round may end early. */
bool worker_ends(const struct worker *worker);

#endif
