/* SPDX-License-Identifier: MIT */
/*
 * The validator names what is broken: each invariant of maple/node.h is broken
 * on purpose in a good tree, found by its name, and mended again.
 */
#include <limits.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "maple/node.h"
#include "maple/writer.h"

#define ENTRIES 2000u

static struct maple_tree mt;

static void grow(unsigned int flags, unsigned int n)
{
	unsigned int i;

	mt_init_flags(&mt, flags);
	for (i = 0; i < n; i++) {
		unsigned long at = 64ul * (i * 1237ul % n); /* in no order: leaves are part full */

		assert_int_equal(mtree_store_range(&mt, at, at + 31, xa_mk_value(i), GFP_KERNEL),
				 0);
	}
}

static void expect(const char *invariant)
{
	struct samara_report report = { NULL, "" };
	int err;

	mtree_lock(&mt);
	err = samara_mtree_validate(&mt, &report);
	/* without a report the answer is the same */
	assert_int_equal(samara_mtree_validate(&mt, NULL), err);
	mtree_unlock(&mt);
	if (!invariant) {
		if (err)
			fail_msg("found %s where all is well: %s", report.invariant, report.text);
		return;
	}
	if (!err)
		fail_msg("a broken %s was not found", invariant);
	assert_non_null(report.invariant);
	if (strcmp(report.invariant, invariant))
		fail_msg("%s was found, but it is %s that is broken: %s", report.invariant,
			 invariant, report.text);
	assert_true(strlen(report.text) > 0);
}

static maple_inner *root_inner(void)
{
	assert_true(root_is_node(mt.ma_root));
	assert_true(root_node(mt.ma_root)->level > 0);
	return (maple_inner *)root_node(mt.ma_root);
}

/* A leaf in the middle of the tree that has some room. */
static maple_leaf *some_leaf(void)
{
	maple_inner *inner = root_inner();
	unsigned int i;

	while (inner->head.level > 1)
		inner = inner->slot[inner->head.count / 2];
	for (i = 1; i + 1 < inner->head.count; i++) {
		maple_leaf *leaf = inner->slot[i];

		if (leaf->head.count > 4 && leaf->head.count < LEAF_SLOTS)
			return leaf;
	}
	fail_msg("all leaves are full");
	return NULL;
}

/* Break one field, expect its name, mend it. */
#define BREAK(field, value, invariant) \
	do { \
		__typeof__(field) good__ = (field); \
		(field) = (value); \
		expect(invariant); \
		(field) = good__; \
		expect(NULL); \
	} while (0)

static void sound_trees_are_found_sound(void **state)
{
	unsigned int flags, n;

	for (flags = 0; flags < 4; flags++) {
		for (n = 0; n < 3000; n = n * 3 + 1) {
			grow(flags, n);
			expect(NULL);
			mtree_destroy(&mt);
			expect(NULL);
		}
	}
}

static void broken_leaves_are_found(void **state)
{
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		maple_leaf *leaf;

		grow(flags, ENTRIES);
		leaf = some_leaf();
		BREAK(leaf->head.level, 1, "level");
		BREAK(leaf->head.dead, 1, "dead");
		BREAK(leaf->head.count, LEAF_SLOTS + 1, "count");
		BREAK(leaf->head.count, 0, "count");
		BREAK(leaf->head.live, (unsigned char)(leaf->head.live - 1), "count");
		BREAK(leaf->slot[1], NULL, "count");
		BREAK(leaf->start[2], leaf->last[1], "order");
		BREAK(leaf->start[2], leaf->last[2] + 1, "order");
		BREAK(leaf->last[1], leaf->start[2], "order");
		BREAK(leaf->start[0], 0, "range");
		BREAK(leaf->last[leaf->head.count - 1], ULONG_MAX, "range");
		BREAK(leaf->start[leaf->head.count], 5, "padding");
		mtree_destroy(&mt);
	}
}

static void broken_inner_nodes_are_found(void **state)
{
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		maple_inner *inner;

		grow(flags, ENTRIES);
		inner = root_inner();
		assert_true(inner->head.count >= 2 && inner->head.count < INNER_SLOTS);
		BREAK(inner->head.level, (unsigned char)(inner->head.level - 1), "level");
		BREAK(inner->head.level, MAX_LEVEL + 1, "level");
		BREAK(inner->head.dead, 1, "dead");
		BREAK(inner->head.count, INNER_SLOTS + 1, "count");
		BREAK(inner->head.live, (unsigned char)(inner->head.live + 1), "count");
		BREAK(inner->key[1], ULONG_MAX, "range");
		BREAK(inner->key[inner->head.count], 7, "padding");
		/* a key in the midst of what the child before it holds */
		BREAK(inner->key[1], inner->key[1] - 64, "range");
		BREAK(inner->key[1], 0, "order");
		mtree_destroy(&mt);
	}
}

