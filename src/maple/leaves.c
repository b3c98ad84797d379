/* SPDX-License-Identifier: MIT */
/*
 * The leaves of a write, built anew.
 *
 *   left leaf    | a   b   c===|                      entries before the range,
 *   range                  [=========]                the range,
 *   right leaf                  |====d   e   f |      entries after it
 *
 *   run          | a   b   c= [=========] =d   e   f |
 *
 * What the range cuts in two keeps what is outside of it (c, d). Erased entries
 * are left behind here: a leaf that is built has none.
 */
#include <string.h>

#include "maple/level.h"

/* A growing list of entries: a leaf's own arrays, or larger ones. */
struct run {
	unsigned long *start, *last;
	void **slot;
	unsigned int n;
	unsigned int at; /* where the new part begins, once gathered */
};

/* Two leaves, what is new, and room for a neighbour on either side. */
#define RUN_SLOTS (4 * LEAF_SLOTS + 4)

struct run_space {
	unsigned long start[RUN_SLOTS], last[RUN_SLOTS];
	void *slot[RUN_SLOTS];
};

static void run_add(struct run *run, unsigned long start, unsigned long last, void *slot)
{
	run->start[run->n] = start;
	run->last[run->n] = last;
	run->slot[run->n++] = slot;
}

/* Slots from..to - 1, all live: ten or so, for which a loop beats three calls of memcpy(). */
static void run_add_all(struct run *run, const maple_leaf *leaf, int from, int to)
{
	unsigned long *start = run->start + run->n, *last = run->last + run->n;
	void **slot = run->slot + run->n;
	int i;

	run->n += (unsigned int)(to - from);
	for (i = from; i + 1 < to; i += 2, start += 2, last += 2, slot += 2) {
		memcpy(start, leaf->start + i, 2 * sizeof(*start));
		memcpy(last, leaf->last + i, 2 * sizeof(*last));
		memcpy(slot, leaf->slot + i, 2 * sizeof(*slot));
	}
	if (i < to) {
		*start = leaf->start[i];
		*last = leaf->last[i];
		*slot = leaf->slot[i];
	}
}

/* Live entries of slots from..to - 1. */
static void run_add_slots(struct run *run, const maple_leaf *leaf, int from, int to)
{
	struct run to_run = *run; /* in registers */

	if (leaf->head.live == leaf->head.count) {
		if (from < to)
			run_add_all(run, leaf, from, to);
		return;
	}
	for (int i = from; i < to; i++) {
		if (!leaf->slot[i])
			continue;
		to_run.start[to_run.n] = leaf->start[i];
		to_run.last[to_run.n] = leaf->last[i];
		to_run.slot[to_run.n++] = leaf->slot[i];
	}
	run->n = to_run.n;
}

/* All that the leaves will hold; says where the new part stands. */
static enum growth run_gather(struct run *run, const struct maple_store *op)
{
	const maple_leaf *left = op->left.node[0], *right = op->right.node[0];
	int l = op->left.slot[0], r = op->right.slot[0];
	unsigned int after;

	if (l >= 0) {
		run_add_slots(run, left, 0, l);
		if (left->slot[l] && left->last[l] < op->first)
			run_add(run, left->start[l], left->last[l], left->slot[l]);
		else if (left->slot[l] && left->start[l] < op->first)
			run_add(run, left->start[l], op->first - 1, left->slot[l]);
	}
	run->at = run->n;
	if (op->entry)
		run_add(run, op->first, op->last, op->entry);
	after = run->n;
	if (r >= 0 && right->slot[r] && right->last[r] > op->last)
		run_add(run, op->last + 1, right->last[r], op->above ? op->above : right->slot[r]);
	run_add_slots(run, right, r + 1, right->head.count);
	if (run->n == after)
		return GROWS_AT_END;
	return run->at ? GROWS_WITHIN : GROWS_AT_FRONT;
}

/* A leaf's arrays are filled: the rest of it but for its extent. */
static struct child *leaf_seal(struct maple_store *op, maple_leaf *leaf, unsigned int n)
{
	struct child *fresh = &op->fresh[op->n_fresh++];

	leaf->head.count = leaf->head.live = (unsigned char)n;
	for (unsigned int i = n; i < LEAF_SLOTS; i++)
		leaf->start[i] = ULONG_MAX;
	fresh->key = leaf->start[0];
	fresh->node = leaf;
	return fresh;
}

static void leaf_finish(struct maple_store *op, maple_leaf *leaf, unsigned int n)
{
	struct child *fresh = leaf_seal(op, leaf, n);

	if (tree_tracks_gaps(op->mt))
		fresh->extent = leaf_extent(leaf);
}

