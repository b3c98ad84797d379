/* SPDX-License-Identifier: MIT */
/*
 * Each thread's magazines: made at its first slow path, given back when it
 * ends, reachable by others for counting and flushing.
 */
#ifndef ALLOC_THREAD_H
#define ALLOC_THREAD_H

#include "alloc/cache.h"

struct thread_caches {
	struct magazine slot[CACHE_SLOTS]; /* by obj_cache.slot; slot[0] stays empty */
	struct thread_caches *next;	   /* all threads; site_lock */
	struct cache_thread *self;	   /* whose */
};

/* What a thread without magazines, or an armed one, uses: never written. */
extern struct thread_caches cache_no_thread;

/* All threads' magazines; site_lock. */
extern struct thread_caches *thread_list;

/* The calling thread's magazine of c, made if need be. NULL: none to be had, go to the pool. */
struct magazine *thread_magazine(struct obj_cache *c);

/* After arming or disarming: let the fast path see the magazines, or not. */
void thread_update_hot(void);

/* Give the calling thread's free objects to the pools. */
void thread_drain(void);

/*
 * Give everything of every thread and every pool back to the allocator. False
 * if an object is still out. No other thread may be inside the library.
 */
bool thread_release_all_memory(void);

/* In a forked child: take over what the threads that are no more left behind. */
void thread_adopt_orphans(void);

#endif
