/* SPDX-License-Identifier: MIT */
/*
 * Erasing whole entries. It needs no memory and cannot fail.
 *
 *   [ *  *  *  *  * ]
 *        |     -
 *     [ - A - - ]
 *
 * An entry is erased by NULL in its slot. Where it is the only entry of a subtree (A), it is erased
 * by NULL in the slot that leads to the subtree. Either is one pointer store: a reader sees the
 * entry whole or not at all. Thin nodes stay. The next store beside them joins them with their
 * neighbours.
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

/* Replace an inner root that has one child by that child, and a root that has no child by NULL. */
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

/* Erase slot i of the leaf. */
static void erase_slot(struct maple_writer *writer, int i)
{
	struct maple_tree *mt = writer->mt;
	struct maple_path *path = &writer->path;
	maple_leaf *leaf = path->node[0];
	unsigned int level;

	if (leaf->head.live > 1) {
		slot_publish(&leaf->slot[i], NULL);
		leaf->head.live--;
		extents_slot_changed(mt, path, i);
		return;
	}
	/* The leaf's last entry, perhaps its parents' too: cut below a node that has more. */
	for (level = 1; level <= path->top; level++)
		if (((maple_head *)path->node[level])->live > 1)
			break;
	maple_writer_forget(writer);
	if (level > path->top) {
		rcu_assign_pointer(mt->ma_root, NULL);
		subtree_retire(mt, path->node[path->top]);
		return;
	}
	forget_child(mt, path->node[level], path->slot[level]);
	extents_update(mt, path, level);
	if (level == path->top)
		root_collapse(mt);
}

void *maple_writer_erase(struct maple_writer *writer, unsigned long index)
{
	void *root = writer->mt->ma_root, *entry;
	int i;

	if (!root_is_node(root)) {
		if (index)
			return NULL;
		rcu_assign_pointer(writer->mt->ma_root, NULL);
		return root;
	}
	i = edge_find_left(writer, index);
	entry = leaf_entry(writer->path.node[0], i, index);
	if (entry)
		erase_slot(writer, i);
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

/* Erase the entries inside first..last below a node. Its children that become empty are cut off. */
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

/* How many live entries of the leaf begin in first..last. */
static unsigned int live_between(const maple_leaf *leaf, unsigned long first, unsigned long last)
{
	unsigned int live = 0;

	for (unsigned int i = 0; i < leaf->head.count && leaf->start[i] <= last; i++)
		live += leaf->slot[i] && leaf->start[i] >= first;
	return live;
}

void erase_between(struct maple_store *op)
{
	const unsigned long first = op->request->first, last = op->request->last;
	struct maple_path *path = op->left;
	maple_leaf *leaf = path->node[0];

	if (leaf == op->right->node[0] && live_between(leaf, first, last) < leaf->head.live) {
		clear_leaf(leaf, first, last);
		extents_update(op->mt, path, 0);
		return;
	}
	clear_below(op->mt, path->node[path->top], first, last);
	root_collapse(op->mt);
	path->state = MAPLE_PATH_UNKNOWN;
}
