/* SPDX-License-Identifier: MIT */
/*
 * The embedder's own allocator.
 */
#ifndef SAMARA_ALLOC_H
#define SAMARA_ALLOC_H

#include <samara/types.h>

SAMARA_BEGIN_DECLS

/*
 * Where the library's memory comes from. alloc: size bytes aligned to align (a
 * power of two, at most 2 MiB), uninitialised, or NULL. free: what alloc gave,
 * with the same size. Both may be called from any thread and with locks held;
 * neither may call into samara.
 */
struct samara_alloc_hooks {
	void *(*alloc)(void *ctx, size_t size, size_t align);
	void (*free)(void *ctx, void *ptr, size_t size);
	void *ctx;
};

/*
 * Replace the allocator; NULL brings the default back. -EBUSY while any object
 * is allocated, -EINVAL when a function is missing. Not to be called while
 * another thread is inside the library. Threads that have used it before may be
 * there: what they kept for reuse goes back to the old allocator.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_set_alloc_hooks(const struct samara_alloc_hooks *hooks);

SAMARA_END_DECLS

#endif
