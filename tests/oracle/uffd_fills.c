/* SPDX-License-Identifier: MIT */
/*
 * Random requests of a userfaultfd, answered by the running kernel and by the library
 * (support/uffd_pair.h). No thread waits in a fault. Judged by Linux 6.18 and later.
 */
#include <stdio.h>
#include <sys/utsname.h>

#include "support/cmocka_all.h"

#include "support/random.h"
#include "support/uffd_pair.h"

#define STEPS 60

static bool kernel_can_judge(void)
{
	unsigned int major, minor;
	struct utsname name;

	return !uname(&name) && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 18));
}

/* Most are whole pages of some mapping; some are not, or nowhere. */
static unsigned long place(struct rng *rng)
{
	const unsigned long at = rng_below(rng, PAIR_PAGES) * MEM_PAGE;

	return rng_one_in(rng, 40) ? at + rng_below(rng, MEM_PAGE) : at;
}

static struct pair_step any_step(struct rng *rng)
{
	static const enum pair_what often[] = { PAIR_MOVE, PAIR_WRITE, PAIR_DONTNEED };
	struct pair_step s = {
		.what = (enum pair_what)rng_below(rng, PAIR_WHATS),
		.at = place(rng),
		.len = rng_below(rng, rng_one_in(rng, 4) ? 20 : 4) * MEM_PAGE,
		.from = place(rng),
		.mode = rng_below(rng, rng_one_in(rng, 20) ? 8 : 4),
	};

	if (rng_one_in(rng, 2))
		s.what = often[rng_below(rng, 3)];
	switch (s.what) {
	case PAIR_COPY:
		s.from = rng_below(rng, (PAIR_SOURCE + 1) * 2) * MEM_PAGE / 2;
		break;
	case PAIR_PWRITE:
	case PAIR_PUNCH:
		s.at = rng_below(rng, PAIR_FILE_PAGES) * MEM_PAGE;
		s.len += MEM_PAGE;
		break;
	case PAIR_DONTNEED:
	case PAIR_GUARD:
	case PAIR_UNGUARD:
		s.at &= ~(MEM_PAGE - 1);
		break;
	default:
		break;
	}
	/* What is behind the area is the process's own. */
	s.len = min(s.len, (PAIR_PAGES * MEM_PAGE - s.at) & ~(MEM_PAGE - 1));
	if (s.what == PAIR_MOVE)
		s.len = min(s.len, (PAIR_PAGES * MEM_PAGE - s.from) & ~(MEM_PAGE - 1));
	return s;
}

/* Everything that can be written to is, so that there is something to move. */
static void fill_all(struct pair *p)
{
	const struct pair_step all = { .what = PAIR_WRITE,
				       .len = PAIR_PAGES * MEM_PAGE,
				       .mode = 1 };

	assert_true(pair_do(p, &all));
}

static void run(uint64_t seed, unsigned long long features)
{
	struct pair p;
	struct rng rng;

	rng_init(&rng, seed);
	if (!pair_open(&p, features)) {
		pair_close(&p);
		skip();
	}
	fill_all(&p);
	for (int i = 0; i < STEPS && pair_has_hole(&p); i++) {
		const struct pair_step step = any_step(&rng);

		if (!pair_do(&p, &step)) {
			fprintf(stderr, "step %d of sequence %#llx\n", i, (unsigned long long)seed);
			test_replay(seed);
			fail();
		}
	}
	pair_close(&p);
}

/* SAMARA_SEED is the seed of the first sequence. */
static void the_kernel_answers_the_same(void **state)
{
	const unsigned long long wp = UFFD_FEATURE_PAGEFAULT_FLAG_WP |
				      UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_MISSING_SHMEM |
				      UFFD_FEATURE_MINOR_SHMEM;
	const unsigned long n = (test_full() ? 2000 : 100) / test_slowdown();

	(void)state;
	if (!kernel_can_judge())
		skip();
	for (unsigned long i = 0; i < n; i++)
		run(test_seed() + i, (test_seed() + i) % 2 ? wp : wp | UFFD_FEATURE_WP_UNPOPULATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_kernel_answers_the_same) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
