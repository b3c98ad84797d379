/* SPDX-License-Identifier: MIT */
/*
 * The two ways down to the ends of a range that is to be written.
 *
 * Where an index leads to an empty slot, its range belongs to nobody, and the
 * nearest live neighbour takes it over: the edge is bent there, and the node
 * will be built anew without its empty slots, so that readers find the way.
 *
 * The tree's lock is held.
 */
#include "maple/store.h"
#include "maple/walk.h"

/* One step down: the neighbour on the left, else the one on the right. */
static void *edge_step(struct edge *edge, unsigned int level, unsigned long index)
{
	const maple_inner *inner = edge->node[level];
	int i = inner_search(inner, index);

	if (unlikely(!inner->slot[i])) {
		int below = live_below(inner, i);

		edge->bent |= 1U << level;
		i = below >= 0 ? below : live_above(inner, i);
	}
	edge->slot[level] = edge->keep[level] = i;
	if (i + 1 < inner->head.count)
		edge->upper = inner->key[i + 1] - 1;
	return inner->slot[i];
}

static void edge_find(const struct maple_store *op, struct edge *edge, unsigned long index)
{
	void *node = op->root;

	edge->bent = 0;
	edge->upper = ULONG_MAX;
	for (unsigned int level = op->root->level; level; level--) {
		edge->node[level] = node;
		inner_prefetch(node);
		node = edge_step(edge, level, index);
		if (tree_tracks_gaps(op->mt))
			__builtin_prefetch(extent_of(edge->node[level], edge->slot[level]));
	}
	edge->node[0] = node;
	leaf_prefetch(node);
	edge->slot[0] = leaf_search(node, index);
}

void edge_find_left(struct maple_store *op)
{
	op->root = root_node(op->mt->ma_root);
	edge_find(op, &op->left, op->first);
}

void edge_find_right(struct maple_store *op)
{
	if (op->left.bent || op->last > op->left.upper) {
		edge_find(op, &op->right, op->last);
		return;
	}
	op->right.bent = 0;
	for (unsigned int level = 0; level <= op->root->level; level++) {
		op->right.node[level] = op->left.node[level];
		op->right.slot[level] = op->right.keep[level] = op->left.slot[level];
	}
	op->right.slot[0] = leaf_search(op->left.node[0], op->last);
}

/* The first entry that the range overlaps, or NULL. The left edge is known. */
void *first_entry(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left.node[0];
	MA_STATE(mas, op->mt, op->first, op->first);
	unsigned long from = op->first;
	int i = op->left.slot[0];

	if (i >= 0 && leaf->slot[i] && leaf->last[i] >= op->first)
		return leaf->slot[i];
	for (i++; i < leaf->head.count && leaf->start[i] <= op->last; i++)
		if (leaf->slot[i])
			return leaf->slot[i];
	if (i < leaf->head.count)
		return NULL;
	struct found found = walk_up(&mas, &from);

	return found.entry && found.first <= op->last ? found.entry : NULL;
}
