/* SPDX-License-Identifier: MIT */
/*
 * One level of inner nodes, built for a store: the children before the left edge, the fresh
 * children, and the children behind the right edge. Empty slots are not copied.
 *
 * A child keeps its key, with one exception. The key of a node's first child is never searched for
 * and may be stale. When that child moves behind another child, it gets the node's own key, which
 * the parent holds.
 */
#include "maple/level.h"

#define ITEM_SLOTS (4 * INNER_SLOTS + FRESH_MAX)

struct items {
	struct child space[ITEM_SLOTS];
	struct child *child; /* into space, where there is room in front for a neighbour's */
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

/* The first child of the left edge's node that the fresh nodes replace. */
static int replaced_from(const struct maple_store *op, unsigned int level)
{
	const int edge = op->left->slot[level];

	switch (op->fresh.replaced) {
	case NONE_REPLACED:
		return edge + 1;
	case LEFT_JOINED:
		return op->fresh.neighbour;
	default:
		return edge;
	}
}

/* The last child of the right edge's node that they replace. */
static int replaced_to(const struct maple_store *op, unsigned int level)
{
	return op->fresh.replaced == RIGHT_JOINED ? op->fresh.neighbour : op->right->slot[level];
}

static enum growth items_gather(struct items *items, struct maple_store *op, unsigned int level)
{
	const maple_inner *left = op->left->node[level], *right = op->right->node[level];
	const int from = replaced_from(op, level), to = replaced_to(op, level);
	unsigned int before, after;

	items_add(items, op, left, 0, from);
	before = items->n;
	/* The first fresh child gets the key of the first child that is replaced. */
	if (op->fresh.n && op->fresh.replaced != NONE_REPLACED)
		op->fresh.child[0].key = left->key[from];
	for (unsigned int i = 0; i < op->fresh.n; i++)
		items->child[items->n++] = op->fresh.child[i];
	after = items->n;
	items_add(items, op, right, to + 1, right->head.count);
	if (items->n == after)
		return GROWS_AT_END;
	return before ? GROWS_WITHIN : GROWS_AT_FRONT;
}

static void items_add_neighbour(struct items *items, const struct maple_store *op,
				unsigned int level, struct neighbour neighbour)
{
	const maple_inner *inner = (const maple_inner *)neighbour.node;
	const maple_inner *left = op->left->node[level + 1];
	const maple_inner *right = op->right->node[level + 1];
	unsigned int own = items->n;

	if (neighbour.on_left) {
		items->child[0].key = left->key[op->left->slot[level + 1]];
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

	op->fresh.n = 0;
	op->fresh.replaced = EDGES_REPLACED;
	for (unsigned int i = 0; i < packing.nodes; i++) {
		struct child *fresh = &op->fresh.child[op->fresh.n];
		maple_inner *inner = made_node(op, level);

		if (!inner)
			return -ENOMEM;
		inner_fill(op, inner, child, packing.size[i]);
		fresh->key = child->key;
		fresh->node = inner;
		if (tree_tracks_gaps(op->mt))
			fresh->extent = inner_extent(inner);
		op->fresh.n++;
		child += packing.size[i];
	}
	return 0;
}

/* A level above the old root. */
static int build_root(struct maple_store *op, unsigned int level)
{
	struct items items = { .child = items.space, .n = op->fresh.n };

	op->fresh.child[0].key = 0;
	for (unsigned int i = 0; i < op->fresh.n; i++)
		items.child[i] = op->fresh.child[i];
	return items_pack(op, &items, level, GROWS_WITHIN);
}

int build_inner(struct maple_store *op, unsigned int level)
{
	struct items items;
	struct neighbour neighbour;
	enum growth growth;
	int err;

	if (level > op->left->top)
		return build_root(op, level);
	items.child = items.space + INNER_SLOTS;
	items.n = 0;
	old_node(op, op->left->node[level]);
	if (op->left->node[level] != op->right->node[level])
		old_node(op, op->right->node[level]);
	growth = items_gather(&items, op, level);
	if (level == op->left->top && items.n == 1) {
		op->fresh.child[0] = items.child[0]; /* the only child becomes the root */
		op->fresh.n = 1;
		return 0;
	}
	neighbour = neighbour_wanted(op, level, items.n, INNER_SLOTS, growth);
	if (neighbour.node) {
		items_add_neighbour(&items, op, level, neighbour);
		growth = GROWS_WITHIN;
	}
	err = items_pack(op, &items, level, growth);
	if (!err && neighbour.node)
		neighbour_take(op, neighbour);
	return err;
}
