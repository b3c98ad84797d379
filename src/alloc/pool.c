/* SPDX-License-Identifier: MIT */
/*
 * The shared pool of an object cache.
 *
 *   sheaves:  [ 7 of 123 ] -> [ 123 of 123 ] -> [ 88 of 123 ]    newest first
 *   loose:    obj -> obj -> obj        chained through slab links
 *   fresh:    the slab where the next object is carved
 *
 * pool_get() takes from them in that order: what was freed last is warmest, and
 * fresh memory is touched last. Objects become loose only when no sheaf could
 * be had, and in the sheaves' own cache.
 *
 * Locks: c->lock, RANK_CACHE_POOL; the sheaves' cache is taken inside it,
 * RANK_CACHE_CHUNK.
 */
#include "alloc/pool.h"

#include <string.h>

#include "alloc/fork_pools.h"
#include "alloc/slab.h"
#include "base/assert.h"
#include "base/lock.h"

static struct obj_cache sheaf_cache = {
	.size = sizeof(struct sheaf),
	.align = CACHE_LINE,
	.plain = true,
	.site = { .name = "sheaf", .cache = &sheaf_cache },
};

static void pool_lock(struct obj_cache *c)
{
	alloc_fork_ready();
	spin_lock(&c->lock, c->plain ? RANK_CACHE_CHUNK : RANK_CACHE_POOL);
}

static void pool_unlock(struct obj_cache *c)
{
	spin_unlock(&c->lock);
}

/* loose objects ----------------------------------------------------------- */

static void loose_push(struct obj_cache *c, void **list, void *obj)
{
	spin_assert_held(&c->lock);
	*slab_link(c, obj) = *list;
	*list = obj;
}

static void *loose_pop(struct obj_cache *c, void **list)
{
	void *obj = *list;

	spin_assert_held(&c->lock);
	if (obj)
		*list = *slab_link(c, obj);
	return obj;
}

/* sheaves ----------------------------------------------------------------- */

struct sheaf *sheaf_alloc(struct obj_cache *c)
{
	void *p = NULL;
	struct sheaf *sheaf;

	if (!pool_get(&sheaf_cache, &p, 1))
		return NULL;
	sheaf = p;
	sheaf->next = NULL;
	sheaf->cache = c;
	sheaf->count = 0;
	return sheaf;
}

static void sheaf_free(struct sheaf *sheaf)
{
	void *p = sheaf;

	pool_put(&sheaf_cache, &p, 1);
}

/* Up to n objects from the newest sheaf. */
static unsigned int sheaf_take(struct obj_cache *c, void **out, unsigned int n)
{
	struct sheaf *sheaf = c->free.sheaves;
	unsigned int got = min(n, sheaf->count);

	spin_assert_held(&c->lock);
	sheaf->count -= got;
	memcpy(out, &sheaf->obj[sheaf->count], got * sizeof(*out));
	if (!sheaf->count) {
		c->free.sheaves = sheaf->next;
		sheaf_free(sheaf);
	}
	return got;
}

/* get and put ------------------------------------------------------------- */

/*
 * A magazine is emptied from its end. Turned round, fresh memory is met in
 * ascending order, and objects that were freed one after another come again so.
 */
static void reverse(void **objs, unsigned int n)
{
	for (unsigned int i = 0; i < n / 2; i++) {
		void *obj = objs[i];

		objs[i] = objs[n - 1 - i];
		objs[n - 1 - i] = obj;
	}
}

unsigned int pool_get(struct obj_cache *c, void **out, unsigned int n)
{
	unsigned int got = 0;

	pool_lock(c);
	while (got < n && c->free.sheaves)
		got += sheaf_take(c, out + got, n - got);
	while (got < n && c->free.loose)
		out[got++] = loose_pop(c, &c->free.loose);
	c->free.count -= got;
	for (; got < n; got++) {
		out[got] = slab_carve(c);
		if (!out[got])
			break;
	}
	pool_unlock(c);
	reverse(out, got);
	return got;
}

static struct sheaf *sheaf_with_room(struct obj_cache *c)
{
	struct sheaf *sheaf = c->free.sheaves;

	spin_assert_held(&c->lock);
	if (c->plain || (sheaf && sheaf->count < SHEAF_OBJS))
		return c->plain ? NULL : sheaf;
	sheaf = sheaf_alloc(c);
	if (sheaf) {
		sheaf->next = c->free.sheaves;
		c->free.sheaves = sheaf;
	}
	return sheaf;
}

