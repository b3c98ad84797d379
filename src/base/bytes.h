/* SPDX-License-Identifier: MIT */
/*
 * A guest's bytes. A program's threads may write to a page while it is being copied, as on a
 * machine: what comes out of such a race is the program's business, and ThreadSanitizer is not
 * told of these loads and stores.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <string.h>

#include "base/compiler.h"

#if SAMARA_TSAN
#define BYTES_UNSEEN __attribute__((no_sanitize("thread"), __noinline__)) __maybe_unused static

static inline bool bytes_by_words(const volatile void *to, const volatile void *from, size_t n)
{
	return n >= sizeof(long) && !(((uintptr_t)to | (uintptr_t)from) % sizeof(long));
}

BYTES_UNSEEN void bytes_copy(void *to, const void *from, size_t n)
{
	volatile unsigned char *d = to;
	const volatile unsigned char *s = from;

	for (; bytes_by_words(d, s, n); n -= sizeof(long)) {
		*(volatile unsigned long *)d = *(const volatile unsigned long *)s;
		d += sizeof(long);
		s += sizeof(long);
	}
	while (n--)
		*d++ = *s++;
}

BYTES_UNSEEN void bytes_zero(void *to, size_t n)
{
	volatile unsigned char *d = to;

	for (; bytes_by_words(d, d, n); n -= sizeof(long)) {
		*(volatile unsigned long *)d = 0;
		d += sizeof(long);
	}
	while (n--)
		*d++ = 0;
}
#else
static inline void bytes_copy(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
}

static inline void bytes_zero(void *to, size_t n)
{
	memset(to, 0, n);
}
#endif

#endif
