/* SPDX-License-Identifier: MIT */
/*
 * A small generator for workloads: the same seed gives the same data on every
 * machine. Weyl sequence with a multiply-and-shift finaliser; not for tests of
 * randomness, good enough to scatter accesses.
 */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stdint.h>

struct bench_random {
	uint64_t state;
};

static inline uint64_t bench_next(struct bench_random *r)
{
	uint64_t x = r->state += 0xd1342543de82ef95u;

	x = (x ^ (x >> 29)) * 0xff51afd7ed558ccdu;
	x = (x ^ (x >> 32)) * 0xc4ceb9fe1a85ec53u;
	return x ^ (x >> 31);
}

/* 0..n-1; n below 2^32. */
static inline uint64_t bench_below(struct bench_random *r, uint64_t n)
{
	return ((bench_next(r) >> 32) * n) >> 32;
}

#endif
