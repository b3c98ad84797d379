/* SPDX-License-Identifier: MIT */
/*
 * Every short sequence of operations on eight keys.
 *
 * Operations: store over every range key[i]..key[j], insert there, NULL store
 * there, erase of every key: 116. After each sequence everything that can be
 * asked about the keys and their neighbours is asked and compared with the
 * sorted array, and the whole tree is validated.
 *
 *   fresh trees   keys 0..7, and the top eight indices: sequences of up to 3,
 *                 SAMARA_FULL=1: 4
 *   grown trees   18 to 1500 entries; the keys are the edges of entries beside
 *                 each other and further ones, up to a few leaves away, moved
 *                 along the whole tree: 1, on some places 2 (full: on all)
 *
 * An operation that changes nothing (insert over something, NULL over nothing)
 * is checked but not continued; nor is an insert that works, as a store does
 * the same.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "support/random.h"
#include "support/tree_model.h"

#define KEYS 8u
#define DEPTH_MAX 4u

enum what { STORE, NULL_STORE, ERASE, INSERT };

struct step {
	enum what what;
	unsigned int i, j;
};

struct lab {
	unsigned int flags;
	struct maple_tree base; /* what every sequence starts from */
	struct tree_model base_model;
	struct tree_model model;
	unsigned long key[KEYS];
	struct step step[DEPTH_MAX];
	unsigned int depth;
	unsigned long sequences;
	char text[512];
};

static struct lab lab;

static void print_sequence(void)
{
	static const char *const name[] = { "store", "NULL store", "erase", "insert" };
	unsigned int d;

	fprintf(stderr, "flags %#x, %zu entries before; then\n", lab.flags, lab.base_model.n);
	for (d = 0; d < lab.depth; d++)
		fprintf(stderr, "\t%s %#lx..%#lx\n", name[lab.step[d].what], lab.key[lab.step[d].i],
			lab.key[lab.step[d].j]);
}

