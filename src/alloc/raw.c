/* SPDX-License-Identifier: MIT */
/*
 * The embedder's allocator hooks and the default ones.
 *
 * Default: below 64 KiB the C library's aligned_alloc(), above it mmap(2) with
 * the excess cut off on both sides. Blocks of whole huge pages are aligned to
 * them and marked for them, because in a big tree a lookup's cost is mostly
 * TLB misses.
 *
 * hooks is written by samara_set_alloc_hooks() only, which no other call may
 * run beside.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <samara/alloc.h>
#include <samara/inject.h>

#include "alloc/raw.h"
#include "alloc/thread.h"

#define MAP_FROM (64UL << 10) /* from this size on a block is mapped */

#if SAMARA_ASAN
/* Mapped blocks hold pointers to allocated ones: the leak checker must look into them. */
void __lsan_register_root_region(const void *p, size_t size);
void __lsan_unregister_root_region(const void *p, size_t size);
#define ROOT_REGION(p, size) __lsan_register_root_region(p, size)
#define NO_ROOT_REGION(p, size) __lsan_unregister_root_region(p, size)
#else
#define ROOT_REGION(p, size) ((void)0)
#define NO_ROOT_REGION(p, size) ((void)0)
#endif

static void *map_aligned(size_t size, size_t align)
{
	size_t space = size + align;
	uintptr_t start, block;
	char *p;

	if (space < size)
		return NULL;
	p = mmap(NULL, space, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	start = (uintptr_t)p;
	block = ALIGN_UP(start, align);
	if (block > start)
		munmap(p, block - start);
	if (start + space > block + size)
		munmap(p + (block - start) + size, start + space - (block + size));
	p += block - start;
	if (IS_ALIGNED(size, HUGE_PAGE) && align >= HUGE_PAGE)
		(void)madvise(p, size, MADV_HUGEPAGE); /* a wish; -EINVAL without THP */
	ROOT_REGION(p, size);
	return p;
}

static void *default_alloc(void *ctx, size_t size, size_t align)
{
	(void)ctx;
	if (size >= MAP_FROM)
		return map_aligned(ALIGN_UP(size, 4096), max(align, (size_t)4096));
	align = max(align, sizeof(void *));
	return aligned_alloc(align, ALIGN_UP(size, align));
}

static void default_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	if (size < MAP_FROM) {
		free(p);
		return;
	}
	NO_ROOT_REGION(p, ALIGN_UP(size, 4096));
	munmap(p, ALIGN_UP(size, 4096));
}

static const struct samara_alloc_hooks default_hooks = {
	.alloc = default_alloc,
	.free = default_free,
};
static struct samara_alloc_hooks hooks = { .alloc = default_alloc, .free = default_free };

void *raw_alloc(size_t size, size_t align)
{
	return hooks.alloc(hooks.ctx, size, align);
}

void raw_free(void *p, size_t size)
{
	hooks.free(hooks.ctx, p, size);
}

int samara_set_alloc_hooks(const struct samara_alloc_hooks *new_hooks)
{
	if (new_hooks && (!new_hooks->alloc || !new_hooks->free))
		return -EINVAL;
	if (samara_live_objects())
		return -EBUSY;
	if (!thread_release_all_memory())
		return -EBUSY;
	hooks = new_hooks ? *new_hooks : default_hooks;
	return 0;
}
