/* SPDX-License-Identifier: MIT */
/*
 * Raw memory, from the embedder's hooks or from the default allocator. Nothing
 * here is counted or made to fail; that is for the caches and for mem.h.
 */
#ifndef ALLOC_RAW_H
#define ALLOC_RAW_H

#include "base/compiler.h"

#define HUGE_PAGE (2UL << 20)

/* size bytes, aligned to the power of two align (at most HUGE_PAGE); NULL when there is none. */
void *raw_alloc(size_t size, size_t align) __must_check;
void raw_free(void *p, size_t size);

#endif
