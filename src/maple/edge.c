/* SPDX-License-Identifier: MIT */
/*
 * Paths to the two ends of a range, and lookups by a path that is known.
 *
 * An index may lead to an empty slot. The path then takes the nearest live child of that node (a
 * detour). A store that made a detour builds the node without its empty slots, so that readers
 * find that child too.
 *
 * The tree's lock is held.
 */
#include "maple/store.h"
#include "maple/walk.h"

/* One step down: to the child that index leads to, else its left neighbour, else its right one. */
static void *path_step(struct maple_path *path, unsigned int level, unsigned long index)
{
	const maple_inner *inner = path->node[level];
	int i = inner_search(inner, index);

	if (unlikely(!inner->slot[i])) {
		int below = live_below(inner, i);

		if (path->state == MAPLE_PATH_EXACT) {
			path->state = MAPLE_PATH_DETOUR;
			path->exact_above = level + 1;
		}
		i = below >= 0 ? below : live_above(inner, i);
	}
	path->slot[level] = i;
	if (i)
		path->lower = inner->key[i];
	if (i + 1 < inner->head.count)
		path->upper = inner->key[i + 1] - 1;
	return inner->slot[i];
}

/* From the root to the leaf. The slot of the leaf that index falls into. */
static int path_find(const struct maple_tree *mt, struct maple_path *path, unsigned long index)
{
	maple_head *root = root_node(mt->ma_root);
	void *node = root;

	path->state = MAPLE_PATH_EXACT;
	path->exact_above = 0;
	path->top = root->level;
	path->lower = 0;
	path->upper = ULONG_MAX;
	for (unsigned int level = path->top; level; level--) {
		path->node[level] = node;
		inner_prefetch(node);
		node = path_step(path, level, index);
		if (tree_tracks_gaps(mt))
			__builtin_prefetch(extent_of(path->node[level], path->slot[level]));
	}
	path->node[0] = node;
	leaf_prefetch(node);
	return leaf_search(node, index);
}

int edge_find_left(struct maple_writer *writer, unsigned long index)
{
	if (maple_writer_covers(writer, index))
		return leaf_search(writer->path.node[0], index);
	return path_find(writer->mt, &writer->path, index);
}

void edge_find_right(struct maple_store *op)
{
	const maple_leaf *leaf = op->left->node[0];
	const unsigned long last = op->request->last;
	const int i = op->slot.left;

	if (op->left->state != MAPLE_PATH_EXACT || last > op->left->upper) {
		op->right = &op->right_path;
		op->slot.right = path_find(op->mt, &op->right_path, last);
		return;
	}
	op->right = op->left;
	op->slot.right = leaf_entry(leaf, i, last) ? i : leaf_search(leaf, last);
}

/*
 * The first live entry of the leaf that ends at or above first, where first falls into slot i. NULL
 * into *entry where it starts above last. False: the leaf has no such entry.
 */
static inline bool first_in_leaf(const maple_leaf *leaf, int i, unsigned long first,
				 unsigned long last, void **entry)
{
	*entry = NULL;
	if (i < 0 || leaf->last[i] < first)
		i++;
	while (i < leaf->head.count && !leaf->slot[i])
		i++;
	if (i >= leaf->head.count)
		return false;
	if (leaf->start[i] <= last)
		*entry = leaf->slot[i];
	return true;
}

void *edge_first_entry(struct maple_writer *writer, unsigned long first, unsigned long last)
{
	MA_STATE(mas, writer->mt, first, first);
	void *root = writer->mt->ma_root, *entry;
	unsigned long from = first;
	struct found found;
	int i;

	if (!root_is_node(root))
		return first ? NULL : root;
	i = edge_find_left(writer, first);
	if (first_in_leaf(writer->path.node[0], i, first, last, &entry))
		return entry;
	found = walk_up(&mas, &from);
	return found.entry && found.first <= last ? found.entry : NULL;
}

void *maple_path_load(const struct maple_path *path, unsigned long index)
{
	const maple_leaf *leaf = path->node[0];

	return leaf_entry(leaf, leaf_search(leaf, index), index);
}

bool maple_path_find(const struct maple_path *path, unsigned long first, unsigned long last,
		     void **entry)
{
	const maple_leaf *leaf = path->node[0];

	return first_in_leaf(leaf, leaf_search(leaf, first), first, last, entry) ||
	       last <= path->upper;
}

void *maple_writer_seek(struct maple_writer *writer, unsigned long index)
{
	void *root = writer->mt->ma_root;
	int i;

	if (!root_is_node(root))
		return index ? NULL : root;
	i = edge_find_left(writer, index);
	return leaf_entry(writer->path.node[0], i, index);
}

bool maple_writer_valid(const struct maple_writer *writer)
{
	const struct maple_path *path = &writer->path;
	const void *root = writer->mt->ma_root, *node;

	if (path->state != MAPLE_PATH_EXACT)
		return true;
	if (!root_is_node(root) || path->top != root_node(root)->level)
		return false;
	node = root_node(root);
	for (unsigned int level = path->top; level; level--) {
		const maple_inner *inner = node;

		if (path->node[level] != node ||
		    inner_search(inner, path->lower) != path->slot[level] ||
		    inner_search(inner, path->upper) != path->slot[level])
			return false;
		node = inner->slot[path->slot[level]];
	}
	return node && node == path->node[0];
}