static int run_pack(struct maple_store *op, const struct run *run, enum growth growth)
{
	struct packing packing = pack_sizes(run->n, LEAF_SLOTS, growth);
	unsigned int from = 0;

	for (unsigned int i = 0; i < packing.nodes; i++) {
		unsigned int n = packing.size[i];
		maple_leaf *leaf = made_node(op, 0);

		if (!leaf)
			return -ENOMEM;
		memcpy(leaf->start, run->start + from, n * sizeof(*leaf->start));
		memcpy(leaf->last, run->last + from, n * sizeof(*leaf->last));
		memcpy(leaf->slot, run->slot + from, n * sizeof(*leaf->slot));
		leaf_finish(op, leaf, n);
		from += n;
	}
	return 0;
}

/* Entries fill the range without a hole, and an entry is stored: what is free stays free. */
static bool fills_nothing(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left.node[0];
	int l = op->left.slot[0], r = op->right.slot[0];

	if (!op->entry || l < 0 || !leaf->slot[l])
		return false;
	for (; l < r; l++)
		if (!leaf->slot[l + 1] || leaf->start[l + 1] != leaf->last[l] + 1)
			return false;
	return leaf->last[r] >= op->last;
}

/* The one leaf that takes another's place: from that one's extent, if it was not changed much. */
static struct extent extent_of_one(const struct maple_store *op, const maple_leaf *leaf,
				   const struct run *run)
{
	const maple_leaf *was = op->left.node[0];

	if (!op->root->level)
		return (struct extent){ 0 }; /* the root's, which is never asked for */
	if (fills_nothing(op))
		return *extent_of(op->left.node[1], op->left.slot[1]);
	if (op->entry && run->n == was->head.live + 1U) /* one more, and none was swallowed */
		return leaf_extent_after(leaf, (int)run->at,
					 *extent_of(op->left.node[1], op->left.slot[1]));
	return leaf_extent(leaf);
}

/* The usual case, straight into the new leaf. */
static int build_one(struct maple_store *op)
{
	maple_leaf *leaf = made_node(op, 0);
	struct run run = { .n = 0 };
	struct child *fresh;

	if (!leaf)
		return -ENOMEM;
	run.start = leaf->start;
	run.last = leaf->last;
	run.slot = leaf->slot;
	run_gather(&run, op);
	fresh = leaf_seal(op, leaf, run.n);
	if (tree_tracks_gaps(op->mt))
		fresh->extent = extent_of_one(op, leaf, &run);
	return 0;
}

/* Whatever shape: gather into larger arrays, a neighbour perhaps with it, and pack. */
static int build_any(struct maple_store *op)
{
	struct run_space space;
	struct run run = { space.start + LEAF_SLOTS, space.last + LEAF_SLOTS,
			   space.slot + LEAF_SLOTS, 0, 0 };
	enum growth growth = run_gather(&run, op);
	struct neighbour neighbour = neighbour_wanted(op, 0, run.n, LEAF_SLOTS, growth);
	const maple_leaf *leaf = (const maple_leaf *)neighbour.node;

	if (leaf && neighbour.on_left) {
		run.start -= leaf->head.live;
		run.last -= leaf->head.live;
		run.slot -= leaf->head.live;
		struct run front = { run.start, run.last, run.slot, 0, 0 };

		run_add_slots(&front, leaf, 0, leaf->head.count);
		run.n += front.n;
	} else if (leaf) {
		run_add_slots(&run, leaf, 0, leaf->head.count);
	}
	if (leaf)
		neighbour_take(op, 0, neighbour);
	return run_pack(op, &run, leaf ? GROWS_WITHIN : growth);
}

/*
 * A full leaf, and the range comes behind it: the leaf stays, and gets a
 * neighbour. So a tree that is filled in order is copied nowhere.
 */
static bool wants_new_leaf(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left.node[0];

	return op->entry && op->root->level && leaf->head.live == LEAF_SLOTS && comes_last(op);
}

static int build_behind(struct maple_store *op)
{
	maple_leaf *leaf = made_node(op, 0);

	if (!leaf)
		return -ENOMEM;
	leaf->start[0] = op->first;
	leaf->last[0] = op->last;
	leaf->slot[0] = op->entry;
	leaf_finish(op, leaf, 1);
	op->left.keep[1]++;
	return 0;
}

int build_leaves(struct maple_store *op)
{
	maple_leaf *left = op->left.node[0], *right = op->right.node[0];

	if (wants_new_leaf(op))
		return build_behind(op);
	old_node(op, left);
	if (left != right)
		old_node(op, right);
	if (left == right && left->head.live + 2 <= LEAF_SLOTS &&
	    !is_sparse(left->head.live, LEAF_SLOTS))
		return build_one(op);
	return build_any(op);
}
