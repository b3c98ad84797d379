/* SPDX-License-Identifier: MIT */
/*
 * 64 words at a time, which other threads may change: what some of their low bits have in common,
 * and where one of these is set.
 *
 * Each word is read once and is not torn, as by READ_ONCE(). Two words are not read at one moment.
 *
 * With SSE2 sixteen words are looked at together. Processors that have SSE2 read an aligned word of
 * 8 bytes whole, as a part of a vector too. The sanitizers' builds, and those that try schedules,
 * read word by word, which these tools can see.
 */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include "base/atomic.h"

#if defined(__SSE2__) && !SAMARA_TSAN && !SAMARA_ASAN && !SAMARA_SCHEDULE
#include <emmintrin.h>
#define WORDS_VECTORS 1
#else
#define WORDS_VECTORS 0
#endif

#define WORDS 64U

/* Bits of the mask, which has none above bit 14, in WORDS words. */
struct words {
	uint64_t set;          /* bit n: the bit that was asked for is set in word n */
	unsigned int any, all; /* bits that at least one word has; that each has */
};

#if WORDS_VECTORS
/* The low 32 bits of four words. */
static __always_inline __m128i words_four(const uint64_t *at, __m128i mask)
{
	const __m128 a = _mm_castsi128_ps(_mm_loadu_si128((const __m128i *)at));
	const __m128 b = _mm_castsi128_ps(_mm_loadu_si128((const __m128i *)(at + 2)));

	return _mm_and_si128(_mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0))), mask);
}

/* The low 16 bits of eight. */
static __always_inline __m128i words_eight(const uint64_t *at, __m128i mask)
{
	return _mm_packs_epi32(words_four(at, mask), words_four(at + 4, mask));
}

struct words_seen {
	__m128i mask, distance; /* of the bit from bit 15 */
	__m128i any, all;
};

static __always_inline uint64_t words_sixteen(struct words_seen *seen, const uint64_t *at)
{
	const __m128i a = words_eight(at, seen->mask), b = words_eight(at + 8, seen->mask);

	seen->any = _mm_or_si128(seen->any, _mm_or_si128(a, b));
	seen->all = _mm_and_si128(seen->all, _mm_and_si128(a, b));
	/* Packing saturates, which keeps the sign. */
	return (unsigned int)_mm_movemask_epi8(_mm_packs_epi16(_mm_sll_epi16(a, seen->distance),
							       _mm_sll_epi16(b, seen->distance)));
}

/* One of eight parts, all of which were joined. */
static __always_inline unsigned int words_part(uint64_t parts)
{
	return parts & 0xffff;
}

static __always_inline unsigned int words_or(__m128i v)
{
	uint64_t parts[2], both;

	_mm_storeu_si128((__m128i *)parts, v);
	both = parts[0] | parts[1];
	both |= both >> 32;
	return words_part(both | both >> 16);
}

static __always_inline unsigned int words_and(__m128i v)
{
	uint64_t parts[2], both;

	_mm_storeu_si128((__m128i *)parts, v);
	both = parts[0] & parts[1];
	both &= both >> 32;
	return words_part(both & both >> 16);
}

static __always_inline struct words words_look(const uint64_t *at, unsigned int mask,
					       unsigned int bit)
{
	struct words_seen seen = {
		.mask = _mm_set1_epi32((int)mask),
		.distance = _mm_cvtsi32_si128(15 - (int)bit),
		.any = _mm_setzero_si128(),
		.all = _mm_set1_epi32(-1),
	};
	struct words look;

	look.set = words_sixteen(&seen, at);
	look.set |= words_sixteen(&seen, at + 16) << 16;
	look.set |= words_sixteen(&seen, at + 32) << 32;
	look.set |= words_sixteen(&seen, at + 48) << 48;
	look.any = words_or(seen.any);
	look.all = words_and(seen.all);
	return look;
}
#else
static inline struct words words_look(const uint64_t *at, unsigned int mask, unsigned int bit)
{
	struct words look = { .all = mask };

	for (unsigned int i = 0; i < WORDS; i++) {
		const unsigned int word = READ_ONCE(at[i]) & mask;

		look.any |= word;
		look.all &= word;
		look.set |= (uint64_t)(word >> bit & 1) << i;
	}
	return look;
}
#endif

#endif
