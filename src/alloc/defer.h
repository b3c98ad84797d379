/* SPDX-License-Identifier: MIT */
/*
 * Batches of objects that wait to be freed after a grace period.
 */
#ifndef ALLOC_DEFER_H
#define ALLOC_DEFER_H

#include "alloc/thread.h"

/* Queue what own has in batches: the calling thread's own with site_lock held, or an orphan's. */
void defer_flush(struct thread_caches *own);

/*
 * Queue what any thread has deferred before, and wait for a grace period. For rcu_barrier(), which
 * holds the round lock.
 */
void defer_flush_all(void);

/* Whether any thread has a batch that is not queued. */
bool defer_pending(void);

#endif