void pool_put(struct obj_cache *c, void **objs, unsigned int n)
{
	pool_lock(c);
	c->free.count += n;
	while (n) {
		struct sheaf *sheaf = sheaf_with_room(c);
		unsigned int some = sheaf ? min(n, SHEAF_OBJS - sheaf->count) : 1;

		if (sheaf) {
			memcpy(&sheaf->obj[sheaf->count], objs, some * sizeof(*objs));
			sheaf->count += some;
		} else {
			loose_push(c, &c->free.loose, *objs);
		}
		objs += some;
		n -= some;
	}
	pool_unlock(c);
}

void pool_put_sheaf(struct obj_cache *c, struct sheaf *sheaf)
{
	pool_lock(c);
	sheaf->next = c->free.sheaves;
	c->free.sheaves = sheaf;
	c->free.count += sheaf->count;
	pool_unlock(c);
}

unsigned long pool_out(struct obj_cache *c)
{
	unsigned long out;

	pool_lock(c);
	out = c->chunks.carved - c->free.count;
	pool_unlock(c);
	return out;
}

/* deferring without a sheaf ----------------------------------------------- */

static void loose_done(struct rcu_cb *cb)
{
	struct obj_cache *c = container_of(cb, struct obj_cache, deferred.cb);
	void *obj;
	bool again;

	pool_lock(c);
	while ((obj = loose_pop(c, &c->deferred.now))) {
		cache_object_in(c, obj);
		loose_push(c, &c->free.loose, obj);
		c->free.count++;
	}
	c->deferred.now = c->deferred.next;
	c->deferred.next = NULL;
	again = c->deferred.now;
	c->deferred.busy = again;
	pool_unlock(c);
	if (again)
		rcu_defer(cb, loose_done);
}

void pool_defer_loose(struct obj_cache *c, void *obj)
{
	bool start;

	pool_lock(c);
	start = !c->deferred.busy;
	c->deferred.busy = true;
	loose_push(c, start ? &c->deferred.now : &c->deferred.next, obj);
	pool_unlock(c);
	if (start)
		rcu_queue(&c->deferred.cb, loose_done);
}

/* shrinking --------------------------------------------------------------- */

static void note_free_objects(struct obj_cache *c)
{
	for (struct sheaf *sheaf = c->free.sheaves; sheaf; sheaf = sheaf->next) {
		for (unsigned int i = 0; i < sheaf->count; i++)
			slab_note_free(sheaf->obj[i]);
	}
	for (void *obj = c->free.loose; obj; obj = *slab_link(c, obj))
		slab_note_free(obj);
}

/* Objects of chunks that go, out of the sheaves and the loose list. */
static unsigned long forget_dead_objects(struct obj_cache *c)
{
	struct sheaf **p = &c->free.sheaves;
	void *loose = c->free.loose, *obj;
	unsigned long gone = 0;

	while (*p) {
		struct sheaf *sheaf = *p;
		unsigned int kept = 0;

		for (unsigned int i = 0; i < sheaf->count; i++) {
			if (!slab_is_dead(sheaf->obj[i]))
				sheaf->obj[kept++] = sheaf->obj[i];
		}
		gone += sheaf->count - kept;
		sheaf->count = kept;
		if (kept) {
			p = &sheaf->next;
			continue;
		}
		*p = sheaf->next;
		sheaf_free(sheaf);
	}
	c->free.loose = NULL;
	while ((obj = loose_pop(c, &loose))) {
		if (slab_is_dead(obj))
			gone++;
		else
			loose_push(c, &c->free.loose, obj);
	}
	return gone;
}

static bool pool_shrink(struct obj_cache *c)
{
	struct slab *dead;
	unsigned long gone;
	bool empty;

	pool_lock(c);
	note_free_objects(c);
	slab_mark_dead(c);
	gone = forget_dead_objects(c);
	c->free.count -= gone;
	c->chunks.carved -= gone;
	dead = slab_take_dead(c);
	empty = !c->chunks.first;
	pool_unlock(c);
	if (dead && c->keep)
		rcu_synchronize();
	slab_release(dead);
	return empty;
}

bool pool_shrink_all(void)
{
	struct alloc_site *site = smp_load_acquire(&site_list);
	bool empty = true;

	for (; site; site = site->next) {
		if (site->cache && !pool_shrink(site->cache))
			empty = false;
	}
	return pool_shrink(&sheaf_cache) && empty;
}

/* fork -------------------------------------------------------------------- */

/* No ranks, as in rcu_fork_prepare(). */
void pool_fork_lock(void)
{
	struct alloc_site *site;

	for (site = site_list; site; site = site->next) {
		if (site->cache)
			spin_acquire(&site->cache->lock);
	}
	spin_acquire(&sheaf_cache.lock);
}

void pool_fork_unlock(void)
{
	struct alloc_site *site;

	spin_release(&sheaf_cache.lock);
	for (site = site_list; site; site = site->next) {
		if (site->cache)
			spin_release(&site->cache->lock);
	}
}
