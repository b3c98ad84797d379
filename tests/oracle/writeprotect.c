/* SPDX-License-Identifier: MIT */
/*
 * Write protection by userfaultfd beside the running kernel's: random sequences of requests, loads,
 * stores, calls that change the map, and forks. After each of them errno, pagemap and what the
 * pages hold are compared. No access waits: a write to a protected page is only written down
 * (WP_ASYNC), or ends with SIGBUS (UFFD_FEATURE_SIGBUS), as one to a missing page does then.
 *
 *   SAMARA_SEED=N SAMARA_TWIN_SEQS=N oracle/writeprotect
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/random.h"
#include "support/twin.h"

#define RW (PROT_READ | PROT_WRITE)
#define OPS 80
#define SEQS 60UL
#define MADV_POPULATE_READ_ 22
#define MADV_POPULATE_WRITE_ 23
#define GUARD_INSTALL 102
#define GUARD_REMOVE 103
#define WP UFFDIO_REGISTER_MODE_WP
#define ASYNC UFFD_FEATURE_WP_ASYNC
#define SIGNALS UFFD_FEATURE_SIGBUS
#define UNPOPULATED UFFD_FEATURE_WP_UNPOPULATED

static const unsigned long long kinds[] = {
	ASYNC, ASYNC | SIGNALS, SIGNALS, SIGNALS | UNPOPULATED, ASYNC,
};

/* What is done, and how often. */
enum op {
	LOAD,
	STORE,
	PROTECT,
	UNPROTECT,
	REGISTER,
	UNREGISTER,
	REOPEN,
	DONTNEED,
	LAZYFREE,
	REMOVE,
	GUARD,
	UNGUARD,
	POPULATE_READ,
	POPULATE_WRITE,
	COLD,
	MPROTECT,
	MAP,
	MREMAP,
	DONTUNMAP,
	TRUNCATE,
	COPY,
	ZEROPAGE,
	CONTINUE,
	POISON,
	FORK,
	OP_KINDS
};

static const struct {
	const char *name;
	unsigned int weight;
} ops[OP_KINDS] = {
	[LOAD] = { "load", 14 },
	[STORE] = { "store", 22 },
	[PROTECT] = { "writeprotect", 16 },
	[UNPROTECT] = { "writeprotect off", 7 },
	[REGISTER] = { "register", 6 },
	[UNREGISTER] = { "unregister", 2 },
	[REOPEN] = { "close", 1 },
	[DONTNEED] = { "dontneed", 5 },
	[LAZYFREE] = { "free", 3 },
	[REMOVE] = { "remove", 3 },
	[GUARD] = { "guard", 2 },
	[UNGUARD] = { "unguard", 2 },
	[POPULATE_READ] = { "populate read", 2 },
	[POPULATE_WRITE] = { "populate write", 2 },
	[COLD] = { "cold", 1 },
	[MPROTECT] = { "mprotect", 8 },
	[MAP] = { "mmap", 2 },
	[MREMAP] = { "mremap", 5 },
	[DONTUNMAP] = { "mremap dontunmap", 2 },
	[TRUNCATE] = { "truncate", 2 },
	[COPY] = { "copy", 6 },
	[ZEROPAGE] = { "zeropage", 2 },
	[CONTINUE] = { "continue", 4 },
	[POISON] = { "poison", 2 },
	[FORK] = { "fork", 3 },
};

static const int advice_of[OP_KINDS] = {
	[DONTNEED] = MADV_DONTNEED,
	[LAZYFREE] = MADV_FREE,
	[REMOVE] = MADV_REMOVE,
	[UNGUARD] = GUARD_REMOVE,
	[POPULATE_READ] = MADV_POPULATE_READ_,
	[POPULATE_WRITE] = MADV_POPULATE_WRITE_,
	[COLD] = 20,
};

/* One step, drawn beforehand. */
struct step {
	enum op op;
	struct pages p;
	unsigned long arg;
	struct answers got;
};

static enum op draw_op(struct rng *rng)
{
	unsigned long sum = 0, at;
	enum op op = LOAD;

	for (int i = 0; i < OP_KINDS; i++)
		sum += ops[i].weight;
	at = rng_below(rng, sum);
	while (at >= ops[op].weight)
		at -= ops[op++].weight;
	return op;
}

static unsigned long draw_mode(struct rng *rng, unsigned long long features)
{
	/* Without signals a missing or minor page is waited for. */
	if (!(features & SIGNALS) || rng_below(rng, 4))
		return WP;
	return rng_between(rng, 1, 7);
}

static struct step draw(struct rng *rng, unsigned long long features)
{
	static const int rights[] = { PROT_NONE, PROT_READ, RW, RW };
	struct step s = { .op = draw_op(rng) };

