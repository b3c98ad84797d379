/* SPDX-License-Identifier: MIT */
/*
 * samara_pagemap_scan() answers as PAGEMAP_SCAN of the running kernel does: one map on both sides
 * (support/both_maps.h) that changes at random, and scans with random arguments behind each change.
 *
 * Compared are the result, walk_end (untouched where Linux leaves it), and the regions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "support/both_maps.h"
#include "support/cmocka_all.h"
#include "support/random.h"

#define RW (PROT_READ | PROT_WRITE)
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define ROUNDS 1200
#define SCANS 12
#define REGIONS 1600L
#define UNTOUCHED 0x123456789UL

static struct both b;
static struct rng rng;
static bool can, finished;
static unsigned long answers[4]; /* an error, nothing, some regions, stopped early */

/* the map ---------------------------------------------------------------------------- */

struct run {
	unsigned long i, n;
};

/* Most runs are small, and near the border of two leaf tables. */
static struct run any_run(void)
{
	struct run run;

	run.n = rng_one_in(&rng, 6) ? rng_between(&rng, 1, 700) : rng_between(&rng, 1, 24);
	run.i = 512 * rng_between(&rng, 0, 3) + rng_between(&rng, 0, 60);
	run.i = run.i > 30 ? run.i - 30 : 0;
	if (run.n > BOTH_PAGES - run.i)
		run.n = BOTH_PAGES - run.i;
	return run;
}

static void touch(struct run run, void (*access)(struct both *b, unsigned long i))
{
	for (unsigned long i = run.i; i < run.i + run.n; i += rng_between(&rng, 1, 4))
		access(&b, i);
}

static void move(struct run run)
{
	const struct run to = any_run();

	if (to.i + run.n <= BOTH_PAGES && (to.i + run.n <= run.i || run.i + run.n <= to.i))
		both_move(&b, run.i, run.n, to.i);
}

static void change(void)
{
	static const int prots[] = { RW, RW, PROT_READ, PROT_NONE };
	static const int advices[] = { MADV_DONTNEED, MADV_GUARD_INSTALL, MADV_GUARD_REMOVE };
	const enum both_uffd uffd = rng_one_in(&rng, 4) ? BOTH_SYNC : BOTH_ASYNC;
	const struct run run = any_run();

	switch (rng_below(&rng, 14)) {
	case 0:
	case 1:
		return both_map(&b, run.i, run.n, (enum both_kind)rng_below(&rng, BOTH_KINDS));
	case 2:
		return both_unmap(&b, run.i, run.n);
	case 3:
		return both_protect(&b, run.i, run.n, prots[rng_below(&rng, 4)]);
	case 4:
		/* MADV_DONTNEED of a whole table frees it in Linux. */
		return both_advise(&b, run.i, run.n % 500, advices[rng_below(&rng, 3)]);
	case 5:
		return move(run);
	case 6:
	case 7:
		return touch(run, both_read);
	case 8:
	case 9:
		return touch(run, both_write);
	case 10:
	case 11:
		return both_register(&b, run.i, run.n, uffd);
	case 12:
		return both_unregister(&b, run.i, run.n, uffd);
	default:
		return both_writeprotect(&b, run.i, run.n, uffd,
					 rng_one_in(&rng, 4) ? 0 : UFFDIO_WRITEPROTECT_MODE_WP);
	}
}

/* arguments -------------------------------------------------------------------------- */

/* A few of the categories, or bits that are none. */
static unsigned long long any_mask(void)
{
	unsigned long long mask = 0;

	if (rng_one_in(&rng, 200))
		return rng_next(&rng);
	for (unsigned long n = rng_below(&rng, 3); n; n--)
		mask |= 1ULL << rng_below(&rng, 9);
	return mask;
}

static void any_range(struct pm_scan_arg *arg)
{
	static const unsigned long odd[] = { 0, 1, MEM_PAGE - 1, MEM_PAGE };
	const struct run run = any_run();

	arg->start = BOTH_AT(run.i);
	arg->end = BOTH_AT(run.i + run.n);
	if (rng_one_in(&rng, 2)) {
		arg->start = BOTH_BASE;
		arg->end = BOTH_AT(BOTH_PAGES);
	}
	if (rng_one_in(&rng, 30))
		arg->end = arg->start + odd[rng_below(&rng, 4)];
	if (rng_one_in(&rng, 60))
		arg->start += odd[rng_below(&rng, 4)];
	if (rng_one_in(&rng, 60))
		arg->start = arg->end + rng_below(&rng, 3) * MEM_PAGE;
	if (rng_one_in(&rng, 60))
		arg->end = 0x7ffffffff000 + rng_between(&rng, 1, 1UL << rng_below(&rng, 64));
}

static void any_masks(struct pm_scan_arg *arg)
{
	arg->return_mask = rng_one_in(&rng, 2) ? 0x1ff : any_mask();
	/* What is asked for most. */
	if (rng_one_in(&rng, 3)) {
		arg->category_mask = PAGE_IS_WRITTEN;
		arg->return_mask = rng_one_in(&rng, 2) ? PAGE_IS_WRITTEN : arg->return_mask;
		return;
	}
	arg->category_inverted = any_mask();
	arg->category_mask = any_mask();
	arg->category_anyof_mask = any_mask();
}

static struct pm_scan_arg any_arg(void)
{
	struct pm_scan_arg arg = {
		.size = rng_one_in(&rng, 100) ? rng_below(&rng, 200) : sizeof(arg),
		.walk_end = UNTOUCHED,
		.vec_len = rng_one_in(&rng, 2) ? REGIONS : rng_below(&rng, 12),
		.vec = 1,
	};

