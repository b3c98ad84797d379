/* SPDX-License-Identifier: MIT */
/*
 * The two ways down to the ends of a range that is to be written.
 *
 * Where an index leads to an empty slot, no child covers it. The edge then leads to the nearest
 * child that is there ("bent"). The node will be built anew without its empty slots, so that
 * readers find that child too.
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
	if (i)
		edge->lower = inner->key[i];
	if (i + 1 < inner->head.count)
		edge->upper = inner->key[i + 1] - 1;
	return inner->slot[i];
}

static void edge_find(const struct maple_store *op, struct edge *edge, unsigned long index)
{
	void *node = op->root;

	edge->bent = 0;
	edge->lower = 0;
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
	if (edge_covers(&op->left, op->first)) {
		op->left.slot[0] = leaf_search(op->left.node[0], op->first);
		return;
	}
	op->root = root_node(op->mt->ma_root);
	edge_find(op, &op->left, op->first);
	op->left.known = !op->left.bent;
}

static void right_from_left(struct maple_store *op, unsigned int level)
{
	op->right.node[level] = op->left.node[level];
	op->right.slot[level] = op->right.keep[level] = op->left.slot[level];
}

void edge_find_right(struct maple_store *op)
{
	op->one_way = !op->left.bent && op->last <= op->left.upper;
	if (!op->one_way) {
		edge_find(op, &op->right, op->last);
		return;
	}
	op->right.bent = 0;
	right_from_left(op, 0);
	if (op->root->level)
		right_from_left(op, 1);
	if (!edge_entry(op) || ((maple_leaf *)op->left.node[0])->last[op->left.slot[0]] < op->last)
		op->right.slot[0] = leaf_search(op->left.node[0], op->last);
}

/* A change that reaches above the leaves' parents, which is rare, needs the rest. */
void edge_complete_right(struct maple_store *op)
{
	if (op->one_way)
		for (unsigned int level = 2; level <= op->root->level; level++)
			right_from_left(op, level);
}

void *edge_entry(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left.node[0];
	int i = op->left.slot[0];

	return i >= 0 && leaf->last[i] >= op->first ? leaf->slot[i] : NULL;
}

void *edge_load(const struct edge *edge, unsigned long index)
{
	const maple_leaf *leaf = edge->node[0];
	int i = leaf_search(leaf, index);

	return i >= 0 && leaf->last[i] >= index ? leaf->slot[i] : NULL;
}

bool edge_find_entry(const struct edge *edge, unsigned long first, unsigned long last, void **entry)
{
	const maple_leaf *leaf = edge->node[0];
	int i = leaf_search(leaf, first);

	if (i < 0 || leaf->last[i] < first)
		i++;
	while (i < leaf->head.count && !leaf->slot[i])
		i++;
	if (i < leaf->head.count) {
		*entry = leaf->start[i] <= last ? leaf->slot[i] : NULL;
		return true;
	}
	*entry = NULL;
	return last <= edge->upper;
}

bool edge_valid(const struct maple_store *op)
{
	const struct edge *edge = &op->left;
	const void *node;

	if (!edge->known)
		return true;
	if (!root_is_node(op->mt->ma_root) || op->root != root_node(op->mt->ma_root))
		return false;
	node = op->root;
	for (unsigned int level = op->root->level; level; level--) {
		const maple_inner *inner = node;

		if (edge->node[level] != node || edge->keep[level] != edge->slot[level] ||
		    inner_search(inner, edge->lower) != edge->slot[level] ||
		    inner_search(inner, edge->upper) != edge->slot[level])
			return false;
		node = inner->slot[edge->slot[level]];
	}
	return node && node == edge->node[0];
}

/* The first entry that the range overlaps, or NULL. The left edge is known. */
void *first_entry(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left.node[0];
	MA_STATE(mas, op->mt, op->first, op->first);
	unsigned long from = op->first;
	int i = op->left.slot[0];

	if (edge_entry(op))
		return edge_entry(op);
	for (i++; i < leaf->head.count && leaf->start[i] <= op->last; i++)
		if (leaf->slot[i])
			return leaf->slot[i];
	if (i < leaf->head.count)
		return NULL;
	struct found found = walk_up(&mas, &from);

	return found.entry && found.first <= op->last ? found.entry : NULL;
}