	s.p.at = rng_below(rng, TWIN_PAGES);
	s.p.nr = rng_between(rng, 1, rng_one_in(rng, 4) ? TWIN_PAGES : 6);
	s.p.nr = s.p.nr < TWIN_PAGES - s.p.at ? s.p.nr : TWIN_PAGES - s.p.at;
	switch (s.op) {
	case REGISTER:
		s.arg = draw_mode(rng, features);
		if (rng_one_in(rng, 3))
			s.p = (struct pages){ 0, TWIN_PAGES };
		break;
	case MPROTECT:
		s.arg = (unsigned long)rights[rng_below(rng, 4)];
		break;
	case MAP:
		s.arg = rng_below(rng, 3);
		break;
	case MREMAP:
	case DONTUNMAP:
		s.arg = rng_below(rng, TWIN_PAGES - s.p.nr + 1);
		break;
	case TRUNCATE:
		s.arg = rng_below(rng, TWIN_PART + 1);
		break;
	default:
		s.arg = rng_below(rng, 1 << 20);
	}
	return s;
}

static struct answers run(struct twin *t, const struct step *s)
{
	switch (s->op) {
	case LOAD:
		return twin_load(t, s->p.at);
	case STORE:
		return twin_store(t, s->p.at, (unsigned int)s->arg);
	case PROTECT:
		return twin_protect(t, s->p, UFFDIO_WRITEPROTECT_MODE_WP);
	case UNPROTECT:
		return twin_protect(t, s->p, 0);
	case REGISTER:
		return twin_register(t, s->p, s->arg);
	case UNREGISTER:
		return twin_unregister(t, s->p);
	case REOPEN:
		twin_reopen(t);
		return twin_register(t, (struct pages){ 0, TWIN_PAGES }, WP);
	case MPROTECT:
		return twin_mprotect(t, s->p, (int)s->arg);
	case MAP:
		return twin_map(t, s->p, (enum twin_kind)s->arg);
	case MREMAP:
		return twin_mremap(t, s->p, s->arg, 0);
	case DONTUNMAP:
		return twin_mremap(t, s->p, s->arg, MREMAP_DONTUNMAP);
	case TRUNCATE:
		return twin_truncate(t, s->arg);
	case COPY:
		return twin_fill(t, s->p, UFFDIO_COPY, s->arg & UFFDIO_COPY_MODE_WP);
	case ZEROPAGE:
		return twin_fill(t, s->p, UFFDIO_ZEROPAGE, 0);
	case CONTINUE:
		return twin_fill(t, s->p, UFFDIO_CONTINUE, s->arg & UFFDIO_CONTINUE_MODE_WP);
	case POISON:
		return twin_fill(t, s->p, UFFDIO_POISON, 0);
	case GUARD:
		/* Of a file's page a marker stays, and Linux 6.18 zaps it again, for ever. */
		if (twin_protects_any(t, s->p))
			return (struct answers){ 0 };
		return twin_madvise(t, s->p, GUARD_INSTALL);
	case FORK:
		return (struct answers){ 1, twin_fork_same(t) };
	default:
		return twin_madvise(t, s->p, advice_of[s->op]);
	}
}

static void print_step(int n, const struct step *s)
{
	fprintf(stderr, "%3d  %-18s pages %lu..%lu  arg %lu: %ld on the host, %ld here\n", n,
		ops[s->op].name, s->p.at, s->p.at + s->p.nr, s->arg, s->got.host, s->got.ours);
}

static bool run_all(struct twin *t, struct rng *rng, struct step *steps)
{
	for (int n = 0; n < OPS; n++) {
		struct samara_report report;

		steps[n] = n ? draw(rng, t->features) : (struct step){ .op = REOPEN };
		steps[n].got = run(t, &steps[n]);
		if (steps[n].got.host == steps[n].got.ours && twin_same(t)) {
			if (!samara_mm_validate(t->mem.mm, &report))
				continue;
			fprintf(stderr, "%s: %s\n", report.invariant, report.text);
		}
		for (int i = 0; i <= n; i++)
			print_step(i, &steps[i]);
		return false;
	}
	return true;
}

static void random_sequences_give_what_the_kernel_gives(void **state)
{
	const char *asked = getenv("SAMARA_TWIN_SEQS");
	const unsigned long seqs =
		asked ? strtoul(asked, NULL, 0) : SEQS * (test_full() ? 10 : 1) / test_slowdown();
	uint64_t seed = test_seed();

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!twin_possible(kinds[i])) {
			print_message("no userfaultfd that can be compared with\n");
			skip();
		}
	for (unsigned long i = 0; i < seqs; i++, seed++) {
		struct step steps[OPS];
		struct twin t;
		struct rng rng;

		rng_init(&rng, seed);
		twin_begin(&t, kinds[rng_below(&rng, sizeof(kinds) / sizeof(kinds[0]))]);
		if (!run_all(&t, &rng, steps)) {
			fprintf(stderr, "features %#llx\n", t.features);
			test_replay(seed);
			fail();
		}
		twin_end(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sequences_give_what_the_kernel_gives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