static void inexact_gaps_are_found(void **state)
{
	struct extent *extent;

	grow(MT_FLAGS_ALLOC_RANGE, ENTRIES);
	extent = extent_of(root_inner(), 1);
	BREAK(extent->lo, extent->lo - 1, "gap");
	BREAK(extent->hi, extent->hi + 1, "gap");
	BREAK(extent->gap, extent->gap + 1, "gap");
	BREAK(extent->gap, 0, "gap");
	mtree_destroy(&mt);
}

static void a_child_lost_or_met_twice_is_found(void **state)
{
	maple_inner *inner;

	grow(0, ENTRIES);
	inner = root_inner();
	BREAK(inner->slot[1], NULL, "count");
	BREAK(inner->slot[1], inner->slot[0], "range");
	mtree_destroy(&mt);
}

static void an_empty_leaf_is_found(void **state)
{
	maple_leaf *leaf;
	void *slot[LEAF_SLOTS];
	unsigned char live;

	grow(0, ENTRIES);
	leaf = some_leaf();
	memcpy(slot, leaf->slot, sizeof(slot));
	live = leaf->head.live;
	memset(leaf->slot, 0, sizeof(slot));
	leaf->head.live = 0;
	expect("live");
	memcpy(leaf->slot, slot, sizeof(slot));
	leaf->head.live = live;
	expect(NULL);
	mtree_destroy(&mt);
}

static void mt_validate_is_silent_on_a_sound_tree(void **state)
{
	grow(MT_FLAGS_ALLOC_RANGE, ENTRIES);
	mtree_lock(&mt);
	mt_validate(&mt);
	mtree_unlock(&mt);
	mtree_destroy(&mt);
}

#define EXPECT_WRONG(member, value) \
	do { \
		const struct maple_path good = writer.path; \
		writer.path.member = (value); \
		assert_false(maple_writer_valid(&writer)); \
		writer.path = good; \
		assert_true(maple_writer_valid(&writer)); \
	} while (0)

/* A writer's path leads from the root to its leaf, and for the indices that it names. */
static void a_wrong_path_is_found(void **state)
{
	struct maple_writer writer;

	grow(MT_FLAGS_ALLOC_RANGE, ENTRIES);
	mtree_lock(&mt);
	maple_writer_init(&writer, &mt);
	assert_true(maple_writer_valid(&writer));
	for (unsigned long at = 640; at < 64ul * ENTRIES; at += 9600) {
		assert_non_null(maple_writer_seek(&writer, at));
		assert_int_equal(writer.path.state, MAPLE_PATH_EXACT);
		assert_true(writer.path.top >= 2);
		assert_true(maple_writer_valid(&writer));
		for (unsigned int level = 0; level <= writer.path.top; level++)
			EXPECT_WRONG(node[level], writer.path.node[level ? 0 : 1]);
		for (unsigned int level = 1; level <= writer.path.top; level++) {
			EXPECT_WRONG(slot[level], writer.path.slot[level] + 1);
			EXPECT_WRONG(slot[level], writer.path.slot[level] - 1);
		}
		if (writer.path.lower)
			EXPECT_WRONG(lower, writer.path.lower - 1);
		if (writer.path.upper != ULONG_MAX)
			EXPECT_WRONG(upper, writer.path.upper + 1);
		EXPECT_WRONG(top, writer.path.top + 1);
		EXPECT_WRONG(top, writer.path.top - 1);
		/* What is not known to be right may be anything. */
		writer.path.node[0] = NULL;
		writer.path.state = MAPLE_PATH_UNKNOWN;
		assert_true(maple_writer_valid(&writer));
	}
	mtree_unlock(&mt);
	mtree_destroy(&mt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_trees_are_found_sound),
		cmocka_unit_test(broken_leaves_are_found),
		cmocka_unit_test(broken_inner_nodes_are_found),
		cmocka_unit_test(inexact_gaps_are_found),
		cmocka_unit_test(a_child_lost_or_met_twice_is_found),
		cmocka_unit_test(an_empty_leaf_is_found),
		cmocka_unit_test(a_wrong_path_is_found),
		cmocka_unit_test(mt_validate_is_silent_on_a_sound_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
