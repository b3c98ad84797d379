/* SPDX-License-Identifier: MIT */
/*
 * Moving a cursor from entry to entry (walk.h has the picture).
 *
 * Within a leaf a step looks at the next slot. Between leaves it climbs to the first ancestor that
 * has another child on that side. It starts at the root only if the leaf or its parent is dead.
 *
 * A dead ancestor above the parent does no harm. A store beside the leaf changes the leaf, replaces
 * the leaf, or puts a new leaf beside it. The second marks the leaf dead. The third replaces the
 * parent and marks it dead.
 */
#include "maple/walk.h"

enum direction { DOWN = -1, UP = 1 };

static maple_inner *path_node(const struct ma_state *mas, unsigned int level)
{
	return mas->path[level - 1];
}

/* The indices that lead to the leaf: on either side the nearest key of an ancestor. */
static void set_bounds(struct ma_state *mas)
{
	unsigned int level;

	mas->min = 0;
	mas->max = ULONG_MAX;
	for (level = 1; level <= mas->depth; level++) {
		if (mas->slots[level - 1]) {
			mas->min = path_node(mas, level)->key[mas->slots[level - 1]];
			break;
		}
	}
	for (level = 1; level <= mas->depth; level++) {
		const maple_inner *inner = path_node(mas, level);
		int next = mas->slots[level - 1] + 1;

		if (next < inner->head.count) {
			mas->max = inner->key[next] - 1;
			break;
		}
	}
}

static void arrive(struct ma_state *mas, maple_leaf *leaf, int offset)
{
	mas->node = leaf;
	mas->offset = (unsigned char)max(offset, 0);
	set_bounds(mas);
}

/* Prefetch the leaf that comes six steps later. It may be a child of the next parent. */
static void prefetch_beyond(const struct ma_state *mas, const maple_inner *inner, int i,
			    enum direction dir)
{
	const char *leaf;

	i += 6 * (int)dir;
	if (unlikely(i < 0 || i >= inner->head.count)) {
		const maple_inner *above = mas->depth > 1 ? path_node(mas, 2) : NULL;
		int next = mas->slots[1] + (int)dir;

		i -= dir == UP ? inner->head.count : 0;
		inner = above && next >= 0 && next < above->head.count ?
				slot_load(&above->slot[next]) :
				NULL;
		if (!inner)
			return;
		i += dir == UP ? 0 : inner->head.count;
		if (i < 0 || i >= inner->head.count)
			return;
	}
	leaf = slot_load(&inner->slot[i]);
	for (size_t at = 0; leaf && at < sizeof(maple_leaf); at += 64)
		__builtin_prefetch(leaf + at, 0, 2);
}

/*
 * To the next leaf in a direction: up to an ancestor that has another child there, then down that
 * child's near side. False: there is no leaf, and the cursor has lost its position.
 */
static bool step_leaf(struct ma_state *mas, unsigned int level, enum direction dir)
{
	while (level <= mas->depth) {
		maple_inner *inner = path_node(mas, level);
		int i = mas->slots[level - 1];
		maple_head *child;

		i = dir == UP ? live_above(inner, i) : live_below(inner, i);
		if (i < 0 || i >= inner->head.count) {
			level++;
			continue;
		}
		mas->slots[level - 1] = (signed char)i;
		child = slot_load(&inner->slot[i]);
		if (unlikely(!child))
			continue; /* a writer has just cut it off */
		if (level == 1) {
			arrive(mas, (maple_leaf *)child,
			       dir == UP ? 0 : leaf_count((maple_leaf *)child) - 1);
			prefetch_beyond(mas, inner, i, dir);
			return true;
		}
		level--;
		mas->path[level - 1] = child;
		mas->slots[level - 1] = dir == UP ? -1 : (signed char)child->count;
	}
	walk_forget(mas);
	return false;
}

