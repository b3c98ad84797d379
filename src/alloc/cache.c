/* SPDX-License-Identifier: MIT */
/*
 * The slow half of the object caches: empty, full and armed magazines, and
 * threads without any.
 *
 * Locks: none here; pool.c and thread.c take theirs.
 */
#include "alloc/cache.h"

#include <string.h>

#include "alloc/pool.h"
#include "alloc/thread.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"

#define REFILL (MAGAZINE_OBJS / 2)

/* Count k requests and ask whether they may be granted. */
static bool ask(struct obj_cache *c, struct magazine *m, unsigned int k)
{
	if (m) {
		WRITE_ONCE(m->asked, m->asked + k);
	} else {
		atomic_add(&c->site.asked, k);
		cache_self.asked_other += k;
	}
	return site_admit(&c->site, k);
}

static unsigned int take_from_magazine(struct magazine *m, void **out, unsigned int n)
{
	unsigned int some = min(n, m->count);
	unsigned int left = m->count - some;

	memcpy(out, &m->obj[left], some * sizeof(*out));
	WRITE_ONCE(m->count, left);
	return some;
}

void *cache_alloc_slow(struct obj_cache *c)
{
	struct magazine *m = thread_magazine(c);
	void *obj = NULL;

	if (!ask(c, m, 1))
		return NULL;
	if (!m) {
		pool_get(c, &obj, 1);
	} else {
		if (!m->count)
			WRITE_ONCE(m->count, pool_get(c, m->obj, REFILL));
		take_from_magazine(m, &obj, 1);
	}
	if (!obj) {
		site_refused(&c->site, 1);
		return NULL;
	}
	cache_object_out(c, obj);
	return obj;
}

bool cache_alloc_bulk_slow(struct obj_cache *c, unsigned int n, void **out)
{
	struct magazine *m = thread_magazine(c);
	unsigned int got;

	if (!ask(c, m, n))
		return false;
	got = m ? take_from_magazine(m, out, n) : 0;
	if (got < n)
		got += pool_get(c, out + got, n - got);
	if (got < n) {
		pool_put(c, out, got);
		site_refused(&c->site, n);
		return false;
	}
	for (unsigned int i = 0; i < n; i++)
		cache_object_out(c, out[i]);
	return true;
}

void cache_free_slow(struct obj_cache *c, void *obj)
{
	struct magazine *m = thread_magazine(c);
	unsigned int count;

	cache_object_in(c, obj);
	if (!m) {
		pool_put(c, &obj, 1);
		return;
	}
	count = m->count;
	if (count == m->capacity) { /* the bottom half is the coldest */
		WRITE_ONCE(m->count, 0);
		pool_put(c, m->obj, REFILL);
		count -= REFILL;
		memmove(m->obj, m->obj + REFILL, count * sizeof(*m->obj));
	}
	m->obj[count] = obj;
	WRITE_ONCE(m->count, count + 1);
}

void cache_shrink_all(void)
{
	rcu_barrier();
	thread_drain();
	pool_shrink_all();
}

unsigned long cache_live(struct obj_cache *c)
{
	struct thread_caches *own;
	unsigned long out, in_magazines = 0;

	site_list_lock();
	for (own = thread_list; own && c->slot; own = own->next) {
		struct magazine *m = (struct magazine *)((char *)own + c->slot);

		in_magazines += READ_ONCE(m->count);
	}
	out = pool_out(c);
	site_list_unlock();
	/* Other threads may have been moving objects meanwhile. */
	return out > in_magazines ? out - in_magazines : 0;
}
