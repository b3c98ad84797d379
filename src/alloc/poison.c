/* SPDX-License-Identifier: MIT */
/*
 * What debug and sanitizer builds do with an object that becomes free, and
 * check when it goes out again.
 */
#include "alloc/poison.h"

#include <string.h>

#include "alloc/slab.h"
#include "base/assert.h"

#define KEPT 8 /* bytes of a type-safe object */

#if SAMARA_ASAN || defined(SAMARA_DEBUG)

/*
 * The parts of an object that are poisoned: all of it, or what is before and behind the bytes
 * kept.
 */
static size_t head_size(const struct obj_cache *c)
{
	return c->keep ? c->keep : c->size;
}

static char *tail_of(const struct obj_cache *c, void *obj)
{
	return (char *)obj + c->keep + KEPT;
}

static size_t tail_size(const struct obj_cache *c)
{
	return c->keep ? c->size - c->keep - KEPT : 0;
}

#endif

#if SAMARA_ASAN

void poison_fresh(const struct obj_cache *c, void *obj)
{
	poison_region(obj, c->size);
}

void cache_object_out(const struct obj_cache *c, void *obj)
{
	unpoison_region(obj, c->size);
}

void cache_object_in(const struct obj_cache *c, void *obj)
{
	if (__asan_address_is_poisoned(obj))
		assert_bug_text("cache %s: object %p freed twice", c->site.name, obj);
	BUG_ON(slab_of(obj)->cache != c);
	poison_region(obj, head_size(c));
	poison_region(tail_of(c, obj), tail_size(c));
}

#elif defined(SAMARA_DEBUG)

static bool bytes_filled(const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	return !size || (p[0] == CACHE_POISON && !memcmp(p, p + 1, size - 1));
}

static bool is_filled(const struct obj_cache *c, void *obj)
{
	return bytes_filled(obj, head_size(c)) && bytes_filled(tail_of(c, obj), tail_size(c));
}

static void fill(const struct obj_cache *c, void *obj, int byte)
{
	memset(obj, byte, head_size(c));
	memset(tail_of(c, obj), byte, tail_size(c));
}

void poison_fresh(const struct obj_cache *c, void *obj)
{
	fill(c, obj, CACHE_POISON);
}

void cache_object_out(const struct obj_cache *c, void *obj)
{
	if (!is_filled(c, obj))
		assert_bug_text("cache %s: object %p written after it was freed", c->site.name,
				obj);
	fill(c, obj, CACHE_GARBAGE);
}

/* An object full of CACHE_POISON is taken for a free one: no user leaves it so. */
void cache_object_in(const struct obj_cache *c, void *obj)
{
	BUG_ON(slab_of(obj)->cache != c);
	if (is_filled(c, obj))
		assert_bug_text("cache %s: object %p freed twice", c->site.name, obj);
	fill(c, obj, CACHE_POISON);
}

#endif
