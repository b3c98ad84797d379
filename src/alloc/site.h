/* SPDX-License-Identifier: MIT */
/*
 * Allocation sites: what samara/inject.h counts and can make fail. A site is
 * either an object cache (cache.h) or an alloc_site of its own (mem.h).
 */
#ifndef ALLOC_SITE_H
#define ALLOC_SITE_H

#include "base/compiler.h"

struct obj_cache;

struct site_counts {
	unsigned long asked, live;
};

struct alloc_site {
	const char *name;	 /* unique */
	struct obj_cache *cache; /* whose site it is; NULL: one of mem.h */
	struct alloc_site *next; /* the registry; RANK_CACHE_ALL */
	bool registered;	 /* RANK_CACHE_ALL */
	unsigned long armed;	 /* refuse the armed-th request from now; 0: off. RANK_CACHE_ALL */
	unsigned long asked;	 /* atomic; what is not in a thread's magazine */
	unsigned long refused;	 /* atomic */
	unsigned long live;	 /* atomic; sites of mem.h only, caches count otherwise */
	/*
	 * What the site's owner has counted where it costs nothing (under locks it takes
	 * anyway); comes on top of asked and live. Called with no lock held. Or NULL.
	 */
	void (*count)(struct site_counts *out);
};

/*
 * A site whose owner counts (but for requests that are refused) and admits by
 * itself: it calls site_admit() if the thread's inject_left or armed is not 0.
 */
#define DEFINE_COUNTED_SITE(var, site_name, count_)                               \
	struct alloc_site var = { .name = (site_name), .count = (count_) };       \
	static __attribute__((constructor)) void var##_register(void)             \
	{                                                                         \
		site_register(&var);                                              \
	}                                                                         \
	_Static_assert(sizeof(site_name) > 1, "site name")

/* Idempotent. Constructors do it, and the first use where it comes before them. */
void site_register(struct alloc_site *site);

/* May the calling thread have k objects now? Counts and fires what samara_inject_*() armed. */
bool site_admit(struct alloc_site *site, unsigned long k);

/* The allocator behind the site had nothing: k requests more are refused. */
void site_refused(struct alloc_site *site, unsigned long k);

/*
 * The registry and its lock, RANK_CACHE_ALL, which protects what is marked so in this room.
 * site_list_lock() first makes sure that a fork(2) waits for it.
 */
extern struct samara_spinlock site_lock;
extern struct alloc_site *site_list;
void site_list_lock(void);
void site_list_unlock(void);

#endif
