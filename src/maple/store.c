/* SPDX-License-Identifier: MIT */
/*
 * One store: in place where the range is a slot's own, else by new nodes that
 * are built first and then published (store.h has the picture).
 *
 * The tree's lock is held throughout.
 */
#include "maple/store.h"

/* The slot whose range is exactly the operation's, erased or not; NULL. */
static void **exact_slot(const struct maple_store *op)
{
	maple_leaf *leaf = op->left.node[0];
	int i = op->left.slot[0];

	if (i >= 0 && leaf->start[i] == op->first && leaf->last[i] == op->last)
		return &leaf->slot[i];
	return NULL;
}

static void store_in_slot(struct maple_store *op, void **slot)
{
	maple_leaf *leaf = op->left.node[0];
	bool was_empty = !*slot;

	slot_publish(slot, op->entry);
	if (was_empty) {
		leaf->head.live++;
		extents_slot_changed(op->mt, &op->left);
	}
}

/* Whether an end of the range lies inside an entry, so that a piece of it stays. */
static bool cuts_entry(const struct maple_store *op)
{
	const maple_leaf *left = op->left.node[0], *right = op->right.node[0];
	int l = op->left.slot[0], r = op->right.slot[0];

	if (l >= 0 && left->slot[l] && left->start[l] < op->first && left->last[l] >= op->first)
		return true;
	return r >= 0 && right->slot[r] && right->last[r] > op->last;
}

/* From here up nothing has to change shape: one child takes the place of one. */
static bool can_swap(const struct maple_store *op, unsigned int level)
{
	return op->n_fresh == 1 && op->left.node[level] == op->right.node[level] &&
	       op->left.keep[level] == op->right.keep[level] &&
	       !((op->left.bent | op->right.bent) >> level);
}

/* There is a slot left behind all others. Filling a tree in order is this. */
static bool fits_at_end(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left.node[0];

	return leaf->head.count < LEAF_SLOTS && comes_last(op);
}

/* A reader that sees start sees the entry; one that does not finds padding. */
static void store_at_end(struct maple_store *op)
{
	maple_leaf *leaf = op->left.node[0];
	unsigned char end = leaf->head.count;

	leaf->last[end] = op->last;
	slot_publish(&leaf->slot[end], op->entry);
	smp_store_release(&leaf->start[end], op->first);
	smp_store_release(&leaf->head.count, end + 1);
	leaf->head.live++;
	op->left.slot[0] = end;
	extents_slot_changed(op->mt, &op->left);
}

static int build(struct maple_store *op)
{
	unsigned int level;
	int err = build_leaves(op);

	for (level = 1; !err && level <= op->root->level; level++) {
		if (can_swap(op, level)) {
			op->at = op->left.node[level];
			op->at_level = level;
			return 0;
		}
		if (level == 1)
			edge_complete_right(op);
		err = build_inner(op, level);
	}
	for (; !err && op->n_fresh > 1; level++)
		err = build_inner(op, level);
	return err;
}

static void made_drop(struct maple_store *op)
{
	while (op->made) {
		maple_head *head = op->made;

		op->made = head->link[0];
		node_free(op->mt, head);
	}
}

/* The subtrees between the edges: nothing leads to them any more. */
static void retire_between(const struct maple_store *op, unsigned int level)
{
	maple_inner *left = op->left.node[level], *right = op->right.node[level];
	int end = left == right ? op->right.slot[level] : left->head.count;

	for (int i = op->left.slot[level] + 1; i < end; i++)
		if (left->slot[i])
			subtree_retire(op->mt, left->slot[i]);
	if (left == right)
		return;
	for (int i = 0; i < op->right.slot[level]; i++)
		if (right->slot[i])
			subtree_retire(op->mt, right->slot[i]);
}

/* The point of no return. */
static void publish(struct maple_store *op)
{
	unsigned int top = op->at ? op->at_level : op->root->level;

	if (op->at) {
		slot_publish(&op->at->slot[op->left.slot[op->at_level]], op->fresh[0].node);
		extents_child_changed(op->mt, &op->left, op->at_level - 1, op->fresh[0].extent);
	} else {
		rcu_assign_pointer(op->mt->ma_root,
				   op->n_fresh ? root_tag(op->fresh[0].node) : NULL);
	}
	for (unsigned int level = 1; level <= top; level++)
		retire_between(op, level);
	for (unsigned int i = 0; i < op->n_old; i++)
		node_retire(op->mt, op->old[i]);
	if (!op->at)
		root_collapse(op->mt);
	/* One leaf for another: the way to it is as it was. */
	if (op->at && op->at_level == 1)
		op->left.node[0] = op->fresh[0].node;
	else
		store_forget(op);
}

/* A tree that has no node yet: at most an entry of 0..0. */
static int build_first_leaf(struct maple_store *op, void *root_entry)
{
	maple_leaf *leaf = made_node(op, 0);
	unsigned int n = 0;

	if (!leaf)
		return -ENOMEM;
	if (root_entry && op->first > 0) {
		leaf->start[n] = leaf->last[n] = 0;
		leaf->slot[n++] = root_entry;
	}
	leaf->start[n] = op->first;
	leaf->last[n] = op->last;
	leaf->slot[n++] = op->entry;
	leaf->head.count = leaf->head.live = (unsigned char)n;
	for (; n < LEAF_SLOTS; n++)
		leaf->start[n] = ULONG_MAX;
	op->fresh[0].node = leaf;
	op->n_fresh = 1;
	return 0;
}

/* The whole tree is one pointer: nothing, or an entry of 0..0 that does not look like a node. */
static bool fits_root(const struct maple_store *op)
{
	return !op->entry || (op->last == 0 && !root_is_node(op->entry));
}

static int store_without_nodes(struct maple_store *op, void *root)
{
	int err;

	if (fits_root(op)) {
		if (op->entry || op->first == 0)
			rcu_assign_pointer(op->mt->ma_root, op->entry);
		return 0;
	}
	err = build_first_leaf(op, root);
	if (!err)
		rcu_assign_pointer(op->mt->ma_root, root_tag(op->fresh[0].node));
	return err;
}

int maple_store(struct maple_store *op)
{
	void *root = op->mt->ma_root, **slot;
	int err;

	if (!root_is_node(root))
		return store_without_nodes(op, root);
	edge_find_left(op);
	slot = exact_slot(op);
	if (slot && op->entry) {
		store_in_slot(op, slot);
		return 0;
	}
	edge_find_right(op);
	if (!op->entry && !cuts_entry(op)) {
		erase_between(op);
		return 0;
	}
	if (op->entry && fits_at_end(op)) {
		store_at_end(op);
		return 0;
	}
	err = build(op);
	if (err) {
		made_drop(op);
		store_forget(op); /* keep[] may have moved */
	} else {
		publish(op);
	}
	return err;
}

int maple_rehearse(struct maple_store *op)
{
	void *root = op->mt->ma_root;
	int err = 0;

	if (!root_is_node(root)) {
		if (!fits_root(op))
			err = build_first_leaf(op, root);
	} else {
		edge_find_left(op);
		edge_find_right(op);
		if (op->entry ? !exact_slot(op) && !fits_at_end(op) : cuts_entry(op))
			err = build(op);
		store_forget(op);
	}
	if (err) {
		made_drop(op);
		return err;
	}
	while (op->made) {
		maple_head *head = op->made;

		op->made = head->link[0];
		reserve_put(op->reserve, head);
	}
	return 0;
}
