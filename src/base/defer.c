/* SPDX-License-Identifier: MIT */
/*
 * Deferred freeing: the slow half of cache_free_rcu(), and flushing.
 *
 *   m->batch --full, by its owner----------------------> rcu_defer() -> pool
 *       '-----xchg, by cache_flush_deferred()--wait--'
 *
 * The owner adds to m->batch inside a read-side section and without an atomic
 * operation. Whoever flushes another thread's batch exchanges the pointer for
 * NULL and waits for a grace period: after it the owner is out of any section
 * in which it could have seen the pointer. The objects then wait for a second
 * grace period, because some may have been added during the first.
 *
 * Invariants
 *  1. A batch is reachable from one place: a magazine, a flusher, the RCU queue
 *     or the pool.
 *  2. A batch in a magazine holds at least one object.
 */
#include "base/defer.h"

#include "base/lock.h"
#include "base/pool.h"

static void batch_done(struct rcu_cb *cb)
{
	struct sheaf *batch = container_of(cb, struct sheaf, cb);

	for (unsigned int i = 0; i < batch->count; i++)
		cache_object_in(batch->cache, batch->obj[i]);
	pool_put_sheaf(batch->cache, batch);
}

static struct sheaf *take_batch(struct magazine *m)
{
	if (!READ_ONCE(m->batch))
		return NULL;
	return __atomic_exchange_n(&m->batch, NULL, __ATOMIC_ACQ_REL);
}

void cache_free_rcu_slow(struct obj_cache *c, void *obj)
{
	struct magazine *m = thread_magazine(c);
	struct sheaf *batch = m ? take_batch(m) : NULL;

	if (batch && batch->count == SHEAF_OBJS) {
		rcu_defer(&batch->cb, batch_done);
		batch = NULL;
	}
	if (m && !batch)
		batch = sheaf_alloc(c);
	if (!batch) {
		pool_defer_loose(c, obj);
		return;
	}
	batch->obj[batch->count++] = obj;
	smp_store_release(&m->batch, batch);
}

/* flushing ---------------------------------------------------------------- */

/* The batches of one thread, in front of list. */
static struct sheaf *take_batches(struct thread_caches *own, struct sheaf *list)
{
	for (unsigned int i = 1; i < CACHE_SLOTS; i++) {
		struct sheaf *batch = take_batch(&own->slot[i]);

		if (batch) {
			batch->next = list;
			list = batch;
		}
	}
	return list;
}

static void queue_batches(struct sheaf *list)
{
	while (list) {
		struct sheaf *next = list->next;

		rcu_defer(&list->cb, batch_done);
		list = next;
	}
}

bool defer_flush_own(void)
{
	struct sheaf *list = cache_self.own ? take_batches(cache_self.own, NULL) : NULL;

	queue_batches(list);
	return list;
}

void defer_flush_orphan(struct thread_caches *own)
{
	queue_batches(take_batches(own, NULL));
}

bool cache_flush_deferred(void)
{
	bool had_own = defer_flush_own();
	struct sheaf *list = NULL;
	struct thread_caches *own;

	spin_lock(&site_lock, RANK_CACHE_ALL);
	for (own = thread_list; own; own = own->next) {
		if (own != cache_self.own)
			list = take_batches(own, list);
	}
	spin_unlock(&site_lock);
	if (list) {
		rcu_synchronize();
		queue_batches(list);
	}
	return had_own || list;
}

bool defer_pending(void)
{
	struct thread_caches *own;
	bool pending = false;

	spin_lock(&site_lock, RANK_CACHE_ALL);
	for (own = thread_list; own && !pending; own = own->next) {
		for (unsigned int i = 1; i < CACHE_SLOTS; i++)
			pending |= READ_ONCE(own->slot[i].batch) != NULL;
	}
	spin_unlock(&site_lock);
	return pending;
}
