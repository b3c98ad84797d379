/* SPDX-License-Identifier: MIT */
/*
 * The tree against a sorted array: random operations of every kind, in
 * universes of nine shapes, on trees with and without gaps, in RCU mode or not.
 *
 * At least GOAL operations of every kind in all; 100 times as many with
 * SAMARA_FULL=1, or as many as MODEL_SECONDS allow (full: 7200): what was reached
 * is printed.
 *
 * Each universe is run in batches, each batch on a fresh tree and in a child
 * process per tree kind. When something differs, or the child dies, the batch's
 * operations are thinned out to the few that matter (support/tree_shrink.c)
 * and printed as C calls.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "support/tree_ops.h"

#define GOAL 1000000ul
#define BATCH 8192u
#define CHECK_EVERY 512u
#define TREE_KINDS 4u

struct progress {
	unsigned long count[OP_KINDS];
	unsigned long ops, batches;
	size_t universe;
	uint64_t batch_seed;
	unsigned int done; /* operations of the batch that were begun */
	struct tree_op op[BATCH];
	char text[512];
};

static const unsigned int kind_flags[TREE_KINDS] = {
	0,
	MT_FLAGS_USE_RCU,
	MT_FLAGS_ALLOC_RANGE,
	MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU,
};

static long seconds; /* for each tree kind; 0: as long as it takes */
static time_t deadline;

/* One batch. 0, or -1 with progress->done and ->text. */
static int run_batch(struct progress *p, const struct tree_universe *u, unsigned int flags)
{
	struct tree_run run;
	struct tree_gen gen;
	int err = 0;

	tree_run_init(&run, flags);
	tree_gen_init(&gen, u, flags, p->batch_seed);
	for (p->done = 0; p->done < BATCH && !err;) {
		struct tree_op *op = &p->op[p->done++];

		tree_gen_op(&gen, &run, op);
		err = tree_op_apply(&run, op);
		p->count[op->kind]++;
		if (!err && p->done % CHECK_EVERY == 0)
			err = tree_run_check(&run);
	}
	p->ops += p->done;
	if (err) {
		memcpy(p->text, run.text, sizeof(p->text));
		return err;
	}
	tree_run_free(&run);
	p->batches++;
	return 0;
}

static bool enough(const struct progress *p, unsigned long goal, unsigned int flags)
{
	unsigned int last = flags & MT_FLAGS_ALLOC_RANGE ? OP_RARE : OP_ALLOC_RANGE;
	unsigned int kind;

	if (deadline && time(NULL) >= deadline)
		return true;
	for (kind = 0; kind < last; kind++) {
		bool half = (flags & MT_FLAGS_ALLOC_RANGE) &&
			    (kind >= OP_ALLOC_RANGE || kind == OP_GAP || kind == OP_GAP_REV);

		/* the kinds that need gaps run on two of the four tree kinds */
		if (p->count[kind] < (half ? goal / 2 : goal / 4))
			return false;
	}
	return true;
}

/* In the child. Every universe has its share of each hundred batches. */
static int run_kind(struct progress *p, unsigned int flags, unsigned long goal)
{
	uint64_t seed = test_seed() * 4 + flags;
	unsigned int percent = 0, round = 0;

	while (!enough(p, goal, flags)) {
		unsigned int sum = 0;

		/* spread: 37 steps around a circle of 100 meet every percent once */
		percent = (percent + 37) % 100;
		for (p->universe = 0; sum + tree_universes[p->universe].share <= percent;
		     p->universe++)
			sum += tree_universes[p->universe].share;
		p->batch_seed = seed + 16 * (uint64_t)round++;
		if (run_batch(p, &tree_universes[p->universe], flags))
			return -1;
	}
	return 0;
}

static void report(struct progress *p, unsigned int flags, int status)
{
	struct tree_ops ops = { p->op, p->done };

	fprintf(stderr, "tree of flags %#x, universe %s, operation %u of the batch (%s)\n", flags,
		tree_universes[p->universe].name, p->done,
		p->done ? tree_op_name(p->op[p->done - 1].kind) : "-");
	if (WIFSIGNALED(status))
		fprintf(stderr, "died of signal %d\n", WTERMSIG(status));
	else
		fprintf(stderr, "%s\n", p->text);
	(void)tree_shrink(&ops, flags);
	test_replay(test_seed());
}

static void add_up(unsigned long total[OP_KINDS], const struct progress *p)
{
	unsigned int kind;

	for (kind = 0; kind < OP_KINDS; kind++)
		total[kind] += p->count[kind];
}

static void print_counts(const unsigned long total[OP_KINDS])
{
	unsigned long least = ULONG_MAX, sum = 0;
	unsigned int kind, least_kind = 0;

	for (kind = 0; kind < OP_RARE; kind++) {
		sum += total[kind];
		if (total[kind] < least) {
			least = total[kind];
			least_kind = kind;
		}
	}
	print_message("%lu operations of %d kinds, at least %lu of each (%s); seed %" PRIu64 "\n",
		      sum, OP_RARE, least, tree_op_name(least_kind), test_seed());
}

static unsigned long total[OP_KINDS];
static unsigned int kinds_run;

static void run_against_model(unsigned int kind)
{
	unsigned long goal = (test_full() ? GOAL * 100 : GOAL) / test_slowdown();
	struct progress *p =
		mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t pid;

	assert_ptr_not_equal(p, MAP_FAILED);
	deadline = seconds ? time(NULL) + seconds : 0;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		status = run_kind(p, kind_flags[kind], goal) ? 1 : 0;
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	add_up(total, p);
	print_message("flags %#x: %lu operations in %lu batches\n", kind_flags[kind], p->ops,
		      p->batches);
	if (status)
		report(p, kind_flags[kind], status);
	munmap(p, sizeof(*p));
	if (++kinds_run == TREE_KINDS)
		print_counts(total);
	assert_int_equal(status, 0);
}

static void plain_tree_agrees_with_sorted_array(void **state)
{
	run_against_model(0);
}

static void rcu_tree_agrees_with_sorted_array(void **state)
{
	run_against_model(1);
}

static void gap_tree_agrees_with_sorted_array(void **state)
{
	run_against_model(2);
}

static void rcu_gap_tree_agrees_with_sorted_array(void **state)
{
	run_against_model(3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_tree_agrees_with_sorted_array),
		cmocka_unit_test(rcu_tree_agrees_with_sorted_array),
		cmocka_unit_test(gap_tree_agrees_with_sorted_array),
		cmocka_unit_test(rcu_gap_tree_agrees_with_sorted_array),
	};
	const char *limit = getenv("MODEL_SECONDS");

	if (test_full())
		seconds = 7200 / TREE_KINDS;
	if (limit)
		seconds = strtol(limit, NULL, 10) / TREE_KINDS;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
