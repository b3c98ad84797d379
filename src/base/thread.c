/* SPDX-License-Identifier: MIT */
/*
 * The life of a thread's magazines.
 *
 *   first slow path ----> thread_create()   linked into thread_list
 *   pthread exit    ----> thread_exit()     objects to the pools, batches queued
 *   fork, child     ----> thread_adopt_orphans()
 *   new hooks       ----> thread_release_all_memory()
 *
 * site_lock protects thread_list. The magazines themselves are their thread's;
 * the last two functions may touch others' because nobody else is running.
 */
#include "base/thread.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/defer.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/pool.h"

struct thread_caches cache_no_thread;
struct thread_caches *thread_list;
__thread struct cache_thread cache_self = { .hot = &cache_no_thread };

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_valid;

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
		__atomic_fetch_add(&c->site.asked, m->asked, __ATOMIC_RELAXED);
		own->self->asked_other += m->asked;
		WRITE_ONCE(m->asked, 0);
	}
}

void thread_drain(void)
{
	if (!cache_self.own)
		return;
	spin_lock(&site_lock, RANK_CACHE_ALL);
	drain(cache_self.own);
	spin_unlock(&site_lock);
}

static void unlink_locked(struct thread_caches *own)
{
	struct thread_caches **p = &thread_list;

	while (*p != own)
		p = &(*p)->next;
	*p = own->next;
}

static void thread_exit(void *arg)
{
	struct thread_caches *own = arg;

	/* thread_release_all_memory() has freed it; another thread's key cannot be cleared. */
	if (own != cache_self.own)
		return;
	spin_lock(&site_lock, RANK_CACHE_ALL);
	defer_flush(own);
	drain(own);
	unlink_locked(own);
	spin_unlock(&site_lock);
	cache_self.own = NULL;
	thread_update_hot();
	raw_free(own, sizeof(*own));
}

static void key_create(void)
{
	key_valid = pthread_key_create(&key, thread_exit) == 0;
	fork_handlers_register();
}

static struct thread_caches *thread_create(void)
{
	struct thread_caches *own;

	pthread_once(&key_once, key_create);
	if (!key_valid)
		return NULL;
	own = raw_alloc(sizeof(*own), CACHE_LINE);
	if (!own)
		return NULL;
	for (unsigned int i = 0; i < CACHE_SLOTS; i++) {
		memset(&own->slot[i], 0, offsetof(struct magazine, obj));
		own->slot[i].capacity = i ? MAGAZINE_OBJS : 0;
	}
	own->self = &cache_self;
	if (pthread_setspecific(key, own)) {
		raw_free(own, sizeof(*own));
		return NULL;
	}
	spin_lock(&site_lock, RANK_CACHE_ALL);
	own->next = thread_list;
	thread_list = own;
	spin_unlock(&site_lock);
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

	spin_lock(&site_lock, RANK_CACHE_ALL);
	for (own = thread_list; own; own = own->next)
		drain(own);
	spin_unlock(&site_lock);
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
		if (own->self == &cache_self)
			pthread_setspecific(key, NULL);
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
	struct thread_caches *own = thread_list;

	thread_list = cache_self.own;
	if (thread_list)
		thread_list->next = NULL;
	while (own) {
		struct thread_caches *next = own->next;

		if (own != cache_self.own) {
			own->self = &cache_self;
			defer_flush(own);
			drain(own);
			raw_free(own, sizeof(*own));
		}
		own = next;
	}
}
