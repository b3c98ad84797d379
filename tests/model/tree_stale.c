/* SPDX-License-Identifier: MIT */
/*
 * Readers' cursors in RCU mode while the tree changes under them, one call of
 * the writer between two calls of a reader: the interleavings of threads at the
 * grain of calls, but repeatable, and with an exact answer.
 *
 * A reader that stands at index..last and goes on must be told what is in the
 * tree now: the first entry above last, but never one that covers last, as that
 * would overlap what it has been given; downwards likewise. An empty range that
 * is reported must be empty, and be the one beside where the reader stood.
 *
 * The writer empties and fills whole regions, so that subtrees are cut off and
 * put back while cursors still hold nodes that are long dead.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"
#include "support/tree_ops.h"

#define READERS 6u
#define ROUNDS 3000u

struct reader {
	struct ma_state mas;
	bool placed; /* on an entry */
};

static const struct tree_universe universes[] = {
	{ "dense", 0, 8191, 1, 1500, PATTERN_UNIFORM, 0 },
	{ "deep", 0, 1 << 22, 1, 5000, PATTERN_UNIFORM, 0 },
};

static struct tree_run run;
static struct tree_gen gen;
static struct reader readers[READERS];
static unsigned long emptied[2]; /* the region that was emptied last */

static void differ(struct reader *r, const char *call, unsigned long from, const void *got,
		   struct model_range want)
{
	fprintf(stderr, "universe %s, tree of flags %#x, %zu entries: %s from %#lx\n", gen.u->name,
		gen.flags, run.m.n, call, from);
	test_replay(test_seed());
	fail_msg("%p %#lx..%#lx %s, should be %p %#lx..%#lx", got, r->mas.index, r->mas.last,
		 maple_status_name(r->mas.status), want.entry, want.first, want.last);
}

/* The first entry above last that does not cover it; entry NULL: none. */
static struct model_range entry_above(unsigned long last)
{
	struct model_range slot = model_slot(&run.m, last);
	size_t i;

	if (slot.entry)
		last = slot.last;
	if (last == ULONG_MAX)
		return (struct model_range){ 0, 0, NULL };
	i = model_at(&run.m, last + 1);
	return i < run.m.n ? run.m.r[i] : (struct model_range){ 0, 0, NULL };
}

static struct model_range entry_below(unsigned long first)
{
	struct model_range slot = model_slot(&run.m, first);
	size_t i;

	if (slot.entry)
		first = slot.first;
	i = model_at(&run.m, first);
	return i ? run.m.r[i - 1] : (struct model_range){ 0, 0, NULL };
}

static bool is(const struct reader *r, const void *got, struct model_range want)
{
	return got == want.entry && r->mas.index == want.first && r->mas.last == want.last;
}

/* Walk to a random place; readers start anew there. */
static void place(struct reader *r)
{
	unsigned long at = rng_between(&gen.rng, gen.u->lo, gen.u->hi);
	struct model_range want;
	void *got;

	if (run.m.n && !rng_one_in(&gen.rng, 4))
		at = run.m.r[rng_below(&gen.rng, run.m.n)].first;
	/* beside what was cut off, waiting for what comes there */
	if (rng_one_in(&gen.rng, 2)) {
		at = emptied[rng_below(&gen.rng, 2)];
		want = at == emptied[0] ? entry_below(at) : entry_above(at);
		at = want.entry ? want.first : at;
	}
	want = model_slot(&run.m, at);
	mas_set(&r->mas, at);
	got = mas_walk(&r->mas);
	if (run.m.n > 1 && !is(r, got, want))
		differ(r, "mas_walk", at, got, want);
	r->placed = got != NULL;
}

static void step_up(struct reader *r, unsigned int call)
{
	unsigned long last = r->mas.last;
	struct model_range want = entry_above(last);
	void *got = call ? mas_next(&r->mas, ULONG_MAX) : mas_find(&r->mas, ULONG_MAX);

	if (last == ULONG_MAX)
		want.entry = NULL;
	if (want.entry ? !is(r, got, want) : got != NULL)
		differ(r, call ? "mas_next" : "mas_find", last, got, want);
	r->placed = got != NULL;
}

static void step_down(struct reader *r, unsigned int call)
{
	unsigned long first = r->mas.index;
	struct model_range want = entry_below(first);
	void *got = call ? mas_prev(&r->mas, 0) : mas_find_rev(&r->mas, 0);

	if (!first)
		want.entry = NULL;
	if (want.entry ? !is(r, got, want) : got != NULL)
		differ(r, call ? "mas_prev" : "mas_find_rev", first, got, want);
	r->placed = got != NULL;
}

/* To the next range: the entry that begins there, or the empty range up to the next entry. */
static void step_range_up(struct reader *r)
{
	unsigned long last = r->mas.last;
	struct model_range above = entry_above(last), want = { last + 1, ULONG_MAX, NULL };
	void *got = mas_next_range(&r->mas, ULONG_MAX);

	r->placed = got != NULL;
	if (!mas_is_active(&r->mas))
		return;
	if (got) {
		if (!is(r, got, above))
			differ(r, "mas_next_range", last, got, above);
		return;
	}
	if (model_slot(&run.m, last).entry)
		want.first = model_slot(&run.m, last).last + 1;
	if (above.entry)
		want.last = above.first - 1;
	/* the whole empty range will do, where the reader's own entry has gone */
	if (!is(r, got, want) && !is(r, got, model_slot(&run.m, last)))
		differ(r, "mas_next_range", last, got, want);
}

