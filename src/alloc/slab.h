/* SPDX-License-Identifier: MIT */
/*
 * The memory behind one cache: chunks from the allocator, cut into slabs.
 *
 *   chunk (64 KiB, 128 KiB, ... 2 MiB), aligned to 64 KiB, whole huge pages to 2 MiB
 *   .---------------------.---------------------.---------------------.
 *   | slab 0              | slab 1              | not carved yet ...  |
 *   '---------------------'---------------------'---------------------'
 *    slab:  head | link[count] | object | object | ... | object |
 *
 * A slab is aligned to its size, so that an object's slab is a mask away. link[]
 * has a pointer for every object, outside the object: that is how free or
 * deferred objects can be chained without memory and without touching an object
 * that readers may still be reading.
 *
 * Everything here is called with the cache's lock held.
 */
#ifndef ALLOC_SLAB_H
#define ALLOC_SLAB_H

#include "alloc/cache.h"

#define SLAB_SIZE (64UL << 10)

struct slab {
	struct obj_cache *cache;
	struct slab *chunk;	/* first slab of its chunk */
	unsigned int count;	/* objects that fit */
	unsigned int carved;	/* objects that have been handed out once */
	unsigned int first;	/* offset of the first object */
	unsigned int free_seen; /* while shrinking: free objects found */
	/* first slab of a chunk only: */
	struct slab *next;	/* chunks of the cache */
	size_t chunk_size;
	unsigned int slabs;	/* that have been set up */
	bool dead;		/* while shrinking: the chunk goes */
	void *link[];
};

static inline struct slab *slab_of(const void *obj)
{
	return (struct slab *)ALIGN_DOWN((uintptr_t)obj, SLAB_SIZE);
}

/* Where obj's chain pointer is. */
void **slab_link(const struct obj_cache *c, const void *obj);

/* An object that has never been used, or NULL. */
void *slab_carve(struct obj_cache *c);

/* Count obj as free, for slab_mark_dead(). */
void slab_note_free(const void *obj);

/*
 * Mark every chunk whose objects have all been noted, take the marked ones out
 * of the cache and return them, chained with next; forgets the notes.
 */
struct slab *slab_take_dead(struct obj_cache *c);
void slab_mark_dead(struct obj_cache *c);

static inline bool slab_is_dead(const void *obj)
{
	return slab_of(obj)->chunk->dead;
}

/* Give the chain that slab_take_dead() returned back to the allocator. */
void slab_release(struct slab *chunk);

#endif
