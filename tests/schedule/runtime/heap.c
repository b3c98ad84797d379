/* SPDX-License-Identifier: MIT */
/*
 * Calls of libc that the program makes and the compiler does not instrument (calls.h).
 *
 * A freed block is not given back, so that each later access to it is seen. Memory that was
 * unmapped may come back at the same address: then nothing is known of it.
 */
#define _GNU_SOURCE
#include "calls.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PLACE ((uintptr_t)__builtin_return_address(0))

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

/* blocks ------------------------------------------------------------------ */

void schedule_free(void *p)
{
	if (!self || is_only_thread())
		free(p);
	else if (p)
		race_freed((uintptr_t)p, malloc_usable_size(p), PLACE);
}

void *schedule_realloc(void *p, size_t size)
{
	const size_t before = p ? malloc_usable_size(p) : 0;
	void *to;

	if (!self || is_only_thread())
		return realloc(p, size);
	to = malloc(size);
	if (to && p) {
		memcpy(to, p, before < size ? before : size);
		race_freed((uintptr_t)p, before, PLACE);
	}
	return to;
}

/* mappings ---------------------------------------------------------------- */

int schedule_munmap(void *p, size_t size)
{
	const int err = munmap(p, size);

	if (!err && self && !is_only_thread())
		race_fresh((uintptr_t)p, size);
	return err;
}
