/* SPDX-License-Identifier: MIT */
/* The interval tree (base/interval_tree.h) against an unsorted array. */
#include "support/cmocka_all.h"
#include "support/random.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/interval_tree.h"

#define NODES 300
#define ROUNDS 60000UL

struct model {
	struct interval_tree tree;
	struct interval_node node[NODES];
	bool in[NODES];
	struct rng rng;
};

static void fail_with(uint64_t seed, const char *what)
{
	test_replay(seed);
	fail_msg("%s", what);
}

static void set_interval(struct model *m, struct interval_node *node)
{
	unsigned long span = rng_one_in(&m->rng, 2) ? 100 : ULONG_MAX;
	unsigned long x = rng_below(&m->rng, span), y = rng_below(&m->rng, span);

	if (rng_one_in(&m->rng, 16))
		y = ULONG_MAX;
	node->start = x < y ? x : y;
	node->last = x < y ? y : x;
}

/* The query gives every overlapping interval once, in order of starts. */
static void check_query(struct model *m, unsigned long start, unsigned long last, uint64_t seed)
{
	bool seen[NODES] = { false };
	struct interval_node *node;
	unsigned long before = 0;

	for (node = interval_tree_iter_first(&m->tree, start, last); node;
	     node = interval_tree_iter_next(node, start, last)) {
		size_t i = (size_t)(node - m->node);

		if (seen[i] || node->start < before)
			fail_with(seed, "an interval twice or out of order");
		seen[i] = true;
		before = node->start;
	}
	for (size_t i = 0; i < NODES; i++) {
		const struct interval_node *n = &m->node[i];

		if (seen[i] != (m->in[i] && n->start <= last && n->last >= start))
			fail_with(seed, "an interval missing, or one that does not overlap");
	}
}

static void queries_match_a_plain_search(void **state)
{
	static struct model m;
	struct samara_report report = { 0 };
	uint64_t seed = test_seed();
	unsigned long rounds = (test_full() ? 50 : 1) * ROUNDS / test_slowdown();

	memset(&m, 0, sizeof(m));
	rng_init(&m.rng, seed);
	for (unsigned long r = 0; r < rounds; r++) {
		/* grows and shrinks in turns */
		bool adding = (r / 2000) % 2 ? rng_one_in(&m.rng, 4) : !rng_one_in(&m.rng, 4);
		size_t i = rng_below(&m.rng, NODES);
		struct interval_node query;

		if (adding && !m.in[i]) {
			set_interval(&m, &m.node[i]);
			interval_tree_insert(&m.tree, &m.node[i]);
			m.in[i] = true;
		} else if (!adding && m.in[i]) {
			interval_tree_remove(&m.tree, &m.node[i]);
			m.in[i] = false;
		}
		if (r % 8)
			continue;
		if (interval_tree_validate(&m.tree, &report))
			fail_with(seed, report.text);
		set_interval(&m, &query);
		check_query(&m, query.start, query.last, seed);
	}
}

static void empty_tree_has_no_answer(void **state)
{
	struct interval_tree tree = { NULL };

	assert_true(interval_tree_empty(&tree));
	assert_null(interval_tree_iter_first(&tree, 0, ULONG_MAX));
	assert_int_equal(interval_tree_validate(&tree, NULL), 0);
}

static void ends_are_included(void **state)
{
	struct interval_tree tree = { NULL };
	struct interval_node node = { .start = 10, .last = 20 };

	interval_tree_insert(&tree, &node);
	assert_false(interval_tree_empty(&tree));
	assert_null(interval_tree_iter_first(&tree, 0, 9));
	assert_ptr_equal(interval_tree_iter_first(&tree, 0, 10), &node);
	assert_ptr_equal(interval_tree_iter_first(&tree, 20, 99), &node);
	assert_null(interval_tree_iter_first(&tree, 21, 99));
	assert_null(interval_tree_iter_next(&node, 0, ULONG_MAX));
	interval_tree_remove(&tree, &node);
	assert_true(interval_tree_empty(&tree));
}

static void equal_intervals_may_be_in_it_together(void **state)
{
	struct interval_tree tree = { NULL };
	struct interval_node node[40], *found;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(node); i++) {
		node[i] = (struct interval_node){ .start = 5, .last = 6 };
		interval_tree_insert(&tree, &node[i]);
		assert_int_equal(interval_tree_validate(&tree, NULL), 0);
	}
	for (found = interval_tree_iter_first(&tree, 6, 7); found;
	     found = interval_tree_iter_next(found, 6, 7))
		n++;
	assert_int_equal(n, ARRAY_SIZE(node));
	for (size_t i = 0; i < ARRAY_SIZE(node); i++) {
		interval_tree_remove(&tree, &node[i]);
		assert_int_equal(interval_tree_validate(&tree, NULL), 0);
	}
	assert_true(interval_tree_empty(&tree));
}

static void ascending_inserts_stay_balanced(void **state)
{
	struct interval_tree tree = { NULL };
	static struct interval_node node[1023];

	for (size_t i = 0; i < ARRAY_SIZE(node); i++) {
		node[i].start = i;
		node[i].last = i;
		interval_tree_insert(&tree, &node[i]);
	}
	assert_int_equal(interval_tree_validate(&tree, NULL), 0);
	assert_int_equal(tree.root->height, 10);
}

/* The validator finds each kind of damage and names it. */
static void validate_names_what_is_broken(void **state)
{
	static const char *const names[] = { "interval", "links", "height", "balance",
					     "subtree_last", "order" };

	for (size_t damage = 0; damage < ARRAY_SIZE(names); damage++) {
		struct interval_tree tree = { NULL };
		struct samara_report report = { 0 };
		struct interval_node node[7], *root;

		for (size_t i = 0; i < ARRAY_SIZE(node); i++) {
			node[i] = (struct interval_node){ .start = 10 * i, .last = 10 * i + 15 };
			interval_tree_insert(&tree, &node[i]);
		}
		root = tree.root;
		if (damage == 0)
			node[0].start = 99;
		else if (damage == 1)
			node[0].parent = root;
		else if (damage == 2)
			root->height++;
		else if (damage == 3)
			root->child[1] = NULL, root->height = 3, root->subtree_last = 45;
		else if (damage == 4)
			root->subtree_last++;
		else
			node[2].start = 0;
		assert_int_equal(interval_tree_validate(&tree, &report), -EUCLEAN);
		assert_string_equal(report.invariant, names[damage]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_tree_has_no_answer),
		cmocka_unit_test(ends_are_included),
		cmocka_unit_test(equal_intervals_may_be_in_it_together),
		cmocka_unit_test(ascending_inserts_stay_balanced),
		cmocka_unit_test(validate_names_what_is_broken),
		cmocka_unit_test(queries_match_a_plain_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
