/* SPDX-License-Identifier: MIT */
/*
 * Odd-sized allocations. In front of each block stands its size, because the
 * embedder's free wants it, and its site, so that freeing at another one is
 * noticed.
 */
#include "alloc/mem.h"

#include <string.h>
#include <sys/mman.h>

#include "alloc/cache.h"
#include "alloc/raw.h"
#include "base/assert.h"
#include "base/atomic.h"

struct mem_head {
	size_t size; /* head included */
	struct alloc_site *site;
	char data[] __aligned(16);
};

/* The site is asked for one more object; whether it may be had. */
static bool ask(struct alloc_site *site)
{
	if (unlikely(!smp_load_acquire(&site->registered)))
		site_register(site);
	atomic_inc(&site->asked);
	cache_self.asked_other++;
	return site_admit(site, 1);
}

void *mem_alloc(struct alloc_site *site, size_t size)
{
	size_t whole = sizeof(struct mem_head) + max(size, (size_t)1);
	struct mem_head *head;

	if (!ask(site))
		return NULL;
	head = whole > size ? raw_alloc(whole, __alignof__(struct mem_head)) : NULL;
	if (!head) {
		site_refused(site, 1);
		return NULL;
	}
	head->size = whole;
	head->site = site;
	atomic_inc(&site->live);
	return head->data;
}

void *mem_zalloc(struct alloc_site *site, size_t size)
{
	void *p = mem_alloc(site, size);

	return p ? memset(p, 0, size) : NULL;
}

void mem_free(struct alloc_site *site, void *p)
{
	struct mem_head *head;

	if (!p)
		return;
	head = container_of((char(*)[])p, struct mem_head, data);
	BUG_ON(head->site != site);
	head->site = NULL;
	raw_free(head, head->size);
	atomic_dec(&site->live);
}

void *mem_map_zeros(struct alloc_site *site, size_t size)
{
	void *p;

	if (!ask(site))
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED) {
		site_refused(site, 1);
		return NULL;
	}
	atomic_inc(&site->live);
	return p;
}

void mem_unmap_zeros(struct alloc_site *site, void *p, size_t size)
{
	if (!p)
		return;
	munmap(p, size);
	atomic_dec(&site->live);
}
