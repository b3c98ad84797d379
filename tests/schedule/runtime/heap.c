/* SPDX-License-Identifier: MIT */
/*
 * Memory of the program: malloc(3), mmap(2) and munmap(2), memcpy(3) and the like, which the
 * compiler does not instrument (calls.h).
 *
 * Blocks come from one region, one behind the other, and do not come back in a schedule: so each
 * access to a freed one is seen, and addresses are the same in each run. So do anonymous mappings.
 * Those of files are the kernel's; they are noted, to be unmapped behind the schedule.
 */
#define _GNU_SOURCE
#include "calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PLACE ((uintptr_t)__builtin_return_address(0))
#define REGION (1UL << 30)
#define MAPPINGS_MAX 64
#define MAPPINGS_FIRST 0x300000000000UL /* the same in each run */
#define PAGE 4096UL

struct block {
	size_t size;
	size_t unused;
};

static char *region; /* zero from used on */
static size_t used;

static struct mapping {
	uintptr_t start, end;
} mappings[MAPPINGS_MAX];
static unsigned int mapping_count;
static uintptr_t next_mapping = MAPPINGS_FIRST;

void heap_prepare(void)
{
	region = lazy_memory(REGION);
}

/* Unmap the kernel's mappings that are left, and zero what the schedule has used of the region. */
void heap_reset(void)
{
	for (unsigned int i = 0; i < mapping_count; i++)
		munmap((void *)mappings[i].start, mappings[i].end - mappings[i].start);
	memset(region, 0, used);
}

static void *take(size_t size, size_t align)
{
	const size_t start = (used + sizeof(struct block) + align - 1) & ~(align - 1);

	if (align & (align - 1) || size > REGION || start + size > REGION)
		return NULL;
	used = start + size;
	((struct block *)(region + start))[-1].size = size;
	return region + start;
}

static bool is_ours(const void *p)
{
	return (uintptr_t)p - (uintptr_t)region < REGION;
}

/* blocks ------------------------------------------------------------------ */

void *schedule_aligned_alloc(size_t align, size_t size)
{
	void *p = take(size, align < 16 ? 16 : align);

	if (!p)
		errno = ENOMEM;
	return p;
}

void *schedule_malloc(size_t size)
{
	return schedule_aligned_alloc(16, size);
}

void *schedule_calloc(size_t n, size_t size)
{
	size_t whole;

	if (__builtin_mul_overflow(n, size, &whole)) {
		errno = ENOMEM;
		return NULL;
	}
	return schedule_malloc(whole);
}

void schedule_free(void *p)
{
	if (p && is_ours(p))
		race_freed((uintptr_t)p, ((struct block *)p)[-1].size, PLACE);
	else
		free(p); /* made inside libc */
}

void *schedule_realloc(void *p, size_t size)
{
	void *to;

	if (p && !is_ours(p))
		return realloc(p, size);
	to = schedule_malloc(size);
	if (to && p) {
		const size_t before = ((struct block *)p)[-1].size;

		memcpy(to, p, before < size ? before : size);
		race_freed((uintptr_t)p, before, PLACE);
	}
	return to;
}

void *heap_world(size_t size)
{
	return schedule_malloc(size);
}

/* mappings ---------------------------------------------------------------- */

static size_t whole_pages(size_t size)
{
	return (size + PAGE - 1) & ~(PAGE - 1);
}

static void mapping_add(uintptr_t start, uintptr_t end)
{
	if (start == end)
		return;
	if (mapping_count == MAPPINGS_MAX)
		fail(BROKEN, "more than %d mappings", MAPPINGS_MAX);
	mappings[mapping_count++] = (struct mapping){ start, end };
}

static void mapping_remove(uintptr_t start, uintptr_t end)
{
	for (unsigned int i = 0; i < mapping_count;) {
		const struct mapping m = mappings[i];

		if (m.end <= start || end <= m.start) {
			i++;
			continue;
		}
		mappings[i] = mappings[--mapping_count];
		mapping_add(m.start, start > m.start ? start : m.start);
		mapping_add(end < m.end ? end : m.end, m.end);
	}
}

void *schedule_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	void *p;

	/* One page alone may get a life of its own by madvise(2). */
	if (flags & MAP_ANONYMOUS && flags & MAP_PRIVATE && !hint && size > PAGE &&
	    prot == (PROT_READ | PROT_WRITE)) {
		p = schedule_aligned_alloc(PAGE, whole_pages(size));
		return p ? p : MAP_FAILED;
	}
	if (!hint) {
		hint = (void *)next_mapping;
		next_mapping += whole_pages(size) + PAGE;
	}
	p = mmap(hint, size, prot, flags, fd, offset);
	if (p != MAP_FAILED) {
		mapping_remove((uintptr_t)p, (uintptr_t)p + whole_pages(size));
		mapping_add((uintptr_t)p, (uintptr_t)p + whole_pages(size));
	}
	return p;
}

int schedule_munmap(void *p, size_t size)
{
	int err;

	if (is_ours(p)) {
		race_freed((uintptr_t)p, size, PLACE);
		return 0;
	}
	err = munmap(p, size);
	if (!err) {
		mapping_remove((uintptr_t)p, (uintptr_t)p + whole_pages(size));
		if (self && !is_only_thread())
			race_fresh((uintptr_t)p, size);
	}
	return err;
}

/* bytes ------------------------------------------------------------------- */

void *schedule_memcpy(void *to, const void *from, size_t n)
{
	race_access((uintptr_t)from, n, ACCESS_READ, PLACE);
	race_access((uintptr_t)to, n, ACCESS_WRITE, PLACE);
	return memcpy(to, from, n);
}

void *schedule_memmove(void *to, const void *from, size_t n)
{
	race_access((uintptr_t)from, n, ACCESS_READ, PLACE);
	race_access((uintptr_t)to, n, ACCESS_WRITE, PLACE);
	return memmove(to, from, n);
}

void *schedule_memset(void *to, int byte, size_t n)
{
	race_access((uintptr_t)to, n, ACCESS_WRITE, PLACE);
	return memset(to, byte, n);
}

int schedule_memcmp(const void *a, const void *b, size_t n)
{
	race_access((uintptr_t)a, n, ACCESS_READ, PLACE);
	race_access((uintptr_t)b, n, ACCESS_READ, PLACE);
	return memcmp(a, b, n);
}
