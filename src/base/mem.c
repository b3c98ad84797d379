/* SPDX-License-Identifier: MIT */
/*
 * Odd-sized allocations. In front of each block stands its size, because the
 * embedder's free wants it, and its site, so that freeing at another one is
 * noticed.
 */
#include "base/mem.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/cache.h"

struct mem_head {
	size_t size; /* head included */
	struct alloc_site *site;
	char data[] __aligned(16);
};

void *mem_alloc(struct alloc_site *site, size_t size)
{
	size_t whole = sizeof(struct mem_head) + max(size, (size_t)1);
	struct mem_head *head;

	if (unlikely(!smp_load_acquire(&site->registered)))
		site_register(site);
	__atomic_fetch_add(&site->asked, 1, __ATOMIC_RELAXED);
	cache_self.asked_other++;
	if (!site_admit(site, 1))
		return NULL;
	head = whole > size ? raw_alloc(whole, __alignof__(struct mem_head)) : NULL;
	if (!head) {
		site_refused(site, 1);
		return NULL;
	}
	head->size = whole;
	head->site = site;
	__atomic_fetch_add(&site->live, 1, __ATOMIC_RELAXED);
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
	__atomic_fetch_sub(&site->live, 1, __ATOMIC_RELAXED);
}
