/* SPDX-License-Identifier: MIT */
/*
 * What is written to memory, and sums of what is read: the same on both sides.
 *
 * A byte depends on its address and the pattern's number, so that no two places
 * and no two writes have the same. A sum of zeros is zero. Buffers have the
 * alignment to 8 of the address that their bytes belong to.
 */
#ifndef CLI_CHECK_PATTERN_H
#define CLI_CHECK_PATTERN_H

#include <stdint.h>

#define SUM_FACTOR UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t pattern_word(uint64_t at, uint64_t pattern)
{
	uint64_t z = (at >> 3) * UINT64_C(0xbf58476d1ce4e5b9) + pattern * SUM_FACTOR;

	z ^= z >> 29;
	return z * UINT64_C(0x94d049bb133111eb);
}

static inline void pattern_fill(void *buf, uint64_t at, uint64_t len, uint64_t pattern)
{
	unsigned char *to = buf;

	while (len) {
		const uint64_t word = pattern_word(at, pattern);

		if (!(at & 7) && len >= 8) {
			*(uint64_t *)to = word;
			to += 8, at += 8, len -= 8;
		} else {
			*to++ = (unsigned char)(word >> (8 * (at & 7)));
			at++, len--;
		}
	}
}

/* sum, with len more bytes. */
static inline uint64_t sum_add(uint64_t sum, const void *buf, uint64_t at, uint64_t len)
{
	const unsigned char *from = buf;

	while (len) {
		if (!(at & 7) && len >= 8) {
			sum = sum * SUM_FACTOR + *(const uint64_t *)from;
			from += 8, at += 8, len -= 8;
		} else {
			sum = sum * SUM_FACTOR + *from++;
			at++, len--;
		}
	}
	return sum;
}

/* As an answer: never an error. */
static inline int64_t sum_answer(uint64_t sum)
{
	return (int64_t)((sum ^ (sum >> 32)) & 0xffffffff);
}

/* What mincore said: 0 when no page is in memory. */
static inline int64_t sum_of_vector(const unsigned char *vec, uint64_t pages)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < pages; i++)
		sum += (vec[i] & 1) * (i * SUM_FACTOR + 1);
	return sum_answer(sum);
}

/* A survey's, with a page more, or with what stopped it. */
static inline uint64_t survey_add(uint64_t sum, uint64_t page, int signo, int code)
{
	if (signo == 7 && code == 4)
		code = 2; /* of a poisoned page Linux says either */
	return (sum * SUM_FACTOR + page) * SUM_FACTOR + (uint64_t)(signo * 256 + (code & 255));
}

#endif
