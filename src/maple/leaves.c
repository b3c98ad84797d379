/* SPDX-License-Identifier: MIT */
/*
 * The leaves of a store.
 *
 *   left leaf    | a   b   c===|                      entries before the range
 *   range                  [=========]                the range
 *   right leaf                  |====d   e   f |      entries behind the range
 *
 *   run          | a   b   c= [=========] =d   e   f |
 *
 * An entry that the range cuts keeps its part outside of the range (c, d). Erased entries are not
 * copied.
 */
#include <string.h>

#include "maple/level.h"

/* A list of entries that grows, in the arrays of a leaf or in larger ones. */
struct run {
	unsigned long *start, *last;
	void **slot;
	unsigned int n;
	unsigned int at; /* where the new part begins, after run_gather() */
};

/* Two leaves, the new entries, and room for a neighbour on either side. */
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

/* Slots from..to - 1, all live. They are about ten: a loop is faster than three memcpy() calls. */
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

/* All entries that the leaves will hold. */
static enum growth run_gather(struct run *run, const struct maple_store *op)
{
	const maple_leaf *left = op->left->node[0], *right = op->right->node[0];
	const struct maple_request *request = op->request;
	int l = op->slot.left, r = op->slot.right;
	unsigned int after;

	if (l >= 0) {
		run_add_slots(run, left, 0, l);
		if (left->slot[l] && left->last[l] < request->first)
			run_add(run, left->start[l], left->last[l], left->slot[l]);
		else if (left->slot[l] && left->start[l] < request->first)
			run_add(run, left->start[l], request->first - 1, left->slot[l]);
	}
	run->at = run->n;
	if (request->entry)
		run_add(run, request->first, request->last, request->entry);
	after = run->n;
	if (r >= 0 && right->slot[r] && right->last[r] > request->last)
		run_add(run, request->last + 1, right->last[r],
			request->above ? request->above : right->slot[r]);
	run_add_slots(run, right, r + 1, right->head.count);
	if (run->n == after)
		return GROWS_AT_END;
	return run->at ? GROWS_WITHIN : GROWS_AT_FRONT;
}

/* The arrays of the leaf are filled: set the rest of it, and all of its child but the extent. */
static struct child *leaf_seal(struct maple_store *op, maple_leaf *leaf, unsigned int n)
{
	struct child *fresh = &op->fresh.child[op->fresh.n++];

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

/* An entry is stored over entries that cover the range without a hole: no gap changes. */
static bool fills_nothing(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left->node[0];
	int l = op->slot.left, r = op->slot.right;

	if (!op->request->entry || l < 0 || !leaf->slot[l])
		return false;
	for (; l < r; l++)
		if (!leaf->slot[l + 1] || leaf->start[l + 1] != leaf->last[l] + 1)
			return false;
	return leaf->last[r] >= op->request->last;
}

/* The extent of the leaf that replaces one leaf, by the old leaf's extent where that is enough. */
static struct extent extent_of_one(const struct maple_store *op, const maple_leaf *leaf,
				   const struct run *run)
{
	const maple_leaf *was = op->left->node[0];

	if (!op->left->top)
		return (struct extent){ 0 }; /* a root has no parent that holds its extent */
	if (fills_nothing(op))
		return *extent_of(op->left->node[1], op->left->slot[1]);
	/* One more entry, and none was replaced. */
	if (op->request->entry && run->n == was->head.live + 1U)
		return leaf_extent_after(leaf, (int)run->at,
					 *extent_of(op->left->node[1], op->left->slot[1]));
	return leaf_extent(leaf);
}

/* The usual case: one leaf, gathered in its own arrays. */
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

/* Any number of leaves, perhaps with a neighbour: gathered in larger arrays, then packed. */
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
		neighbour_take(op, neighbour);
	return run_pack(op, &run, leaf ? GROWS_WITHIN : growth);
}

/*
 * The leaf is full and the range comes behind its entries. The leaf stays, and a new leaf comes
 * behind it. A tree that is filled in order is thus never copied.
 */
static bool wants_new_leaf(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left->node[0];

	return op->request->entry && op->left->top && leaf->head.live == LEAF_SLOTS &&
	       comes_last(op);
}

static int build_behind(struct maple_store *op)
{
	maple_leaf *leaf = made_node(op, 0);

	if (!leaf)
		return -ENOMEM;
	leaf->start[0] = op->request->first;
	leaf->last[0] = op->request->last;
	leaf->slot[0] = op->request->entry;
	leaf_finish(op, leaf, 1);
	op->fresh.replaced = NONE_REPLACED;
	return 0;
}

int build_leaves(struct maple_store *op)
{
	maple_leaf *left = op->left->node[0], *right = op->right->node[0];

	if (wants_new_leaf(op))
		return build_behind(op);
	op->fresh.replaced = EDGES_REPLACED;
	old_node(op, left);
	if (left != right)
		old_node(op, right);
	if (left == right && left->head.live + 2 <= LEAF_SLOTS &&
	    !is_sparse(left->head.live, LEAF_SLOTS))
		return build_one(op);
	return build_any(op);
}
