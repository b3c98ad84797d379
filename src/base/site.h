/* SPDX-License-Identifier: MIT */
/*
 * Allocation sites: what samara/inject.h counts and can make fail. A site is
 * either an object cache (cache.h) or an alloc_site of its own (mem.h).
 */
#ifndef BASE_SITE_H
#define BASE_SITE_H

#include "base/compiler.h"

struct obj_cache;

struct alloc_site {
	const char *name;	 /* unique */
	struct obj_cache *cache; /* whose site it is; NULL: one of mem.h */
	struct alloc_site *next; /* the registry; RANK_CACHE_ALL */
	bool registered;	 /* RANK_CACHE_ALL */
	unsigned long armed;	 /* refuse the armed-th request from now; 0: off. RANK_CACHE_ALL */
	unsigned long asked;	 /* atomic; what is not in a thread's magazine */
	unsigned long refused;	 /* atomic */
	unsigned long live;	 /* atomic; sites of mem.h only, caches count otherwise */
};

/* Idempotent. Constructors do it, and the first use for whoever is earlier than they are. */
void site_register(struct alloc_site *site);

/* May the calling thread have k objects now? Counts and fires what samara_inject_*() armed. */
bool site_admit(struct alloc_site *site, unsigned long k);

/* The allocator behind the site had nothing: k requests more are refused. */
void site_refused(struct alloc_site *site, unsigned long k);

/* The registry's lock; protects what is marked RANK_CACHE_ALL in this room. */
extern struct samara_spinlock site_lock;
extern struct alloc_site *site_list;

#endif
