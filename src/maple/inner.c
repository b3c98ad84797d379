/* SPDX-License-Identifier: MIT */
/*
 * A level of inner nodes of a write, built anew: the children before the left
 * edge, the fresh ones, those after the right edge. Empty slots are left behind.
 *
 * A child keeps its key, with one exception: the key of a node's first child is never searched
 * for and may be stale. When that child moves behind another child, it gets the node's own key,
 * which the parent holds.
 */
#include "maple/level.h"

#define ITEM_SLOTS (4 * INNER_SLOTS + FRESH_MAX)

struct items {
	struct child space[ITEM_SLOTS];
	struct child *child; /* into space: room in front for a neighbour */
	unsigned int n;
};

static void items_add(struct items *items, const struct maple_store *op, const maple_inner *inner,
		      int from, int to)
{
	for (int i = from; i < to; i++) {
		struct child *child = &items->child[items->n];

		if (!inner->slot[i])
			continue;
		child->key = inner->key[i];
		child->node = inner->slot[i];
		if (tree_tracks_gaps(op->mt))
			child->extent = *extent_of(inner, i);
		items->n++;
	}
}

static enum growth items_gather(struct items *items, struct maple_store *op, unsigned int level)
{
	const maple_inner *left = op->left.node[level], *right = op->right.node[level];
	unsigned int before, after;

	items_add(items, op, left, 0, op->left.keep[level]);
	before = items->n;
	/* Where fresh nodes replace a child, the first of them gets that child's key. */
	if (op->n_fresh && op->left.keep[level] <= op->left.slot[level])
		op->fresh[0].key = left->key[op->left.keep[level]];
	for (unsigned int i = 0; i < op->n_fresh; i++)
		items->child[items->n++] = op->fresh[i];
	after = items->n;
	items_add(items, op, right, op->right.keep[level] + 1, right->head.count);
	if (items->n == after)
		return GROWS_AT_END;
	return before ? GROWS_WITHIN : GROWS_AT_FRONT;
}

static void items_add_neighbour(struct items *items, const struct maple_store *op,
				unsigned int level, struct neighbour neighbour)
{
	const maple_inner *inner = (const maple_inner *)neighbour.node;
	const maple_inner *left = op->left.node[level + 1], *right = op->right.node[level + 1];
	unsigned int own = items->n;

	if (neighbour.on_left) {
		items->child[0].key = left->key[op->left.slot[level + 1]];
		items->child -= inner->head.live;
		items->n = 0;
		items_add(items, op, inner, 0, inner->head.count);
		items->n += own;
	} else {
		items_add(items, op, inner, 0, inner->head.count);
		items->child[own].key = right->key[neighbour.slot];
	}
}

static void inner_fill(const struct maple_store *op, maple_inner *inner, const struct child *child,
		       unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		inner->key[i] = child[i].key;
		inner->slot[i] = child[i].node;
		if (tree_tracks_gaps(op->mt))
			*extent_of(inner, i) = child[i].extent;
	}
	for (unsigned int i = n; i < INNER_SLOTS; i++)
		inner->key[i] = ULONG_MAX;
	inner->head.count = inner->head.live = (unsigned char)n;
}

static int items_pack(struct maple_store *op, const struct items *items, unsigned int level,
		      enum growth growth)
{
	struct packing packing = pack_sizes(items->n, INNER_SLOTS, growth);
	const struct child *child = items->child;

	op->n_fresh = 0;
	for (unsigned int i = 0; i < packing.nodes; i++) {
		struct child *fresh = &op->fresh[op->n_fresh];
		maple_inner *inner = made_node(op, level);

		if (!inner)
			return -ENOMEM;
		inner_fill(op, inner, child, packing.size[i]);
		fresh->key = child->key;
		fresh->node = inner;
		if (tree_tracks_gaps(op->mt))
			fresh->extent = inner_extent(inner);
		op->n_fresh++;
		child += packing.size[i];
	}
	return 0;
}

/* A level above the root that was. */
static int build_root(struct maple_store *op, unsigned int level)
{
	struct items items = { .child = items.space, .n = op->n_fresh };

	op->fresh[0].key = 0;
	for (unsigned int i = 0; i < op->n_fresh; i++)
		items.child[i] = op->fresh[i];
	return items_pack(op, &items, level, GROWS_WITHIN);
}

int build_inner(struct maple_store *op, unsigned int level)
{
	struct items items;
	struct neighbour neighbour;
	enum growth growth;

	if (level > op->root->level)
		return build_root(op, level);
	items.child = items.space + INNER_SLOTS;
	items.n = 0;
	old_node(op, op->left.node[level]);
	if (op->left.node[level] != op->right.node[level])
		old_node(op, op->right.node[level]);
	growth = items_gather(&items, op, level);
	if (level == op->root->level && items.n == 1) {
		op->fresh[0] = items.child[0]; /* a root of one child is the child */
		op->n_fresh = 1;
		return 0;
	}
	neighbour = neighbour_wanted(op, level, items.n, INNER_SLOTS, growth);
	if (neighbour.node) {
		items_add_neighbour(&items, op, level, neighbour);
		neighbour_take(op, level, neighbour);
		growth = GROWS_WITHIN;
	}
	return items_pack(op, &items, level, growth);
}
