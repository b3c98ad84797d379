/* SPDX-License-Identifier: MIT */
/*
 * Allocation sites and samara/inject.h: counting requests, and refusing chosen
 * ones.
 *
 *   this thread:  cache_self.inject_left counts down with every object asked for
 *   one site:     site->armed does, in whichever thread
 *
 * A bulk request of k objects counts k and is refused whole if the one it was
 * armed for is among them.
 *
 * Locks: site_lock (RANK_CACHE_ALL) for the registry and site->armed. Sites
 * are never removed, so the list may be walked without it.
 */
#include "alloc/site.h"

#include <errno.h>
#include <string.h>

#include <samara/inject.h>

#include "alloc/defer.h"
#include "alloc/fork_pools.h"
#include "alloc/thread.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"

struct samara_spinlock site_lock;
struct alloc_site *site_list;
static unsigned int slots_used = 1; /* slot 0 is the empty one */

static struct alloc_site *find_site(const char *name)
{
	struct alloc_site *site = smp_load_acquire(&site_list);

	while (site && strcmp(site->name, name))
		site = site->next;
	return site;
}

void site_list_lock(void)
{
	alloc_fork_ready();
	spin_lock(&site_lock, RANK_CACHE_ALL);
}

void site_list_unlock(void)
{
	spin_unlock(&site_lock);
}

/*
 * Constructors come here, so this takes the lock alone: no fork handlers for a program that only
 * loads the library.
 */
void site_register(struct alloc_site *site)
{
	spin_lock(&site_lock, RANK_CACHE_ALL);
	if (!site->registered) {
		VM_WARN_ON(find_site(site->name));
		if (site->cache && slots_used < CACHE_SLOTS) {
			site->cache->slot = slots_used++ * sizeof(struct magazine);
			WRITE_ONCE(site->cache->magazine, site->cache->slot);
		}
		site->next = site_list;
		smp_store_release(&site_list, site);
		smp_store_release(&site->registered, true);
	}
	spin_unlock(&site_lock);
}

/* arming ------------------------------------------------------------------ */

static void site_arm(struct alloc_site *site, unsigned long nth)
{
	spin_assert_held(&site_lock);
	WRITE_ONCE(site->armed, nth);
	if (site->cache)
		WRITE_ONCE(site->cache->magazine, nth ? 0 : site->cache->slot);
}

static bool thread_admits(unsigned long k)
{
	unsigned long left = cache_self.inject_left;

	if (!left)
		return true;
	if (k < left) {
		cache_self.inject_left = left - k;
		return true;
	}
	cache_self.inject_left = cache_self.inject_sticky;
	thread_update_hot();
	return false;
}

static bool site_admits(struct alloc_site *site, unsigned long k)
{
	bool admit = true;

	if (likely(!READ_ONCE(site->armed)))
		return true;
	site_list_lock();
	if (site->armed) {
		admit = k < site->armed;
		site_arm(site, admit ? site->armed - k : 0);
	}
	site_list_unlock();
	return admit;
}

void site_refused(struct alloc_site *site, unsigned long k)
{
	atomic_add(&site->refused, k);
}

bool site_admit(struct alloc_site *site, unsigned long k)
{
	bool by_thread = thread_admits(k);
	bool by_site = site_admits(site, k); /* counts down even if the thread refuses */

	if (likely(by_thread && by_site))
		return true;
	site_refused(site, k);
	return false;
}

/* public ------------------------------------------------------------------ */

void samara_inject_nth(unsigned long nth)
{
	cache_self.inject_left = nth;
	cache_self.inject_sticky = false;
	thread_update_hot();
}

void samara_inject_from(unsigned long nth)
{
	cache_self.inject_left = nth;
	cache_self.inject_sticky = true;
	thread_update_hot();
}

int samara_inject_site(const char *name, unsigned long nth)
{
	struct alloc_site *site = find_site(name);

	if (!site)
		return -ENOENT;
	site_list_lock();
	site_arm(site, nth);
	site_list_unlock();
	return 0;
}

unsigned long samara_inject_count(void)
{
	unsigned long asked = cache_self.asked_other, since;

	for (unsigned int i = 1; cache_self.own && i < CACHE_SLOTS; i++)
		asked += cache_self.own->slot[i].asked;
	since = asked - cache_self.asked_seen;
	cache_self.asked_seen = asked;
	return since;
}

static struct site_counts owner_counts(const struct alloc_site *site)
{
	struct site_counts counts = { 0, 0 };

	if (site->count)
		site->count(&counts);
	return counts;
}

static unsigned long site_live(struct alloc_site *site)
{
	if (site->cache)
		return cache_live(site->cache);
	return READ_ONCE(site->live) + owner_counts(site).live;
}

static unsigned long site_asked(struct alloc_site *site)
{
	unsigned long asked = owner_counts(site).asked;
	struct thread_caches *own;

	site_list_lock();
	asked += READ_ONCE(site->asked);
	for (own = thread_list; own && site->cache && site->cache->slot; own = own->next)
		asked += READ_ONCE(((struct magazine *)((char *)own + site->cache->slot))->asked);
	site_list_unlock();
	return asked;
}

/*
 * Freeing one object may defer the freeing of others, hence the loop; its bound
 * is for a process whose other threads never stop.
 */
unsigned long samara_live_objects(void)
{
	struct alloc_site *site;
	unsigned long live = 0;

	for (int pass = 0; pass < 64; pass++) {
		rcu_barrier();
		if (!defer_pending())
			break;
	}
	for (site = smp_load_acquire(&site_list); site; site = site->next)
		live += site_live(site);
	return live;
}

void samara_inject_each_site(void (*fn)(const struct samara_site_info *site, void *arg), void *arg)
{
	struct alloc_site *site;

	for (site = smp_load_acquire(&site_list); site; site = site->next) {
		struct samara_site_info info = {
			.name = site->name,
			.asked = site_asked(site),
			.refused = READ_ONCE(site->refused),
			.live = site_live(site),
		};

		fn(&info, arg);
	}
}
