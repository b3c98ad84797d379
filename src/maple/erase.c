/* SPDX-License-Identifier: MIT */
/*
 * Erasing whole entries, which needs no memory and cannot fail.
 *
 *   [ *  *  *  *  * ]           an entry: NULL into its slot
 *        |     -                a subtree of nothing else: NULL into the slot
 *     [ - A - - ]               that leads to it
 *
 * Each entry vanishes by one pointer store, alone or with the subtree that it
 * is in; a reader sees it whole or not at all. What stays behind is thin nodes,
 * which the next store beside them joins with their neighbours.
 *
 * The tree's lock is held throughout.
 */
#include "maple/store.h"

static void forget_child(const struct maple_tree *mt, maple_inner *inner, int i)
{
	void *child = inner->slot[i];

	slot_publish(&inner->slot[i], NULL);
	inner->head.live--;
	subtree_retire(mt, child);
}

/* An inner root with one child is replaced by that child, one with none by NULL. */
void root_collapse(struct maple_tree *mt)
{
	while (root_is_node(mt->ma_root)) {
		maple_head *root = root_node(mt->ma_root);
		void *child = NULL;

		if (root->live > 1 || (root->live && !root->level))
			return;
		if (root->live) {
			maple_inner *inner = (maple_inner *)root;

			child = root_tag(inner->slot[live_above(inner, -1)]);
		}
		rcu_assign_pointer(mt->ma_root, child);
		node_retire(mt, root);
	}
}

/* Erase what the left edge leads to. */
static void erase_slot(struct maple_store *op)
{
	struct maple_tree *mt = op->mt;
	const struct edge *edge = &op->left;
	unsigned int top = op->root->level, level;
	maple_leaf *leaf = edge->node[0];

	if (leaf->head.live > 1) {
		slot_publish(&leaf->slot[edge->slot[0]], NULL);
		leaf->head.live--;
		extents_slot_changed(mt, edge);
		return;
	}
	/* The last of its leaf, and perhaps of more: cut where something else lives. */
	for (level = 1; level <= top; level++)
		if (((maple_head *)edge->node[level])->live > 1)
			break;
	store_forget(op);
	if (level > top) {
		rcu_assign_pointer(mt->ma_root, NULL);
		subtree_retire(mt, edge->node[top]);
		return;
	}
	forget_child(mt, edge->node[level], edge->slot[level]);
	extents_update(mt, edge, level);
	if (level == top)
		root_collapse(mt);
}

/* Erase the entry that covers op->first and make its range the operation's; NULL: there is none. */
void *maple_erase(struct maple_store *op)
{
	void *root = op->mt->ma_root, *entry;
	const maple_leaf *leaf;
	int i;

	if (!root_is_node(root)) {
		if (op->first)
			return NULL;
		op->last = 0;
		store_forget(op);
		rcu_assign_pointer(op->mt->ma_root, NULL);
		return root;
	}
	edge_find_left(op);
	entry = edge_entry(op);
	if (!entry)
		return NULL;
	leaf = op->left.node[0];
	i = op->left.slot[0];
	op->first = leaf->start[i];
	op->last = leaf->last[i];
	erase_slot(op);
	return entry;
}

static void clear_leaf(maple_leaf *leaf, unsigned long first, unsigned long last)
{
	for (unsigned int i = 0; i < leaf->head.count && leaf->start[i] <= last; i++) {
		if (leaf->slot[i] && leaf->start[i] >= first) {
			slot_publish(&leaf->slot[i], NULL);
			leaf->head.live--;
		}
	}
}

/*
 * Erase the entries inside first..last below a node; children left empty are cut
 * off, the node itself is not.
 */
static void clear_below(const struct maple_tree *mt, maple_head *head, unsigned long first,
			unsigned long last)
{
	maple_inner *inner = (maple_inner *)head;
	int from, to;

	if (!head->level) {
		clear_leaf((maple_leaf *)head, first, last);
		return;
	}
	from = inner_search(inner, first);
	to = inner_search(inner, last);
	for (int i = from; i <= to; i++) {
		maple_head *child = inner->slot[i];

		if (!child)
			continue;
		if (i == from || i == to) {
			clear_below(mt, child, first, last);
			if (child->live && tree_tracks_gaps(mt))
				*extent_of(inner, i) = node_extent(child);
			if (child->live)
				continue;
		}
		forget_child(mt, inner, i);
	}
}

/* Entries of the leaf that begin in the range. */
static unsigned int live_between(const maple_leaf *leaf, unsigned long first, unsigned long last)
{
	unsigned int live = 0;

	for (unsigned int i = 0; i < leaf->head.count && leaf->start[i] <= last; i++)
		live += leaf->slot[i] && leaf->start[i] >= first;
	return live;
}

void erase_between(struct maple_store *op)
{
	struct maple_tree *mt = op->mt;
	maple_leaf *leaf = op->left.node[0];

	if (leaf == op->right.node[0] &&
	    live_between(leaf, op->first, op->last) < leaf->head.live) {
		clear_leaf(leaf, op->first, op->last);
		extents_update(mt, &op->left, 0);
		return;
	}
	clear_below(mt, op->root, op->first, op->last);
	root_collapse(mt);
	store_forget(op);
}
