/* SPDX-License-Identifier: MIT */
/*
 * Batches of objects that wait to be freed after a grace period.
 */
#ifndef BASE_DEFER_H
#define BASE_DEFER_H

#include "base/thread.h"

/* Queue the calling thread's half-filled batches. True if there was one. */
bool defer_flush_own(void);

/* The same for a thread that is no more. */
void defer_flush_orphan(struct thread_caches *own);

/* Whether any thread has a batch that is not queued. */
bool defer_pending(void);

#endif
