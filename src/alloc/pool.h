/* SPDX-License-Identifier: MIT */
/*
 * The shared pool of an object cache: where magazines are filled from and
 * emptied to. Takes the cache's lock; callers may hold site_lock.
 */
#ifndef ALLOC_POOL_H
#define ALLOC_POOL_H

#include "alloc/cache.h"

/* Up to n objects; returns how many there were, which is 0 when the allocator refuses. */
unsigned int pool_get(struct obj_cache *c, void **out, unsigned int n);

void pool_put(struct obj_cache *c, void **objs, unsigned int n);

/* The same with a sheaf of c, which becomes the pool's. */
void pool_put_sheaf(struct obj_cache *c, struct sheaf *sheaf);

/*
 * Free obj after a grace period, without a sheaf: slower, needs no memory. Inside a read-side
 * section; the caller calls rcu_wake_worker() behind it.
 */
void pool_defer_loose(struct obj_cache *c, void *obj);

/* An empty sheaf for objects of c, or NULL. */
struct sheaf *sheaf_alloc(struct obj_cache *c);

/* Give wholly free chunks back, of every cache. True if no chunk is left anywhere. */
bool pool_shrink_all(void);

/* A consistent reading of c->chunks.carved - c->free.count. */
unsigned long pool_out(struct obj_cache *c);

/* For fork_pools.c, with site_lock held: every pool's lock. */
void pool_fork_lock(void);
void pool_fork_unlock(void);

#endif
