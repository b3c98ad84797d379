/* SPDX-License-Identifier: MIT */
/*
 * What debug and sanitizer builds do with an object that becomes free, and
 * check when it goes out again.
 */
#include "base/poison.h"

#include <string.h>

#include "base/assert.h"
#include "base/slab.h"

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
	poison_region(obj, c->size);
}

#elif defined(SAMARA_DEBUG)

static bool is_filled(const struct obj_cache *c, const void *obj)
{
	const unsigned char *p = obj;

	return p[0] == CACHE_POISON && !memcmp(p, p + 1, c->size - 1u);
}

void poison_fresh(const struct obj_cache *c, void *obj)
{
	memset(obj, CACHE_POISON, c->size);
}

void cache_object_out(const struct obj_cache *c, void *obj)
{
	if (!is_filled(c, obj))
		assert_bug_text("cache %s: object %p written after it was freed", c->site.name,
				obj);
	memset(obj, CACHE_GARBAGE, c->size);
}

/* An object full of CACHE_POISON is taken for a free one: no user leaves it so. */
void cache_object_in(const struct obj_cache *c, void *obj)
{
	BUG_ON(slab_of(obj)->cache != c);
	if (is_filled(c, obj))
		assert_bug_text("cache %s: object %p freed twice", c->site.name, obj);
	memset(obj, CACHE_POISON, c->size);
}

#endif
