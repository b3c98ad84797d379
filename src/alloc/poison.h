/* SPDX-License-Identifier: MIT */
/*
 * Catching uses of free objects in spite of the caches: AddressSanitizer builds
 * poison them, other debug builds fill them with CACHE_POISON.
 */
#ifndef ALLOC_POISON_H
#define ALLOC_POISON_H

#include "alloc/cache.h"

#if SAMARA_ASAN
void __asan_poison_memory_region(const volatile void *p, size_t size);
void __asan_unpoison_memory_region(const volatile void *p, size_t size);
int __asan_address_is_poisoned(const volatile void *p);
static inline void poison_region(void *p, size_t size) { __asan_poison_memory_region(p, size); }
static inline void unpoison_region(void *p, size_t size) { __asan_unpoison_memory_region(p, size); }
#else
static inline void poison_region(void *p, size_t size) { (void)p, (void)size; }
static inline void unpoison_region(void *p, size_t size) { (void)p, (void)size; }
#endif

/* A carved object becomes a free one. */
#if defined(SAMARA_DEBUG) || SAMARA_ASAN
void poison_fresh(const struct obj_cache *c, void *obj);
#else
static inline void poison_fresh(const struct obj_cache *c, void *obj) { (void)c, (void)obj; }
#endif

#endif
