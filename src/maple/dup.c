/* SPDX-License-Identifier: MIT */
/*
 * Whole trees: duplicating and destroying.
 *
 * A duplicate has the same nodes, thin ones and erased entries included. Nothing is searched or
 * balanced. Its root pointer publishes it. When a node is refused, the copied nodes are freed and
 * the new tree stays empty.
 */
#include <string.h>

#include "maple/store.h"

/* Free the nodes of a copy that was never published. */
static void copy_drop(const struct maple_tree *mt, void *node)
{
	maple_head *head = node;

	if (head->level) {
		maple_inner *inner = node;

		for (unsigned int i = 0; i < head->count; i++)
			if (inner->slot[i])
				copy_drop(mt, inner->slot[i]);
	}
	node_free(mt, node);
}

static void *copy_node(const struct maple_tree *mt, const maple_head *from)
{
	void *node = node_alloc(mt, from->level);

	if (node)
		memcpy(node, from, node_bytes(mt, from->level));
	return node;
}

static void *copy_below(const struct maple_tree *mt, const maple_head *from)
{
	maple_inner *inner;

	if (!from->level)
		return copy_node(mt, from);
	inner = copy_node(mt, from);
	if (!inner)
		return NULL;
	for (unsigned int i = 0; i < from->count; i++) {
		void *child = inner->slot[i];

		if (!child)
			continue;
		if (i + 1u < from->count && inner->slot[i + 1])
			__builtin_prefetch(inner->slot[i + 1]);
		inner->slot[i] = copy_below(mt, child);
		if (!inner->slot[i]) {
			/* The slots from i on still point into the old tree. */
			memset(&inner->slot[i], 0, (from->count - i) * sizeof(inner->slot[0]));
			copy_drop(mt, inner);
			return NULL;
		}
	}
	return inner;
}

int samara_mt_dup(struct maple_tree *mt, struct maple_tree *new_, gfp_t gfp)
{
	void *root = mt->ma_root;

	(void)gfp;
	if (mt->ma_flags != new_->ma_flags || new_->ma_root)
		return -EINVAL;
	if (root_is_node(root)) {
		root = copy_below(new_, root_node(root));
		if (!root)
			return -ENOMEM;
		root = root_tag(root);
	}
	rcu_assign_pointer(new_->ma_root, root);
	return 0;
}

int samara_mtree_dup(struct maple_tree *mt, struct maple_tree *new_, gfp_t gfp)
{
	int err;

	samara_mtree_lock(new_);
	samara_mtree_lock_nested(mt);
	err = samara_mt_dup(mt, new_, gfp);
	samara_mtree_unlock(mt);
	samara_mtree_unlock(new_);
	return err;
}

void samara_mt_destroy(struct maple_tree *mt)
{
	void *root = mt->ma_root;

	rcu_assign_pointer(mt->ma_root, NULL);
	if (root_is_node(root))
		subtree_retire(mt, root_node(root));
}

void samara_mtree_destroy(struct maple_tree *mt)
{
	samara_mtree_lock(mt);
	samara_mt_destroy(mt);
	samara_mtree_unlock(mt);
}
