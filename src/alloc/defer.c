/* SPDX-License-Identifier: MIT */
/*
 * Deferred freeing: the slow half of cache_free_rcu(), and flushing.
 *
 *   m->batch --full, by its owner----------------------> rcu_queue() -> pool
 *       '-----xchg, by rcu_barrier()----wait-----'
 *
 * The owner adds to m->batch inside a read-side section and without an atomic
 * operation. rcu_barrier() exchanges the pointer of another thread's batch for
 * NULL and waits for a grace period: after it the owner is out of any section
 * in which it could have seen the pointer. The objects then wait for a second
 * grace period, because some may have been added during the first.
 *
 * An object that was deferred is at each moment where rcu_barrier() looks for it, or on its way
 * inside a read-side section or under a lock that rcu_barrier() takes. The owner takes a full batch
 * out of its magazine and queues it in one section; so it does with an object that has no
 * batch. A thread that ends queues its batches under site_lock. Other calls of rcu_barrier() are
 * kept out by the round lock. So after the exchange and a grace period all that was deferred before
 * is in the queue or in the list that was exchanged.
 *
 * Invariants
 *  1. A batch is reachable from one place: a magazine, a flusher, the RCU queue
 *     or the pool.
 *  2. A batch in a magazine holds at least one object.
 */
#include "alloc/defer.h"

#include "alloc/pool.h"
#include "base/atomic.h"
#include "base/lock.h"

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
	return xchg(&m->batch, NULL);
}

/* obj into the thread's batch, inside a section. False: there is no room, nor memory for more. */
static bool add_to_batch(struct obj_cache *c, struct magazine *m, void *obj)
{
	struct sheaf *batch = smp_load_acquire(&m->batch);

	if (batch && batch->count == SHEAF_OBJS) {
		batch = take_batch(m);
		if (batch)
			rcu_queue(&batch->cb, batch_done);
		batch = NULL;
	}
	if (batch) {
		batch->obj[batch->count++] = obj;
		return true;
	}
	batch = sheaf_alloc(c);
	if (!batch)
		return false;
	batch->obj[batch->count++] = obj;
	smp_store_release(&m->batch, batch);
	return true;
}

void cache_free_rcu_slow(struct obj_cache *c, void *obj)
{
	struct magazine *m = thread_magazine(c);

	rcu_read_lock();
	if (!m || !add_to_batch(c, m, obj))
		pool_defer_loose(c, obj);
	rcu_read_unlock();
	rcu_wake_worker();
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

void defer_flush(struct thread_caches *own)
{
	queue_batches(take_batches(own, NULL));
}

void defer_flush_all(void)
{
	struct sheaf *list = NULL;
	struct thread_caches *own;

	site_list_lock();
	for (own = thread_list; own; own = own->next)
		list = take_batches(own, list);
	site_list_unlock();
	rcu_synchronize();
	queue_batches(list);
}

bool defer_pending(void)
{
	struct thread_caches *own;
	bool pending = false;

	site_list_lock();
	for (own = thread_list; own && !pending; own = own->next) {
		for (unsigned int i = 1; i < CACHE_SLOTS; i++)
			pending |= READ_ONCE(own->slot[i].batch) != NULL;
	}
	site_list_unlock();
	return pending;
}
