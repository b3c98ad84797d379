/* SPDX-License-Identifier: MIT */
/*
 * A guest's bytes: moved so that no aligned word of 1, 2, 4 or 8 bytes is torn.
 *
 * Threads of the program, and of other programs that share the memory, store to the bytes while
 * they are copied. A machine never shows a part of an aligned word. memcpy(3) may: it moves 3 bytes
 * by two words that overlap, so that the second one brings a newer half of the first.
 *
 * The guest's side decides. Each step moves the largest power of two, up to 8 bytes, that is
 * aligned in the guest's memory and fits into what is left, by one load or store of that size:
 *
 *   guest address   3 | 4 . . . | 8 . . . . . . . | 16 . . . . . . . | 24 . | 26
 *   bytes a step    1      4             8                  8            2     1
 *
 * So an aligned word that lies within the range lies within one step. The other side is the
 * caller's buffer, at any address, or (bytes_copy()) guest memory with the same low four address
 * bits.
 *
 * A step may also be an aligned SSE2 vector of 16 bytes. Processors with AVX move it at once, as
 * both vendors document; older ones move it as two words of 8.
 *
 * Nothing here orders anything, and no range is moved at once.
 *
 * ThreadSanitizer is not told of these loads and stores: what comes out of a race is the program's
 * business. The sanitizers' builds use no vectors, which they do not see.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <string.h>

#include "base/assert.h"

#if defined(__SSE2__) && !SAMARA_TSAN && !SAMARA_ASAN
#include <emmintrin.h>
#define BYTES_VECTORS 1
#else
#define BYTES_VECTORS 0
#endif

#if SAMARA_TSAN
#define BYTES_PART __attribute__((no_sanitize("thread"))) static inline
#define BYTES_WHOLE __attribute__((no_sanitize("thread"), __noinline__)) __maybe_unused static
#else
#define BYTES_PART static __always_inline
#define BYTES_WHOLE static inline
#endif

enum bytes_guest { BYTES_FROM_GUEST = 1, BYTES_TO_GUEST = 2, BYTES_BOTH = 3 };

typedef uint8_t __attribute__((may_alias)) bytes_1;
typedef uint16_t __attribute__((may_alias)) bytes_2;
typedef uint32_t __attribute__((may_alias)) bytes_4;
typedef uint64_t __attribute__((may_alias)) bytes_8;

/* One load, one store; each is whole on the guest's side. */
#define BYTES_MOVE(type, to, from, guest) \
	do { \
		type v_; \
		if ((guest)&BYTES_FROM_GUEST) \
			v_ = *(const volatile type *)(from); \
		else \
			memcpy(&v_, (from), sizeof(v_)); \
		if ((guest)&BYTES_TO_GUEST) \
			*(volatile type *)(to) = v_; \
		else \
			memcpy((to), &v_, sizeof(v_)); \
	} while (0)

/* A step at the guest's address at, of at most n > 0 bytes; how many it has moved. */
BYTES_PART size_t bytes_step(void *to, const void *from, size_t n, enum bytes_guest guest)
{
	const uintptr_t at = (uintptr_t)(guest & BYTES_TO_GUEST ? to : from);

	if (!(at & 7) && n >= 8) {
		BYTES_MOVE(bytes_8, to, from, guest);
		return 8;
	}
	if (!(at & 3) && n >= 4) {
		BYTES_MOVE(bytes_4, to, from, guest);
		return 4;
	}
	if (!(at & 1) && n >= 2) {
		BYTES_MOVE(bytes_2, to, from, guest);
		return 2;
	}
	BYTES_MOVE(bytes_1, to, from, guest);
	return 1;
}

#if BYTES_VECTORS
#define BYTES_ROUND 64UL

/* In assembler, or the compiler might make a call of memcpy(3) out of a loop of them. */
BYTES_PART __m128i bytes_vector_load(const char *from, enum bytes_guest guest)
{
	__m128i v;

	if (!(guest & BYTES_FROM_GUEST))
		return _mm_loadu_si128((const __m128i_u *)from);
	__asm__ __volatile__("movdqa %1, %0" : "=x"(v) : "m"(*(const __m128i *)from));
	return v;
}

BYTES_PART void bytes_vector_store(char *to, __m128i v, enum bytes_guest guest)
{
	if (guest & BYTES_TO_GUEST)
		__asm__ __volatile__("movdqa %1, %0" : "=m"(*(__m128i *)to) : "x"(v));
	else
		_mm_storeu_si128((__m128i_u *)to, v);
}

/* The guest's side is aligned to 16. */
BYTES_PART void bytes_round(char *to, const char *from, enum bytes_guest guest)
{
	const __m128i a = bytes_vector_load(from, guest);
	const __m128i b = bytes_vector_load(from + 16, guest);
	const __m128i c = bytes_vector_load(from + 32, guest);
	const __m128i d = bytes_vector_load(from + 48, guest);

	bytes_vector_store(to, a, guest);
	bytes_vector_store(to + 16, b, guest);
	bytes_vector_store(to + 32, c, guest);
	bytes_vector_store(to + 48, d, guest);
}
#else
#define BYTES_ROUND 8UL

BYTES_PART void bytes_round(char *to, const char *from, enum bytes_guest guest)
{
	BYTES_MOVE(bytes_8, to, from, guest);
}
#endif

BYTES_PART void bytes_move(void *to, const void *from, size_t n, enum bytes_guest guest)
{
	const uintptr_t at = (uintptr_t)(guest & BYTES_TO_GUEST ? to : from);
	size_t done = 0;

	while (done < n && (at + done) % min(BYTES_ROUND, 16UL))
		done += bytes_step((char *)to + done, (const char *)from + done, n - done, guest);
	for (; n - done >= BYTES_ROUND; done += BYTES_ROUND)
		bytes_round((char *)to + done, (const char *)from + done, guest);
	while (done < n)
		done += bytes_step((char *)to + done, (const char *)from + done, n - done, guest);
}

/* Out of guest memory. */
BYTES_WHOLE void bytes_load(void *to, const void *guest, size_t n)
{
	bytes_move(to, guest, n, BYTES_FROM_GUEST);
}

/* Into guest memory. */
BYTES_WHOLE void bytes_store(void *guest, const void *from, size_t n)
{
	bytes_move(guest, from, n, BYTES_TO_GUEST);
}

/* From guest memory to guest memory: a frame's bytes to the same place of another. */
BYTES_WHOLE void bytes_copy(void *to, const void *from, size_t n)
{
	VM_WARN_ON(((uintptr_t)to ^ (uintptr_t)from) & 15);
	bytes_move(to, from, n, BYTES_BOTH);
}

/* Guest memory becomes zeros. */
BYTES_WHOLE void bytes_zero(void *guest, size_t n)
{
	static const uint64_t zero;

	for (size_t done = 0; done < n;)
		done += bytes_step((char *)guest + done, &zero, n - done, BYTES_TO_GUEST);
}

#endif
