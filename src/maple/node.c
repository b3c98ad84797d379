/* SPDX-License-Identifier: MIT */
/*
 * Nodes: allocating, freeing, and their extents.
 *
 * A node that readers may still see is retired. It is marked dead, so that a reader walks again
 * from the root, and it is freed after a grace period. Without RCU mode there are no such readers,
 * and it is freed at once.
 */
#include "maple/node.h"

#include "alloc/cache.h"

DEFINE_OBJ_CACHE(leaf_cache, "maple_leaf", sizeof(maple_leaf), 64);
DEFINE_OBJ_CACHE(inner_cache, "maple_inner", sizeof(maple_inner), 64);
DEFINE_OBJ_CACHE(gap_inner_cache, "maple_gap_inner", sizeof(maple_gap_inner), 64);

static struct obj_cache *cache_of(const struct maple_tree *mt, unsigned int level)
{
	if (!level)
		return &leaf_cache;
	return tree_tracks_gaps(mt) ? &gap_inner_cache : &inner_cache;
}

size_t node_bytes(const struct maple_tree *mt, unsigned int level)
{
	if (!level)
		return sizeof(maple_leaf);
	return tree_tracks_gaps(mt) ? sizeof(maple_gap_inner) : sizeof(maple_inner);
}

/* A leaf is not cached after its grace period: prefetch the one that the next store will fill. */
static void prefetch_next(const struct magazine *m)
{
	const char *leaf = m->count ? m->obj[m->count - 1] : NULL;

	for (size_t at = 0; leaf && at < sizeof(maple_leaf); at += 64)
		__builtin_prefetch(leaf + at, 1);
}

/* NULL when refused. Only the level is set. */
void *node_alloc(const struct maple_tree *mt, unsigned int level)
{
	maple_head *head = cache_alloc(cache_of(mt, level));

	if (likely(head)) {
		if (!level)
			prefetch_next(cache_magazine(&leaf_cache));
		head->level = (unsigned char)level;
		head->dead = 0;
	}
	return head;
}

void node_free(const struct maple_tree *mt, void *node)
{
	maple_head *head = node;

	cache_free(cache_of(mt, head->level), head);
}

void node_retire(const struct maple_tree *mt, void *node)
{
	maple_head *head = node;

	smp_store_release(&head->dead, 1);
	if (samara_mt_in_rcu(mt))
		cache_free_rcu(cache_of(mt, head->level), head);
	else
		cache_free(cache_of(mt, head->level), head);
}

void subtree_retire(const struct maple_tree *mt, void *node)
{
	maple_head *head = node;

	if (head->level) {
		maple_inner *inner = node;

		for (unsigned int i = 0; i < head->count; i++)
			if (inner->slot[i])
				subtree_retire(mt, inner->slot[i]);
	}
	node_retire(mt, node);
}

/* The largest gap of a leaf without erased entries. The loop has no branch. */
static unsigned long largest_run(const maple_leaf *leaf)
{
	unsigned long gap = 0;

	for (unsigned int i = 1; i < leaf->head.count; i++)
		gap = max(gap, leaf->start[i] - leaf->last[i - 1] - 1);
	return gap;
}

struct extent leaf_extent(const maple_leaf *leaf)
{
	unsigned int i = 0, count = leaf->head.count;
	struct extent extent = { .gap = 0 };

	if (leaf->head.live == count)
		return (struct extent){ leaf->start[0], leaf->last[count - 1], largest_run(leaf) };
	while (!leaf->slot[i])
		i++;
	extent.lo = leaf->start[i];
	extent.hi = leaf->last[i];
	for (i++; i < count; i++) {
		if (!leaf->slot[i])
			continue;
		extent.gap = max(extent.gap, leaf->start[i] - extent.hi - 1);
		extent.hi = leaf->last[i];
	}
	return extent;
}

/* The largest gap between and in children that are all live. The loop has no branch either. */
static unsigned long largest_gap(const struct extent *child, int count)
{
	unsigned long gap = child->gap;

	for (const struct extent *end = child++ + count; child < end; child++)
		gap = max(gap, max(child->gap, child->lo - child[-1].hi - 1));
	return gap;
}

struct extent inner_extent(const maple_inner *inner)
{
	int i = live_above(inner, -1), count = inner->head.count;
	struct extent extent = *extent_of(inner, i);

	if (inner->head.live == count) {
		extent.gap = largest_gap(extent_of(inner, 0), count);
		extent.hi = extent_of(inner, count - 1)->hi;
		return extent;
	}
	for (i++; i < count; i++) {
		const struct extent *child = extent_of(inner, i);

		if (!inner->slot[i])
			continue;
		extent.gap = max(extent.gap, max(child->gap, child->lo - extent.hi - 1));
		extent.hi = child->hi;
	}
	return extent;
}

struct extent node_extent(const maple_head *head)
{
	return head->level ? inner_extent((const maple_inner *)head) :
			     leaf_extent((const maple_leaf *)head);
}
