/* SPDX-License-Identifier: MIT */
/*
 * Seeds and random numbers for tests; see random.h.
 */
#include "random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIXED_SEED 20251121u

#if defined(__SANITIZE_THREAD__)
#define SLOWDOWN 20
#elif defined(__SANITIZE_ADDRESS__)
#define SLOWDOWN 8
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLOWDOWN 20
#elif __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SLOWDOWN 8
#endif
#endif
#ifndef SLOWDOWN
#define SLOWDOWN 1
#endif

void rng_init(struct rng *rng, uint64_t seed)
{
	rng->state = seed;
	(void)rng_next(rng);
}

/* A counter through a mixing function: any seed is a good one, 0 too. */
uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return z ^ (z >> 32);
}

unsigned long rng_below(struct rng *rng, unsigned long n)
{
	if (n <= UINT32_MAX)
		return (unsigned long)(((rng_next(rng) >> 32) * n) >> 32);
	return rng_next(rng) % n;
}

unsigned long rng_between(struct rng *rng, unsigned long lo, unsigned long hi)
{
	unsigned long width = hi - lo + 1;

	return width ? lo + rng_below(rng, width) : rng_next(rng);
}

bool rng_one_in(struct rng *rng, unsigned long n)
{
	return !rng_below(rng, n);
}

unsigned long rng_magnitude(struct rng *rng)
{
	return rng_next(rng) >> rng_below(rng, 64);
}

static bool env_number(const char *name, uint64_t *out)
{
	const char *text = getenv(name);
	char *end;

	if (!text || !*text)
		return false;
	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno || *end) {
		fprintf(stderr, "%s=%s is not a number\n", name, text);
		exit(2);
	}
	return true;
}

bool test_full(void)
{
	uint64_t full;

	return env_number("SAMARA_FULL", &full) && full;
}

uint64_t test_seed(void)
{
	static uint64_t seed;
	static bool known;
	struct timespec now;

	if (known)
		return seed;
	if (!env_number("SAMARA_SEED", &seed)) {
		seed = FIXED_SEED;
		if (test_full()) {
			clock_gettime(CLOCK_REALTIME, &now);
			seed = (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
		}
	}
	known = true;
	return seed;
}

unsigned long test_slowdown(void)
{
	return SLOWDOWN;
}

/* The program's own name as it was started, without the absolute path. */
static const char *program(void)
{
#ifdef __GLIBC__
	extern char *program_invocation_short_name;

	return program_invocation_short_name;
#else
	return "this program";
#endif
}

void test_replay(uint64_t seed)
{
	fprintf(stderr, "replay: SAMARA_SEED=%" PRIu64 "%s %s\n", seed,
		test_full() ? " SAMARA_FULL=1" : "", program());
}
