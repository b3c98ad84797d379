/* SPDX-License-Identifier: MIT */
/*
 * Chunks and slabs (the picture is in slab.h).
 *
 * Chunks double in size up to one huge page, so that a small program takes
 * little and a big tree lies in huge pages. Slabs are set up, and objects
 * carved, one after the other: memory that was never needed is never touched.
 */
#include "alloc/slab.h"

#include "alloc/poison.h"
#include "alloc/raw.h"
#include "base/assert.h"

void **slab_link(const struct obj_cache *c, const void *obj)
{
	struct slab *slab = slab_of(obj);
	size_t offset = (size_t)((const char *)obj - (const char *)slab);

	return &slab->link[(offset - slab->first) / c->size];
}

static unsigned int first_offset(const struct obj_cache *c, unsigned int count)
{
	return ALIGN_UP((unsigned int)(sizeof(struct slab) + count * sizeof(void *)), c->align);
}

static void slab_init(struct slab *slab, struct obj_cache *c, struct slab *chunk)
{
	unsigned int count = (SLAB_SIZE - sizeof(struct slab)) / (c->size + sizeof(void *));

	while (first_offset(c, count) + (size_t)count * c->size > SLAB_SIZE)
		count--;
	BUG_ON(!count);
	slab->cache = c;
	slab->chunk = chunk;
	slab->count = count;
	slab->carved = 0;
	slab->first = first_offset(c, count);
	slab->free_seen = 0;
	poison_region((char *)slab + slab->first, SLAB_SIZE - slab->first);
	chunk->slabs++;
}

static struct slab *chunk_alloc(struct obj_cache *c)
{
	size_t size = c->chunks.last_size ? min(c->chunks.last_size * 2, HUGE_PAGE) : SLAB_SIZE;
	struct slab *chunk;

	for (;;) {
		chunk = raw_alloc(size, size == HUGE_PAGE ? HUGE_PAGE : SLAB_SIZE);
		if (chunk || size == SLAB_SIZE)
			break;
		size /= 2;
	}
	if (!chunk)
		return NULL;
	BUG_ON(!IS_ALIGNED((uintptr_t)chunk, SLAB_SIZE));
	chunk->chunk_size = size;
	chunk->slabs = 0;
	chunk->dead = false;
	chunk->next = c->chunks.first;
	c->chunks.first = chunk;
	c->chunks.last_size = size;
	return chunk;
}

void *slab_carve(struct obj_cache *c)
{
	struct slab *slab = c->chunks.fresh;
	void *obj;

	if (!slab || slab->carved == slab->count) {
		struct slab *chunk = c->chunks.first;

		if (!chunk || chunk->slabs == chunk->chunk_size / SLAB_SIZE)
			chunk = chunk_alloc(c);
		if (!chunk)
			return NULL;
		slab = (struct slab *)((char *)chunk + chunk->slabs * SLAB_SIZE);
		slab_init(slab, c, chunk);
		c->chunks.fresh = slab;
	}
	obj = (char *)slab + slab->first + (size_t)slab->carved * c->size;
	slab->carved++;
	c->chunks.carved++;
	if (!c->plain)
		poison_fresh(c, obj);
	else
		unpoison_region(obj, c->size);
	return obj;
}

/* shrinking --------------------------------------------------------------- */

void slab_note_free(const void *obj)
{
	slab_of(obj)->free_seen++;
}

void slab_mark_dead(struct obj_cache *c)
{
	for (struct slab *chunk = c->chunks.first; chunk; chunk = chunk->next) {
		bool dead = true;

		for (unsigned int i = 0; i < chunk->slabs; i++) {
			struct slab *slab = (struct slab *)((char *)chunk + i * SLAB_SIZE);

			BUG_ON(slab->free_seen > slab->carved);
			dead &= slab->free_seen == slab->carved;
			slab->free_seen = 0;
		}
		chunk->dead = dead;
	}
}

struct slab *slab_take_dead(struct obj_cache *c)
{
	struct slab **p = &c->chunks.first, *dead = NULL;

	if (c->chunks.fresh && c->chunks.fresh->chunk->dead)
		c->chunks.fresh = NULL;
	while (*p) {
		struct slab *chunk = *p;

		if (!chunk->dead) {
			p = &chunk->next;
			continue;
		}
		*p = chunk->next;
		chunk->next = dead;
		dead = chunk;
	}
	if (!c->chunks.first)
		c->chunks.last_size = 0;
	return dead;
}

void slab_release(struct slab *chunk)
{
	while (chunk) {
		struct slab *next = chunk->next;

		unpoison_region(chunk, chunk->chunk_size);
		raw_free(chunk, chunk->chunk_size);
		chunk = next;
	}
}
