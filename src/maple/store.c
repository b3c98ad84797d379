/* SPDX-License-Identifier: MIT */
/*
 * One store. Where a slot has exactly the range, the entry is written into it. Else new nodes are
 * built and then published (store.h has the picture).
 *
 * The tree's lock is held throughout.
 */
#include "maple/store.h"

static void op_begin(struct maple_store *op, struct maple_writer *writer,
		     const struct maple_request *request)
{
	op->request = request;
	op->mt = writer->mt;
	op->left = &writer->path;
	op->fresh.n = 0;
	op->old.n = 0;
	op->made = NULL;
}

/* Slot i, live or erased, has exactly the range of the request. */
static bool is_exact(const maple_leaf *leaf, int i, const struct maple_request *request)
{
	return i >= 0 && leaf->start[i] == request->first && leaf->last[i] == request->last;
}

static void store_in_slot(struct maple_writer *writer, int i, void *entry)
{
	maple_leaf *leaf = writer->path.node[0];
	bool was_erased = !leaf->slot[i];

	slot_publish(&leaf->slot[i], entry);
	if (was_erased) {
		leaf->head.live++;
		extents_slot_changed(writer->mt, &writer->path, i);
	}
}

/* Whether an end of the range lies inside an entry, so that a piece of the entry stays. */
static bool cuts_entry(const struct maple_store *op)
{
	const maple_leaf *left = op->left->node[0], *right = op->right->node[0];
	const unsigned long first = op->request->first, last = op->request->last;
	int l = op->slot.left, r = op->slot.right;

	if (l >= 0 && left->slot[l] && left->start[l] < first && left->last[l] >= first)
		return true;
	return r >= 0 && right->slot[r] && right->last[r] > last;
}

/* From this level up both edges are one path without a detour. */
static bool edges_meet(const struct maple_store *op, unsigned int level)
{
	const struct maple_path *left = op->left, *right = op->right;

	return left == right || (left->node[level] == right->node[level] &&
				 left->slot[level] == right->slot[level] &&
				 level >= left->exact_above && level >= right->exact_above);
}

/* One fresh node replaces one child of this level's node: this level and those above stay. */
static bool can_swap(const struct maple_store *op, unsigned int level)
{
	return op->fresh.n == 1 && op->fresh.replaced == EDGES_REPLACED && edges_meet(op, level);
}

/* The leaf has a slot behind its last entry, and the range comes behind that entry. */
static bool fits_at_end(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left->node[0];

	return leaf->head.count < LEAF_SLOTS && comes_last(op);
}

/* A reader that sees start sees the entry; a reader that does not see it finds padding. */
static void store_at_end(struct maple_store *op)
{
	maple_leaf *leaf = op->left->node[0];
	unsigned char end = leaf->head.count;

	leaf->last[end] = op->request->last;
	slot_publish(&leaf->slot[end], op->request->entry);
	smp_store_release(&leaf->start[end], op->request->first);
	smp_store_release(&leaf->head.count, end + 1);
	leaf->head.live++;
	extents_slot_changed(op->mt, op->left, end);
}