static void step_range_down(struct reader *r)
{
	unsigned long first = r->mas.index;
	struct model_range below = entry_below(first), want = { 0, first - 1, NULL };
	void *got = mas_prev_range(&r->mas, 0);

	r->placed = got != NULL;
	if (!mas_is_active(&r->mas))
		return;
	if (got) {
		if (!is(r, got, below))
			differ(r, "mas_prev_range", first, got, below);
		return;
	}
	if (model_slot(&run.m, first).entry)
		want.last = model_slot(&run.m, first).first - 1;
	if (below.entry)
		want.first = below.last + 1;
	if (!is(r, got, want) && !is(r, got, model_slot(&run.m, first)))
		differ(r, "mas_prev_range", first, got, want);
}

static void read_on(struct reader *r)
{
	unsigned int call = (unsigned int)rng_below(&gen.rng, 8);

	if (r->placed && !rng_one_in(&gen.rng, 3))
		return;
	/* one entry at 0 alone, or nothing: other answers, tested elsewhere */
	if (!r->placed || run.m.n < 2 || rng_one_in(&gen.rng, 60)) {
		place(r);
		return;
	}
	switch (call) {
	case 0:
	case 1:
	case 2:
		step_up(r, call & 1);
		break;
	case 3:
	case 4:
	case 5:
		step_down(r, call & 1);
		break;
	case 6:
		step_range_up(r);
		break;
	default:
		step_range_down(r);
	}
}

static void write_op(struct tree_op *op)
{
	if (tree_op_apply(&run, op))
		fail_msg("%s: %s", tree_op_name(op->kind), run.text);
}

/* A region of some tenth of the tree. */
static void pick_region(unsigned long *first, unsigned long *last)
{
	unsigned long width = (gen.u->hi - gen.u->lo) / (2 + rng_below(&gen.rng, 12));

	*first = rng_between(&gen.rng, gen.u->lo, gen.u->hi - width);
	*last = *first + width;
}

static void empty_region(void)
{
	struct tree_op op = { .kind = OP_NULL_RANGE };
	size_t i, j;

	pick_region(&op.a, &op.b);
	emptied[0] = op.a;
	emptied[1] = op.b;
	if (rng_one_in(&gen.rng, 2)) {
		write_op(&op);
		return;
	}
	/* one by one: nodes are cut off as they become empty, and nothing is rebuilt */
	i = model_at(&run.m, op.a);
	j = model_at(&run.m, op.b);
	op.kind = OP_ERASE;
	while (j-- > i) {
		op.a = run.m.r[j].first;
		write_op(&op);
	}
}

static void fill_region(void)
{
	struct tree_op op = { .kind = OP_STORE_RANGE };
	unsigned long first, last, step, n = 1 + rng_below(&gen.rng, 300);

	pick_region(&first, &last);
	if (rng_one_in(&gen.rng, 3) && emptied[0] < emptied[1]) {
		first = emptied[0];
		last = emptied[1];
		n = 1 + rng_below(&gen.rng, 3);
	}
	step = (last - first) / n + 1;
	for (; first < last && n--; first += step) {
		op.a = first;
		op.b = first + rng_below(&gen.rng, step);
		op.value = (uint32_t)rng_next(&gen.rng) | 31; /* no zero entries */
		write_op(&op);
	}
}

static void write_something(void)
{
	struct tree_op op;
	unsigned int n;

	switch (rng_below(&gen.rng, 10)) {
	case 0:
		empty_region();
		return;
	case 1:
	case 2:
		fill_region();
		return;
	default:
		for (n = 0; n < 3; n++) {
			tree_gen_op(&gen, &run, &op);
			if (op.kind != OP_DUP && op.kind < OP_RARE)
				write_op(&op);
		}
	}
}

static void run_batch(const struct tree_universe *u, unsigned int flags, uint64_t seed)
{
	unsigned int i, round;

	tree_run_init(&run, flags);
	tree_gen_init(&gen, u, flags, seed);
	fill_region();
	for (i = 0; i < READERS; i++) {
		mas_init(&readers[i].mas, &run.mt, 0);
		readers[i].placed = false;
	}
	samara_rcu_read_lock();
	for (round = 0; round < ROUNDS; round++) {
		write_something();
		for (i = 0; i < READERS; i++)
			read_on(&readers[i]);
		if (round % 200 == 199) {
			/* let memory go: readers begin a new section */
			samara_rcu_read_unlock();
			for (i = 0; i < READERS; i++)
				readers[i].placed = false;
			assert_int_equal(tree_run_check(&run), 0);
			samara_rcu_read_lock();
		}
	}
	samara_rcu_read_unlock();
	tree_run_free(&run);
}

static void readers_go_on_in_a_tree_that_changes(void **state)
{
	unsigned int batches = (test_full() ? 400 : 8) / (test_slowdown() > 1 ? 4 : 1), i;
	size_t u;

	for (i = 0; i < batches; i++)
		for (u = 0; u < sizeof(universes) / sizeof(universes[0]); u++)
			run_batch(&universes[u], MT_FLAGS_USE_RCU | (i & MT_FLAGS_ALLOC_RANGE),
				  test_seed() + 1000 * i + u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_go_on_in_a_tree_that_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
