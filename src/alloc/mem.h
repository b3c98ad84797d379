/* SPDX-License-Identifier: MIT */
/*
 * Allocations of odd sizes, and rare ones: straight from the embedder's
 * allocator, each counted and refusable at its site.
 */
#ifndef ALLOC_MEM_H
#define ALLOC_MEM_H

#include "alloc/site.h"
#include "base/compiler.h"

/* May be preceded by static. */
#define DEFINE_ALLOC_SITE(var, site_name)                              \
	struct alloc_site var = { .name = (site_name) };               \
	static __attribute__((constructor)) void var##_register(void) \
	{                                                              \
		site_register(&var);                                   \
	}                                                              \
	_Static_assert(sizeof(site_name) > 1, "site name")

/* size bytes aligned for any type, or NULL when refused. size 0 is one byte. */
void *mem_alloc(struct alloc_site *site, size_t size) __must_check;
void *mem_zalloc(struct alloc_site *site, size_t size) __must_check;

/* p from an allocation at the same site, or NULL. */
void mem_free(struct alloc_site *site, void *p);

/*
 * size bytes of zeros, straight from the host; NULL when refused. A page of them costs memory once
 * it is written to, so tables with a place for everything may be large.
 */
void *mem_map_zeros(struct alloc_site *site, size_t size) __must_check;
/* p of size bytes from mem_map_zeros() at the same site, or NULL. */
void mem_unmap_zeros(struct alloc_site *site, void *p, size_t size);

#endif
