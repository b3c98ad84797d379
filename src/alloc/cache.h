/* SPDX-License-Identifier: MIT */
/*
 * Object caches: fixed-size objects, handed out and taken back in a few
 * nanoseconds without a lock or an atomic operation.
 *
 *    thread 1            thread 2             each thread, for each cache:
 *   .----------.        .----------.            a magazine of free objects
 *   | magazine |        | magazine |          and
 *   | batch    |        | batch    |            a batch that waits to be freed
 *   '--|----|--'        '--|----|--'
 *      |30  '-- 123 at a time --'--> rcu_defer() --.
 *      v                                           |
 *   .--------------- pool -----------------.       |
 *   | sheaves of up to 123 free objects    |<------'     pool.c, defer.c
 *   | loose objects   fresh objects        |
 *   '--------------------------------------'
 *   chunks of 64 KiB ... 2 MiB from the embedder's allocator, in slabs of 64 KiB
 *
 * Making an allocation fail (samara/inject.h) costs the fast path nothing: an
 * armed thread, or an armed cache, is pointed to a magazine that is always
 * empty and always full, so that every call takes the slow path, which counts.
 *
 * Invariants
 *  1. A magazine is touched by its thread only; count and asked may be read by
 *     others, and count is exact for a thread that is ordered after the owner's call.
 *  2. Slot 0 of every thread, and every slot of cache_no_thread, has count 0,
 *     capacity 0 and no batch, always.
 *  3. Objects of a cache: carved = free in the pool + in magazines + live.
 *     A live object is in its user's hands or in a batch.
 *
 * Debug builds fill free objects with CACHE_POISON and check it when the object
 * goes out again, filled with CACHE_GARBAGE; AddressSanitizer builds poison
 * them.
 *
 * A type-safe cache is for objects that readers under RCU may still look at
 * after cache_free() and even when they are in use again: its memory is not given
 * back before a grace period has passed, and 8 bytes of each object, the ones by which such a
 * reader sees what has become of it, are left alone while it is free.
 */
#ifndef ALLOC_CACHE_H
#define ALLOC_CACHE_H

#include <samara/types.h>

#include "alloc/site.h"
#include "base/compiler.h"
#include "base/rcu.h"

#define CACHE_SLOTS 32 /* caches with magazines, and the empty slot 0; further caches go without */
#define MAGAZINE_OBJS 60
#define SHEAF_OBJS 123
#define CACHE_POISON 0x6b  /* debug builds: every byte of a free object */
#define CACHE_GARBAGE 0xa5 /* and of one that was just handed out */

/* A bundle of objects, passed on as a whole: free ones in the pool, or deferred ones. */
struct sheaf {
	struct sheaf *next;
	struct obj_cache *cache;
	struct rcu_cb cb;
	unsigned int count;
	void *obj[SHEAF_OBJS];
};

struct magazine {
	unsigned int count;
	unsigned int capacity;
	unsigned long asked;
	struct sheaf *batch; /* taken by its owner, or by a flush with an exchange */
	unsigned long unused;
	void *obj[MAGAZINE_OBJS];
};

struct thread_caches;

/* Free objects in the pool. pool.c writes it. */
struct cache_free {
	struct sheaf *sheaves; /* none is empty */
	void *loose;	       /* linked through their slab's links */
	unsigned long count;
};

/* What objects are carved from. slab.c writes it; shrinking takes from carved as well. */
struct cache_chunks {
	unsigned long carved; /* objects, in use or not */
	struct slab *first;   /* each chunk's first slab */
	struct slab *fresh;   /* where the next object is carved, or NULL */
	size_t last_size;     /* of the chunk that was taken last */
};

/* Loose objects that wait to be free. pool.c writes it. */
struct cache_deferred {
	void *next; /* they wait for ... */
	void *now;  /* ... the grace period after the one that these wait for */
	struct rcu_cb cb;
	bool busy; /* cb is queued */
};

struct obj_cache {
	unsigned int magazine; /* offset in struct thread_caches; that of slot 0 while armed */
	unsigned int slot;     /* the same, not changed by arming */
	unsigned int size;     /* a multiple of align */
	unsigned int align;
	unsigned int keep;     /* type-safe: offset of a free object's 8 live bytes; else 0 */
	bool plain;	       /* the sheaves' own cache: no sheaves, no magazines, not counted */
	struct alloc_site site;

	struct samara_spinlock lock __aligned(CACHE_LINE); /* RANK_CACHE_POOL; for what follows */
	struct cache_free free;
	struct cache_chunks chunks;
	struct cache_deferred deferred;
};

#define OBJ_CACHE_INIT(var, site_name, size_, align_, keep_)                       \
	{                                                                          \
		.size = ALIGN_UP((unsigned int)(size_), (unsigned int)(align_)),   \
		.align = (align_), .keep = (keep_),                                \
		.site = { .name = (site_name), .cache = &(var) }                   \
	}

/* A cache and its site; may be preceded by static. At most 16 KiB per object. */
#define DEFINE_OBJ_CACHE(var, site_name, size_, align_)                            \
	DEFINE_CACHE_KEEPING(var, site_name, size_, align_, 0)

