/* SPDX-License-Identifier: MIT */
/*
 * Moving a cursor from entry to entry (walk.h has the picture).
 *
 * Within a leaf a step is a look at the next slot, between leaves a climb to
 * the first ancestor that has more: nothing goes back to the root unless the
 * leaf or its parent is dead. Ancestors above may be dead without harm: what has
 * been stored since next to a leaf went into the leaf, into a successor of it,
 * or into a new leaf beside it, for which their parent had to be built anew.
 */
#include "maple/walk.h"

enum direction { DOWN = -1, UP = 1 };

static maple_inner *path_node(const struct ma_state *mas, unsigned int level)
{
	return mas->path[level - 1];
}

/* The indices that lead to the leaf: the nearest key on the way up, on either side. */
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

/*
 * Leaves lie anywhere in memory: ask for one to come while this one is read. It
 * may be a child of the next parent.
 */
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
 * To the next leaf in a direction: climb to where there is one, then down its
 * near side. False: there is none, and the cursor is unpositioned.
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
			continue; /* cut off just now: look on */
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

/* From the root to the leaf that index leads to, or, where nothing is, to the next one. */
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

/* No leaf, or one that is not the whole truth any more about what it is next to. */
static bool is_stale(const struct ma_state *mas)
{
	return !mas->node || unlikely(node_is_dead(&mas->node->head)) ||
	       (mas->depth && unlikely(node_is_dead(mas->path[0])));
}

/* What a tree without nodes answers: the entry of 0..0, if it has one. */
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

/* Having walked to index: the first index from there on that no entry below it covers. */
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
 * The slot is loaded before leaf_start(), while load() in mtree.c does it the other way round. A
 * leaf that grows gets slot and last first, then start (release). offset comes from a start that
 * was seen, but perhaps by leaf_search(), which orders nothing, so the slot that is loaded here may
 * be older than that start.
 *   - It is NULL then, and the entry is passed over: the walk came before the store. It may say
 *     so: a reader that comes after the store, or has seen the entry, finds it by coherence.
 *   - If it is an entry, leaf_start() reads the start that was seen (it is written once) and
 *     acquires what the writer stored before it, last among that; so the three belong together.
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