static void on_crash(int sig)
{
	print_sequence();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Carry out a step on tree and model; true when it changed something. *err: -1 when they differ. */
static bool do_step(struct maple_tree *mt, const struct step *step, unsigned int depth, int *err)
{
	unsigned long first = lab.key[step->i], last = lab.key[step->j];
	void *entry = (void *)(((unsigned long)depth + 1) << 12), *got, *want;
	bool empty = model_is_empty(&lab.model, first, last);
	int ret = 0, expect = 0;

	switch (step->what) {
	case STORE:
		ret = mtree_store_range(mt, first, last, entry, GFP_KERNEL);
		model_store(&lab.model, first, last, entry);
		empty = false;
		break;
	case NULL_STORE:
		ret = mtree_store_range(mt, first, last, NULL, GFP_KERNEL);
		model_store(&lab.model, first, last, NULL);
		break;
	case INSERT:
		ret = mtree_insert_range(mt, first, last, entry, GFP_KERNEL);
		expect = model_insert(&lab.model, first, last, entry);
		empty = true; /* not to be continued */
		break;
	case ERASE:
		got = mtree_erase(mt, first);
		want = model_erase(&lab.model, first);
		empty = !want;
		ret = got != want;
		break;
	}
	*err = ret == expect ? 0 : -1;
	if (*err)
		snprintf(lab.text, sizeof(lab.text), "result %d, should be %d", ret, expect);
	return !empty;
}

static int check_index(struct maple_tree *mt, unsigned long index)
{
	MA_STATE(mas, mt, index, index);
	struct model_cursor c;
	void *want, *got = mtree_load(mt, index);
	enum model_shape shape = model_shape(&lab.model);

	if (got != model_load(&lab.model, index)) {
		snprintf(lab.text, sizeof(lab.text), "load(%#lx) is %p", index, got);
		return -1;
	}
	/* The root entry's neighbours look different, and both are right after a larger tree. */
	if (model_either_shape(&lab.model) && !mt_height(mt))
		shape = MODEL_ROOT;
	model_cursor_set(&c, index, index);
	want = model_read(&lab.model, shape, &c, READ_WALK, 0);
	got = mas_walk(&mas);
	if (got == want && mas.index == c.index && mas.last == c.last && mas.status == c.status)
		return 0;
	snprintf(lab.text, sizeof(lab.text),
		 "walk(%#lx) is %p %#lx..%#lx %s, should be %p %#lx..%#lx %s", index, got,
		 mas.index, mas.last, maple_status_name(mas.status), want, c.index, c.last,
		 maple_status_name(c.status));
	return -1;
}

static int check_gap(struct maple_tree *mt, unsigned long min, unsigned long max,
		     unsigned long size)
{
	unsigned long first = 0;
	int rev;

	for (rev = 0; rev < 2; rev++) {
		MA_STATE(mas, mt, 0, 0);
		int want = rev ? model_gap_rev(&lab.model, min, max, size, &first) :
				 model_gap(&lab.model, min, max, size, &first);
		int got = rev ? mas_empty_area_rev(&mas, min, max, size) :
				mas_empty_area(&mas, min, max, size);

		if (got == want && (got || (mas.index == first && mas.last == first + size - 1)))
			continue;
		snprintf(lab.text, sizeof(lab.text),
			 "empty_area%s(%#lx, %#lx, %#lx): %d %#lx, should be %d %#lx",
			 rev ? "_rev" : "", min, max, size, got, mas.index, want, first);
		return -1;
	}
	return 0;
}

static int check_gaps(struct maple_tree *mt)
{
	unsigned long size, span = lab.key[KEYS - 1] - lab.key[0] + 1;
	unsigned int k;

	if (!(lab.flags & MT_FLAGS_ALLOC_RANGE))
		return 0;
	for (size = 1; size <= 9; size++) {
		if (check_gap(mt, lab.key[0], lab.key[KEYS - 1], size) ||
		    check_gap(mt, 0, ULONG_MAX, size) ||
		    check_gap(mt, lab.key[1], lab.key[KEYS - 2], size))
			return -1;
	}
	for (k = 0; k < KEYS; k++) {
		if (check_gap(mt, lab.key[k], ULONG_MAX, 2) || check_gap(mt, 0, lab.key[k], 2) ||
		    check_gap(mt, 0, ULONG_MAX, span - k))
			return -1;
	}
	return 0;
}

static int check(struct maple_tree *mt)
{
	unsigned int k;
	int err = 0;

	mtree_lock(mt);
	for (k = 0; k < KEYS && !err; k++) {
		err = check_index(mt, lab.key[k]);
		if (!err)
			err = check_index(mt, lab.key[k] + 1);
		if (!err)
			err = check_index(mt, lab.key[k] - 1);
	}
	if (!err)
		err = check_gaps(mt);
	if (!err)
		err = model_compare(&lab.model, mt, lab.text, sizeof(lab.text));
	mtree_unlock(mt);
	return err;
}

static void copy_model(void)
{
	struct model_range *r = lab.model.r;
	size_t i, n = lab.base_model.n;

	if (lab.model.room < n + 16) {
		r = realloc(r, (n + 16) * 2 * sizeof(*r));
		assert_non_null(r);
		lab.model.room = (n + 16) * 2;
	}
	for (i = 0; i < n; i++)
		r[i] = lab.base_model.r[i];
	lab.model.r = r;
	lab.model.n = n;
	lab.model.root_entry = lab.base_model.root_entry;
}

/* Run lab.step[0..depth); true when the last step changed something. */
static bool run_sequence(void)
{
	struct maple_tree mt = MTREE_INIT(mt, lab.flags);
	bool changed = false;
	unsigned int d;
	int err = 0;

	copy_model();
	err = mtree_dup(&lab.base, &mt, GFP_KERNEL);
	for (d = 0; d < lab.depth && !err; d++)
		changed = do_step(&mt, &lab.step[d], d, &err);
	if (!err)
		err = check(&mt);
	if (err) {
		print_sequence();
		fail_msg("%s", lab.text);
	}
	mtree_destroy(&mt);
	lab.sequences++;
	return changed;
}

static void explore(unsigned int depth_max)
{
	struct step *step = &lab.step[lab.depth++];
	unsigned int what, i, j;

	for (what = STORE; what <= INSERT; what++) {
		for (i = 0; i < KEYS; i++) {
			for (j = i; j < (what == ERASE ? i + 1 : KEYS); j++) {
				*step = (struct step){ (enum what)what, i, j };
				if (run_sequence() && lab.depth < depth_max)
					explore(depth_max);
			}
		}
	}
	lab.depth--;
}

static void open_lab(unsigned int flags)
{
	memset(&lab, 0, sizeof(lab));
	lab.flags = flags;
	mt_init_flags(&lab.base, flags);
	signal(SIGSEGV, on_crash);
	signal(SIGABRT, on_crash);
}

static void close_lab(void)
{
	mtree_destroy(&lab.base);
	model_free(&lab.base_model);
	model_free(&lab.model);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
}

static const unsigned int tree_kinds[] = {
	MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU,
	0,
	MT_FLAGS_USE_RCU,
	MT_FLAGS_ALLOC_RANGE,
};

static void explore_fresh(unsigned long lowest, unsigned int depth)
{
	unsigned long sequences = 0;
	size_t kind, k;

	for (kind = 0; kind < 4; kind++) {
		open_lab(tree_kinds[kind]);
		for (k = 0; k < KEYS; k++)
			lab.key[k] = lowest + k;
		explore(depth);
		sequences += lab.sequences;
		close_lab();
	}
	print_message("%lu sequences of up to %u operations\n", sequences, depth);
}

static void sequences_on_the_lowest_indices(void **state)
{
	explore_fresh(0, (test_full() ? 4 : 3) - (test_slowdown() > 1));
}

static void sequences_on_the_highest_indices(void **state)
{
	explore_fresh(ULONG_MAX - 7, test_full() ? 3 : 2);
}

static void sequences_in_the_middle(void **state)
{
	explore_fresh(1ul << 20, test_full() ? 3 : 2);
}

enum layout { ASCENDING, TOUCHING, SHUFFLED, HOLES, LAYOUTS };

/* n entries at 16 i .. 16 i + 7; touching each other; in random order; every third erased. */
static void grow(unsigned int n, enum layout layout)
{
	unsigned long length = layout == TOUCHING ? 16 : 8;
	struct rng rng;
	unsigned int i;

	rng_init(&rng, n);
	for (i = 0; i < n; i++) {
		unsigned long at = layout == SHUFFLED ? rng_below(&rng, n) : i;
		void *entry = (void *)((at + 100) << 12);

		assert_int_equal(mtree_store_range(&lab.base, 16 * at, 16 * at + length - 1, entry,
						   GFP_KERNEL),
				 0);
		model_store(&lab.base_model, 16 * at, 16 * at + length - 1, entry);
	}
	for (i = 0; layout == HOLES && i < n; i += 3)
		assert_ptr_equal(mtree_erase(&lab.base, 16ul * i),
				 model_erase(&lab.base_model, 16ul * i));
}

static unsigned long edge(size_t i, bool last)
{
	const struct tree_model *m = &lab.base_model;

	if (i >= m->n)
		return (last ? 8 : 0) + m->r[m->n - 1].last + 16 * (i - m->n + 1);
	return last ? m->r[i].last : m->r[i].first;
}

static void explore_place(size_t at, unsigned int depth)
{
	unsigned long *key = lab.key;

	key[0] = edge(at, false) + 1;
	key[1] = edge(at, true);
	key[2] = edge(at + 1, false);
	key[3] = edge(at + 1, true);
	key[4] = edge(at + 2, false) - (edge(at + 1, true) + 1 < edge(at + 2, false));
	key[5] = edge(at + 3, true) + 1;
	key[6] = edge(at + 20, false);
	key[7] = edge(at + 45, true);
	explore(depth);
}

static void explore_grown(unsigned int n, unsigned int depth, unsigned int stride,
			  unsigned int kinds)
{
	unsigned long sequences = 0;
	unsigned int kind, layout;
	size_t at;

	for (kind = 0; kind < kinds; kind++) {
		for (layout = 0; layout < LAYOUTS; layout++) {
			open_lab(tree_kinds[kind]);
			grow(n, (enum layout)layout);
			for (at = 0; at < lab.base_model.n; at += stride)
				explore_place(at, depth);
			sequences += lab.sequences;
			close_lab();
		}
	}
	print_message("%u entries: %lu sequences of up to %u operations\n", n, sequences, depth);
}

static void one_operation_everywhere(void **state)
{
	static const unsigned int sizes[] = { 18, 19, 20, 21, 22, 39, 40, 41, 42, 60, 100, 150 };
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		explore_grown(sizes[i], 1, test_slowdown() > 1 ? 5 : 1, 4);
}

static void one_operation_in_a_tall_tree(void **state)
{
	explore_grown(700, 1, test_full() ? 1 : 11, 4);
	explore_grown(1500, 1, test_full() ? 1 : 37, test_full() ? 4 : 1);
}

static void two_operations_at_leaf_edges(void **state)
{
	static const unsigned int sizes[] = { 19, 20, 41, 60 };
	bool full = test_full();
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		explore_grown(sizes[i], 2, (full ? 2 : 19) * (unsigned int)test_slowdown(),
			      full ? 4 : 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequences_on_the_lowest_indices),
		cmocka_unit_test(sequences_on_the_highest_indices),
		cmocka_unit_test(sequences_in_the_middle),
		cmocka_unit_test(one_operation_everywhere),
		cmocka_unit_test(one_operation_in_a_tall_tree),
		cmocka_unit_test(two_operations_at_leaf_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