	any_range(&arg);
	any_masks(&arg);
	if (rng_one_in(&rng, 4))
		arg.flags = rng_below(&rng, 4);
	if (rng_one_in(&rng, 100))
		arg.flags = rng_next(&rng);
	if (rng_one_in(&rng, 3))
		arg.max_pages = rng_below(&rng, 40);
	if (rng_one_in(&rng, 30))
		arg.vec_len = rng_magnitude(&rng);
	if (rng_one_in(&rng, 30))
		arg.vec = 0;
	else if (rng_one_in(&rng, 30))
		arg.vec = 8;
	/* No more regions than there is room for, whatever vec_len says. */
	if (arg.vec == 1 && arg.vec_len > REGIONS && arg.max_pages - 1 >= REGIONS)
		arg.max_pages = REGIONS;
	return arg;
}

/* compared --------------------------------------------------------------------------- */

/* From region from on. */
static void tell(const char *side, long ret, const struct pm_scan_arg *arg,
		 const struct page_region *vec, long from)
{
	print_error("%s: %ld, walk_end %llx, regions from %ld:", side, ret,
		    (unsigned long long)arg->walk_end, from);
	for (long i = from; i < ret && i < from + 8; i++)
		print_error(" [%ld,%ld) %llx", (long)(vec[i].start - BOTH_BASE) / (long)MEM_PAGE,
			    (long)(vec[i].end - BOTH_BASE) / (long)MEM_PAGE,
			    (unsigned long long)vec[i].categories);
	print_error("\n");
}

static void tell_question(const struct pm_scan_arg *arg)
{
	print_error("size %llu flags %llx pages [%ld,%ld) start %llx end %llx vec %llx vec_len "
		    "%llx max_pages %llu inverted %llx mask %llx anyof %llx return %llx\n",
		    (unsigned long long)arg->size, (unsigned long long)arg->flags,
		    (long)(arg->start - BOTH_BASE) / (long)MEM_PAGE,
		    (long)(arg->end - BOTH_BASE) / (long)MEM_PAGE, (unsigned long long)arg->start,
		    (unsigned long long)arg->end, (unsigned long long)arg->vec,
		    (unsigned long long)arg->vec_len, (unsigned long long)arg->max_pages,
		    (unsigned long long)arg->category_inverted,
		    (unsigned long long)arg->category_mask,
		    (unsigned long long)arg->category_anyof_mask,
		    (unsigned long long)arg->return_mask);
}

static void count(long ret, const struct pm_scan_arg *arg)
{
	answers[0] += ret < 0;
	answers[1] += !ret;
	answers[2] += ret > 0;
	answers[3] += ret >= 0 && arg->walk_end < arg->end;
}

static const struct pm_scan_arg *before; /* what this has write-protected is looked at; or NULL */

static void scan(const struct pm_scan_arg *question)
{
	static struct page_region host_vec[REGIONS], our_vec[REGIONS];
	struct pm_scan_arg host = *question, ours = *question;
	long ret, is, same = 0;

	memset(host_vec, 0x5a, sizeof(host_vec));
	memset(our_vec, 0x5a, sizeof(our_vec));
	if (question->vec == 1) {
		host.vec = (uintptr_t)host_vec;
		ours.vec = (uintptr_t)our_vec;
	}
	ret = both_scan_host(&b, &host);
	is = samara_pagemap_scan(b.m.mm, &ours);
	count(ret, &host);
	if (is == ret && ours.walk_end == host.walk_end &&
	    !memcmp(host_vec, our_vec, sizeof(host_vec)))
		return;
	if (before)
		tell_question(before);
	tell_question(question);
	while (same < REGIONS && !memcmp(&host_vec[same], &our_vec[same], sizeof(host_vec[0])))
		same++;
	tell("the kernel", ret, &host, host_vec, same);
	tell("here", is, &ours, our_vec, same);
	fail();
}

/* All of the map, behind a change (NULL) or a scan that write-protects. */
static void look_behind(const struct pm_scan_arg *arg)
{
	const struct pm_scan_arg all = {
		.size = sizeof(all),
		.start = BOTH_BASE,
		.end = BOTH_AT(BOTH_PAGES),
		.vec = 1,
		.vec_len = REGIONS,
		.return_mask = 0x1ff,
	};

	before = arg;
	scan(&all);
	before = NULL;
}

static void any_map_is_scanned_as_the_kernel_does(void **state)
{
	const unsigned long rounds = ROUNDS / test_slowdown() * (test_full() ? 20 : 1);

	(void)state;
	if (!can)
		skip();
	rng_init(&rng, test_seed());
	for (unsigned long round = 0; round < rounds; round++) {
		change();
		look_behind(NULL);
		for (int i = 0; i < SCANS; i++) {
			const struct pm_scan_arg arg = any_arg();

			scan(&arg);
			if (arg.flags & PM_SCAN_WP_MATCHING)
				look_behind(&arg);
		}
		if (round % 100 == 0)
			mem_check(&b.m);
	}
	for (int i = 0; i < 4; i++)
		assert_true(answers[i] > rounds / 4);
	finished = true;
}

static int tell_seed(void **state)
{
	(void)state;
	if (can && !finished)
		test_replay(test_seed());
	return 0;
}

static int begin(void **state)
{
	(void)state;
	can = both_begin(&b);
	return 0;
}

static int end(void **state)
{
	(void)state;
	if (can)
		both_end(&b);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(any_map_is_scanned_as_the_kernel_does, tell_seed),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
