/* SPDX-License-Identifier: MIT */
/*
 * The life of a thread's magazines.
 *
 *   first slow path ----> thread_create()   linked into thread_list
 *   end of a thread ----> thread_exit()     objects to the pools, batches queued
 *   fork, child     ----> thread_adopt_orphans()
 *   new hooks       ----> thread_release_all_memory()
 *
 * site_lock protects thread_list. The magazines themselves are their thread's;
 * the last two functions may touch others' because no other thread is running.
 */
#include "alloc/thread.h"

#include <string.h>

#include "alloc/defer.h"
#include "alloc/fork_pools.h"
#include "alloc/pool.h"
#include "alloc/raw.h"
#include "base/assert.h"
#include "base/at_thread_end.h"
#include "base/atomic.h"
#include "base/lock.h"

struct thread_caches cache_no_thread;
struct thread_caches *thread_list;
__thread struct cache_thread cache_self = { .hot = &cache_no_thread };

static void thread_exit(void *arg);
static struct thread_end end = { .at_end = thread_exit };

void thread_update_hot(void)
{
	bool armed = cache_self.inject_left;

	cache_self.hot = cache_self.own && !armed ? cache_self.own : &cache_no_thread;
}

/* The cache of a slot; NULL for slots that are not in use. */
static struct obj_cache *slot_cache(unsigned int slot)
{
	struct alloc_site *site = smp_load_acquire(&site_list);

	for (; site; site = site->next) {
		if (site->cache && site->cache->slot == slot * sizeof(struct magazine))
			return site->cache;
	}
	return NULL;
}

/* Objects to the pools, counters to the sites. Batches are not touched. */
static void drain(struct thread_caches *own)
{
	for (unsigned int i = 1; i < CACHE_SLOTS; i++) {
		struct magazine *m = &own->slot[i];
		struct obj_cache *c = m->count || m->asked ? slot_cache(i) : NULL;
		unsigned int count = m->count;

		if (!c)
			continue;
		WRITE_ONCE(m->count, 0);
		pool_put(c, m->obj, count);
		atomic_add(&c->site.asked, m->asked);
		own->self->asked_other += m->asked;
		WRITE_ONCE(m->asked, 0);
	}
}

void thread_drain(void)
{
	if (!cache_self.own)
		return;
	site_list_lock();
	drain(cache_self.own);
	site_list_unlock();
}

static void unlink_locked(struct thread_caches *own)
{
	struct thread_caches **p = &thread_list;

	spin_assert_held(&site_lock);
	while (*p != own)
		p = &(*p)->next;
	*p = own->next;
}

static void thread_exit(void *arg)
{
	struct thread_caches *own = arg;

	/* thread_release_all_memory() has freed it. Keys of other threads cannot be cleared. */
	if (own != cache_self.own)
		return;
	site_list_lock();
	defer_flush(own);
	drain(own);
	unlink_locked(own);
	site_list_unlock();
	cache_self.own = NULL;
	thread_update_hot();
	raw_free(own, sizeof(*own));
}

static struct thread_caches *thread_create(void)
{
	struct thread_caches *own;

	/* In this order: rcu_barrier() takes site_lock, which it must not be the first to do. */
	alloc_fork_ready();
	rcu_barrier_flushes(defer_flush_all);
	own = raw_alloc(sizeof(*own), CACHE_LINE);
	if (!own)
		return NULL;
	for (unsigned int i = 0; i < CACHE_SLOTS; i++) {
		memset(&own->slot[i], 0, offsetof(struct magazine, obj));
		own->slot[i].capacity = i ? MAGAZINE_OBJS : 0;
	}
	own->self = &cache_self;
	if (!thread_end_arm(&end, own)) {
		raw_free(own, sizeof(*own));
		return NULL;
	}
	site_list_lock();
	own->next = thread_list;
	thread_list = own;
	site_list_unlock();
	cache_self.own = own;
	thread_update_hot();
	return own;
}

struct magazine *thread_magazine(struct obj_cache *c)
{
	struct thread_caches *own = cache_self.own;

	if (unlikely(!smp_load_acquire(&c->site.registered)))
		site_register(&c->site);
	if (!c->slot)
		return NULL;
	if (unlikely(!own))
		own = thread_create();
	return own ? (struct magazine *)((char *)own + c->slot) : NULL;
}

/* everybody's ------------------------------------------------------------- */

static void drain_everybody(void)
{
	struct thread_caches *own;

	site_list_lock();
	for (own = thread_list; own; own = own->next)
		drain(own);
	site_list_unlock();
}

bool thread_release_all_memory(void)
{
	struct thread_caches *own;

	drain_everybody();
	if (!pool_shrink_all())
		return false;
	while ((own = thread_list)) {
		thread_list = own->next;
		own->self->own = NULL;
		own->self->hot = &cache_no_thread;
		raw_free(own, sizeof(*own));
	}
	return true;
}

/*
 * The other threads' stacks and thread-local storage are gone, so self is not
 * followed. An object that a thread was just moving when the process forked is
 * lost to the child.
 */
void thread_adopt_orphans(void)
{
	struct thread_caches *own, *next;

	own = thread_list;
	thread_list = cache_self.own;
	for (; own; own = next) {
		next = own->next;
		if (own == cache_self.own) {
			own->next = NULL; /* those behind it leave the list too */
			continue;
		}
		own->self = &cache_self;
		defer_flush(own);
		drain(own);
		raw_free(own, sizeof(*own));
	}
}
