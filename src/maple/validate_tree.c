/* SPDX-License-Identifier: MIT */
/*
 * Checking the invariants of node.h, and counting nodes and entries.
 *
 * The tree's lock is held.
 */
#include <errno.h>

#include "base/report.h"
#include "maple/node.h"

/* A node, with the level and the indices that follow from its parent. */
struct place {
	const struct maple_tree *mt;
	const maple_head *node;
	unsigned int level;
	unsigned long min, max; /* indices that lead here */
	struct samara_report *out;
};

static int broken(const struct place *place, const char *invariant, int slot)
{
	return report_broken(place->out, invariant,
			     "%s: node %p of level %u, slot %d, indices %lx..%lx", invariant,
			     (const void *)place->node, place->level, slot, place->min, place->max);
}

static int check_head(const struct place *place)
{
	const maple_head *node = place->node;
	unsigned int slots = place->level ? INNER_SLOTS : LEAF_SLOTS;

	if (node->level != place->level)
		return broken(place, "level", -1);
	if (node->dead)
		return broken(place, "dead", -1);
	if (!node->count || node->count > slots)
		return broken(place, "count", -1);
	return 0;
}

static int check_live(const struct place *place, unsigned int live)
{
	if (live != place->node->live)
		return broken(place, "count", -1);
	return live ? 0 : broken(place, "live", -1);
}

static int check_leaf(const struct place *place)
{
	const maple_leaf *leaf = (const maple_leaf *)place->node;
	unsigned int live = 0;

	for (unsigned int i = 0; i < LEAF_SLOTS; i++) {
		if (i >= leaf->head.count) {
			if (leaf->start[i] != ULONG_MAX)
				return broken(place, "padding", (int)i);
			continue;
		}
		if (leaf->start[i] > leaf->last[i] || (i && leaf->start[i] <= leaf->last[i - 1]))
			return broken(place, "order", (int)i);
		if (leaf->start[i] < place->min || leaf->last[i] > place->max)
			return broken(place, "range", (int)i);
		live += leaf->slot[i] != NULL;
	}
	return check_live(place, live);
}

static int check_node(const struct place *place);

static int check_child(const struct place *place, unsigned int i)
{
	const maple_inner *inner = (const maple_inner *)place->node;
	struct place child = *place;
	struct extent said, is;
	int err;

	child.node = inner->slot[i];
	child.level = place->level - 1;
	if (i)
		child.min = inner->key[i];
	if (i + 1u < inner->head.count)
		child.max = inner->key[i + 1] - 1;
	err = check_node(&child);
	if (err || !tree_tracks_gaps(place->mt))
		return err;
	said = *extent_of(inner, i);
	is = node_extent(child.node);
	if (said.lo != is.lo || said.hi != is.hi || said.gap != is.gap)
		return broken(place, "gap", (int)i);
	return 0;
}

static int check_inner(const struct place *place)
{
	const maple_inner *inner = (const maple_inner *)place->node;
	unsigned int live = 0;

	for (unsigned int i = 0; i < INNER_SLOTS; i++) {
		unsigned long below = i > 1 ? inner->key[i - 1] : place->min;

		if (i >= inner->head.count) {
			if (inner->key[i] != ULONG_MAX)
				return broken(place, "padding", (int)i);
			continue;
		}
		if (i && (inner->key[i] <= below || inner->key[i] > place->max))
			return broken(place, "order", (int)i);
		if (inner->slot[i]) {
			int err = check_child(place, i);

			if (err)
				return err;
			live++;
		}
	}
	return check_live(place, live);
}

static int check_node(const struct place *place)
{
	int err = check_head(place);

	if (err)
		return err;
	return place->level ? check_inner(place) : check_leaf(place);
}

int samara_mtree_validate(const struct maple_tree *mt, struct samara_report *out)
{
	const void *root = mt->ma_root;
	struct place place = { .mt = mt, .max = ULONG_MAX, .out = out };

	if (!root_is_node(root))
		return 0;
	place.node = root_node(root);
	place.level = place.node->level;
	if (place.level > MAX_LEVEL)
		return broken(&place, "level", -1);
	if (place.level && place.node->live < 2)
		return broken(&place, "root", -1);
	return check_node(&place);
}

static void count_below(const struct maple_tree *mt, const maple_head *node,
			struct samara_tree_stats *stats)
{
	const maple_inner *inner = (const maple_inner *)node;

	stats->nodes++;
	stats->bytes += node_bytes(mt, node->level);
	if (!node->level) {
		stats->leaves++;
		stats->entries += node->live;
		stats->erased += (unsigned long)(node->count - node->live);
		return;
	}
	for (unsigned int i = 0; i < node->count; i++)
		if (inner->slot[i])
			count_below(mt, inner->slot[i], stats);
}

void samara_mtree_stats(const struct maple_tree *mt, struct samara_tree_stats *out)
{
	const void *root = mt->ma_root;

	*out = (struct samara_tree_stats){ .entries = root && !root_is_node(root) };
	if (!root_is_node(root))
		return;
	out->levels = root_node(root)->level + 1u;
	count_below(mt, root_node(root), out);
}

unsigned int samara_mt_height(const struct maple_tree *mt)
{
	const void *root = rcu_dereference(mt->ma_root);

	return root_is_node(root) ? root_node(root)->level + 1u : 0;
}