static int build(struct maple_store *op)
{
	const unsigned int top = op->left->top;
	unsigned int level;
	int err = build_leaves(op);

	for (level = 1; !err && level <= top; level++) {
		if (can_swap(op, level)) {
			op->swap.node = op->left->node[level];
			op->swap.level = level;
			return 0;
		}
		err = build_inner(op, level);
	}
	for (; !err && op->fresh.n > 1; level++)
		err = build_inner(op, level);
	op->swap.node = NULL;
	op->swap.level = top;
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

/* The subtrees between the edges, which no pointer leads to any more. */
static void retire_between(const struct maple_store *op, unsigned int level)
{
	maple_inner *left = op->left->node[level], *right = op->right->node[level];
	int end = left == right ? op->right->slot[level] : left->head.count;

	for (int i = op->left->slot[level] + 1; i < end; i++)
		if (left->slot[i])
			subtree_retire(op->mt, left->slot[i]);
	if (left == right)
		return;
	for (int i = 0; i < op->right->slot[level]; i++)
		if (right->slot[i])
			subtree_retire(op->mt, right->slot[i]);
}

static void retire_old(struct maple_store *op)
{
	if (op->left != op->right)
		for (unsigned int level = 1; level <= op->swap.level; level++)
			retire_between(op, level);
	for (unsigned int i = 0; i < op->old.n; i++)
		node_retire(op->mt, op->old.node[i]);
}

/* The point of no return: one child is swapped, or the root. */
static void publish(struct maple_store *op)
{
	struct maple_path *path = op->left;
	const struct child *fresh = op->fresh.child;
	const unsigned int level = op->swap.level;

	if (op->swap.node) {
		slot_publish(&op->swap.node->slot[path->slot[level]], fresh->node);
		extents_child_changed(op->mt, path, level - 1, fresh->extent);
		retire_old(op);
	} else {
		rcu_assign_pointer(op->mt->ma_root, op->fresh.n ? root_tag(fresh->node) : NULL);
		retire_old(op);
		root_collapse(op->mt);
	}
	/* Where one leaf replaced one leaf, the path above it is as it was. */
	if (op->swap.node && level == 1)
		path->node[0] = fresh->node;
	else
		path->state = MAPLE_PATH_UNKNOWN;
}

/* The first leaf of a tree that has no node. root_entry: the entry of 0..0, or NULL. */
static maple_leaf *build_first_leaf(struct maple_store *op, void *root_entry)
{
	const struct maple_request *request = op->request;
	maple_leaf *leaf = made_node(op, 0);
	unsigned int n = 0;

	if (!leaf)
		return NULL;
	if (root_entry && request->first > 0) {
		leaf->start[n] = leaf->last[n] = 0;
		leaf->slot[n++] = root_entry;
	}
	leaf->start[n] = request->first;
	leaf->last[n] = request->last;
	leaf->slot[n++] = request->entry;
	leaf->head.count = leaf->head.live = (unsigned char)n;
	for (; n < LEAF_SLOTS; n++)
		leaf->start[n] = ULONG_MAX;
	return leaf;
}

/* The result needs no node: it is empty, or an entry of 0..0 that does not look like a node. */
static bool fits_root(const struct maple_request *request)
{
	return !request->entry || (request->last == 0 && !root_is_node(request->entry));
}

static int store_without_nodes(struct maple_writer *writer, const struct maple_request *request)
{
	struct maple_tree *mt = writer->mt;
	struct maple_store op;
	maple_leaf *leaf;

	if (fits_root(request)) {
		if (request->entry || request->first == 0)
			rcu_assign_pointer(mt->ma_root, request->entry);
		return 0;
	}
	op_begin(&op, writer, request);
	leaf = build_first_leaf(&op, mt->ma_root);
	if (!leaf)
		return -ENOMEM;
	rcu_assign_pointer(mt->ma_root, root_tag(leaf));
	return 0;
}

int maple_writer_store(struct maple_writer *writer, const struct maple_request *request)
{
	void *root = writer->mt->ma_root;
	struct maple_store op;
	int slot, err;

	if (unlikely(!root_is_node(root)))
		return store_without_nodes(writer, request);
	slot = edge_find_left(writer, request->first);
	if (request->entry && is_exact(writer->path.node[0], slot, request)) {
		store_in_slot(writer, slot, request->entry);
		return 0;
	}
	op_begin(&op, writer, request);
	op.slot.left = slot;
	edge_find_right(&op);
	if (!request->entry && !cuts_entry(&op)) {
		erase_between(&op);
		return 0;
	}
	if (request->entry && fits_at_end(&op)) {
		store_at_end(&op);
		return 0;
	}
	err = build(&op);
	if (err)
		made_drop(&op);
	else
		publish(&op);
	return err;
}

/* Build what maple_writer_store() would build. Where it builds nothing, neither does this. */
static int rehearse(struct maple_store *op, struct maple_writer *writer)
{
	const struct maple_request *request = op->request;
	void *root = op->mt->ma_root;

	if (!root_is_node(root))
		return fits_root(request) || build_first_leaf(op, root) ? 0 : -ENOMEM;
	op->slot.left = edge_find_left(writer, request->first);
	edge_find_right(op);
	if (request->entry ?
		    is_exact(op->left->node[0], op->slot.left, request) || fits_at_end(op) :
		    !cuts_entry(op))
		return 0;
	return build(op);
}

int maple_rehearse(struct maple_writer *writer, const struct maple_request *request)
{
	struct maple_store op;
	int err;

	op_begin(&op, writer, request);
	err = rehearse(&op, writer);
	if (err) {
		made_drop(&op);
		return err;
	}
	while (op.made) {
		maple_head *head = op.made;

		op.made = head->link[0];
		reserve_put(request->reserve, head);
	}
	return 0;
}