/* The same, type-safe; keep_ is where the 8 bytes are, not 0. */
#define DEFINE_TYPESAFE_CACHE(var, site_name, size_, align_, keep_)                \
	DEFINE_CACHE_KEEPING(var, site_name, size_, align_, keep_);                \
	_Static_assert((keep_) && (keep_) % 8 == 0 && (keep_) + 8 <= (size_), "kept bytes")

#define DEFINE_CACHE_KEEPING(var, site_name, size_, align_, keep_)                 \
	struct obj_cache var = OBJ_CACHE_INIT(var, site_name, size_, align_, keep_); \
	static __attribute__((constructor)) void var##_register(void)              \
	{                                                                          \
		site_register(&var.site);                                          \
	}                                                                          \
	_Static_assert((size_) <= 16384 && ((align_) & ((align_) - 1)) == 0, "object cache")

/* The calling thread's: TLS in one place, so that it is one load away. */
struct cache_thread {
	struct thread_caches *hot; /* own, or cache_no_thread while armed or without own */
	struct thread_caches *own; /* NULL until the first slow path */
	unsigned long inject_left; /* refuse the inject_left-th object from now; 0: off */
	bool inject_sticky;	   /* and every one after it */
	unsigned long asked_other; /* asked for without a magazine */
	unsigned long asked_seen;  /* what samara_inject_count() has reported */
};

extern __thread struct cache_thread cache_self __attribute__((tls_model("initial-exec")));

void *cache_alloc_slow(struct obj_cache *c);
bool cache_alloc_bulk_slow(struct obj_cache *c, unsigned int n, void **out);
void cache_free_slow(struct obj_cache *c, void *obj);
void cache_free_rcu_slow(struct obj_cache *c, void *obj);

/* Debug and sanitizer builds: an object leaves, or comes back to, the cache. */
#if defined(SAMARA_DEBUG) || SAMARA_ASAN
void cache_object_out(const struct obj_cache *c, void *obj);
void cache_object_in(const struct obj_cache *c, void *obj);
#else
static inline void cache_object_out(const struct obj_cache *c, void *obj) { (void)c, (void)obj; }
static inline void cache_object_in(const struct obj_cache *c, void *obj) { (void)c, (void)obj; }
#endif

static inline struct magazine *cache_magazine(const struct obj_cache *c)
{
	return (struct magazine *)((char *)cache_self.hot + READ_ONCE(c->magazine));
}

/* An uninitialised object, or NULL when refused. Never waits for a grace period. */
static inline __must_check void *cache_alloc(struct obj_cache *c)
{
	struct magazine *m = cache_magazine(c);
	unsigned int n = m->count;
	void *obj;

	if (unlikely(!n))
		return cache_alloc_slow(c);
	obj = m->obj[n - 1];
	WRITE_ONCE(m->count, n - 1);
	WRITE_ONCE(m->asked, m->asked + 1);
	cache_object_out(c, obj);
	return obj;
}

/* n objects or none. Counts as n requests, and is refused as a whole when one of them is. */
static inline __must_check bool cache_alloc_bulk(struct obj_cache *c, unsigned int n, void **out)
{
	struct magazine *m = cache_magazine(c);
	unsigned int left;

	if (unlikely(m->count < n || !n))
		return !n || cache_alloc_bulk_slow(c, n, out);
	left = m->count - n;
	for (unsigned int i = 0; i < n; i++) {
		out[i] = m->obj[left + i];
		cache_object_out(c, out[i]);
	}
	WRITE_ONCE(m->count, left);
	WRITE_ONCE(m->asked, m->asked + n);
	return true;
}

/* For an object that no reader can hold. */
static inline void cache_free(struct obj_cache *c, void *obj)
{
	struct magazine *m = cache_magazine(c);
	unsigned int n = m->count;

	if (unlikely(n >= m->capacity)) {
		cache_free_slow(c, obj);
		return;
	}
	cache_object_in(c, obj);
	m->obj[n] = obj;
	WRITE_ONCE(m->count, n + 1);
}

static inline void cache_free_bulk(struct obj_cache *c, unsigned int n, void **objs)
{
	for (unsigned int i = 0; i < n; i++)
		cache_free(c, objs[i]);
}

/*
 * Free obj after a grace period; the object stays as it is until then. Never
 * fails, never waits, may be called with locks held and inside a read-side
 * section.
 *
 * The section here lets another thread take a half-filled batch away: it takes
 * the pointer, waits for a grace period, and then no thread is still adding.
 */
static inline void cache_free_rcu(struct obj_cache *c, void *obj)
{
	struct magazine *m = cache_magazine(c);
	struct sheaf *batch;

	rcu_read_lock();
	batch = smp_load_acquire(&m->batch);
	if (unlikely(!batch || batch->count == SHEAF_OBJS)) {
		rcu_read_unlock();
		cache_free_rcu_slow(c, obj);
		return;
	}
	batch->obj[batch->count] = obj;
	batch->count++;
	rcu_read_unlock();
}

/*
 * Give all memory that no object is in back to the embedder's allocator, but
 * for what other threads' magazines hold. Waits for grace periods.
 */
void cache_shrink_all(void);

/* Objects of c in users' hands and batches; exact when no other thread is inside a call. */
unsigned long cache_live(struct obj_cache *c);

#endif
