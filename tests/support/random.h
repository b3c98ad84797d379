/* SPDX-License-Identifier: MIT */
/*
 * Random numbers for tests: small, seeded and the same on every machine.
 *
 * A test asks test_seed() once and derives everything from it. The seed is
 * SAMARA_SEED when that is set, else a fixed number in `make test` and a fresh
 * one with SAMARA_FULL=1. On a failure test_replay() prints the command that
 * runs the same test again.
 */
#ifndef SAMARA_TEST_RANDOM_H
#define SAMARA_TEST_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);

/* 0 <= result < n; n > 0. The bias for huge n does not matter to a test. */
unsigned long rng_below(struct rng *rng, unsigned long n);

/* lo <= result <= hi */
unsigned long rng_between(struct rng *rng, unsigned long lo, unsigned long hi);

/* True once in n times, on average. */
bool rng_one_in(struct rng *rng, unsigned long n);

/* A number of random magnitude: as often below 16 as above 2^60. */
unsigned long rng_magnitude(struct rng *rng);

/* The seed of this run (see above); the same at every call. */
uint64_t test_seed(void);

/* SAMARA_FULL=1: the long version was asked for. */
bool test_full(void);

/*
 * How much slower this build is than a plain one: 1, or more under a sanitizer.
 * Divide the number of rounds by it.
 */
unsigned long test_slowdown(void);

/* Print to stderr how to run this program again with this seed. */
void test_replay(uint64_t seed);

#endif