/* From the root to the leaf that index leads to, or from an empty slot to the next leaf. */
static bool seek(struct ma_state *mas, unsigned long index, enum direction dir)
{
	void *root = rcu_dereference(mas->tree->ma_root);
	maple_head *node;

	walk_forget(mas);
	if (!root_is_node(root))
		return false;
	node = root_node(root);
	mas->depth = node->level;
	for (unsigned int level = node->level; level; level--) {
		maple_inner *inner = (maple_inner *)node;
		int i = inner_search(inner, index);

		mas->path[level - 1] = inner;
		mas->slots[level - 1] = (signed char)i;
		node = slot_load(&inner->slot[i]);
		if (unlikely(!node))
			return step_leaf(mas, level, dir);
	}
	arrive(mas, (maple_leaf *)node, leaf_search((maple_leaf *)node, index));
	return true;
}

/* The cursor has no leaf, or an entry beside it may be in other nodes. */
static bool is_stale(const struct ma_state *mas)
{
	return !mas->node || unlikely(node_is_dead(&mas->node->head)) ||
	       (mas->depth && unlikely(node_is_dead(mas->path[0])));
}

/* The result in a tree without nodes: the entry of 0..0, or none. */
static struct found root_entry(const struct ma_state *mas)
{
	void *root = rcu_dereference(mas->tree->ma_root);

	return (struct found){ .entry = root_is_node(root) ? NULL : root };
}

static struct found found_at(struct ma_state *mas, int i, void *entry)
{
	mas->offset = (unsigned char)i;
	mas->end = (unsigned char)leaf_count(mas->node);
	return (struct found){ entry, mas->node->start[i], mas->node->last[i] };
}

/* After a walk to index: index, or the index behind an entry that starts below and covers it. */
static unsigned long beyond_cover(const struct ma_state *mas, unsigned long index)
{
	const maple_leaf *leaf = mas->node;
	int i = mas->offset;

	if (i < leaf_count(leaf) && leaf->start[i] < index && leaf->last[i] >= index &&
	    slot_load(&leaf->slot[i]))
		return leaf->last[i] + 1;
	return index;
}

struct found walk_up(struct ma_state *mas, unsigned long *index)
{
	unsigned long first = *index;
	bool here = !is_stale(mas);

	for (;; here = false) {
		bool anew = !here && is_stale(mas);
		const maple_leaf *leaf;
		int i;

		if (!here && !(anew ? seek(mas, first, UP) : step_leaf(mas, 1, UP)))
			return first ? (struct found){ .entry = NULL } : root_entry(mas);
		if (anew)
			*index = beyond_cover(mas, first);
		if (*index < first)
			return (struct found){ .entry = NULL };
		leaf = mas->node;
		for (i = mas->offset; i < leaf_count(leaf); i++) {
			void *entry = slot_load(&leaf->slot[i]);

			if (!entry || leaf->start[i] < *index)
				continue;
			if (is_stale(mas))
				break;
			return found_at(mas, i, entry);
		}
	}
}

/*
 * This loads the slot before leaf_start(). load() in mtree.c does it the other way round. Both are
 * right in C11 terms.
 *
 * store_at_end() writes last, then slot, then start (release). leaf_search() may have read the new
 * start by a relaxed load, which orders no other load. The slot that is loaded here may therefore
 * still be NULL.
 *   - NULL: the walk passes the entry over, as if it had run before the store. That is allowed. If
 *     the store happens before this walk, or this thread has read the entry once, coherence
 *     (C11 5.1.2.4) makes the load return the entry or a later value.
 *   - The entry: start is written once, so leaf_start() reads the same value again (read-read
 *     coherence). This load is an acquire and synchronizes with the release of start. The stores
 *     of last and slot happen before the loads that follow.
 */
struct found walk_down(struct ma_state *mas, unsigned long index)
{
	bool here = !is_stale(mas);

	for (;; here = false) {
		bool anew = !here && is_stale(mas);
		const maple_leaf *leaf;
		int i;

		if (!here && !(anew ? seek(mas, index, DOWN) : step_leaf(mas, 1, DOWN)))
			return root_entry(mas);
		leaf = mas->node;
		for (i = mas->offset; i >= 0; i--) {
			void *entry = slot_load(&leaf->slot[i]);

			if (!entry || leaf_start(leaf, i) > index)
				continue;
			if (is_stale(mas))
				break;
			return found_at(mas, i, entry);
		}
	}
}
