/* SPDX-License-Identifier: MIT */
/*
 * The nodes of the range tree.
 *
 *                      tree->ma_root
 *                            |
 *              +-------------v--------------+
 *   inner      | key    0    300   900      |   child i has the entries that start
 *   level 2    | slot   *     *     -       |   in key[i] .. key[i + 1] - 1;
 *              | lo hi gap  of each child   |   a NULL slot: there are none
 *              +-----|------|---------------+
 *                    v      v
 *                  inner  inner                 (level 1)
 *                    |
 *              +-----v----------------------+
 *   leaf       | start  10    40    70      |   entries, ascending;
 *   level 0    | last   19    49    99      |   a NULL slot is an erased entry;
 *              | slot   A     -     B       |   an index that no live entry
 *              +----------------------------+   covers is empty
 *
 * Nodes store entries only. An empty range is a range that no entry covers.
 *   Erasing is one store of NULL into a slot, and needs no memory.
 *   Keys may lie anywhere in an empty range. Nodes are therefore joined and
 *   dropped without a change to their neighbours.
 *   An empty range has no pieces that would have to be joined.
 *
 * What readers may rely on
 *   Once a reader can reach a node, the node changes in three ways only. A slot
 *   changes by one atomic store. dead goes from 0 to 1. A leaf grows at its end:
 *   last and slot are stored first, then start, then count. For any other change
 *   the writer builds new nodes and swaps one pointer.
 *
 * Invariants (maple/validate_tree.c checks them by these names)
 *   level        the children of a node of level n have level n - 1; leaves have level 0
 *   count        1 <= count <= slots of a node of the kind; live = slots that are not NULL
 *   live         live >= 1: a node that becomes empty leaves the tree at once
 *   order        key[1..] ascend; start <= last < next start
 *   range        the entries of a child, erased ones too, lie between its keys
 *   padding      key[] and start[] from count on are ULONG_MAX (the searches need it)
 *   dead         no node of the tree is dead
 *   gap          lo, hi and gap of every child are exact (allocation trees)
 *   root         an inner root has at least two children
 */
#ifndef SAMARA_MAPLE_NODE_H
#define SAMARA_MAPLE_NODE_H

#include <samara/maple_tree.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/compiler.h"
#include "base/rcu.h"

#define LEAF_SLOTS SAMARA_MAPLE_SLOTS
#define INNER_SLOTS 32
#define MAX_LEVEL (SAMARA_MAPLE_HEIGHT - 1)

/* The two-step searches below look at one key of each group first. */
#define LEAF_GROUP 5
#define INNER_GROUP 8
_Static_assert(LEAF_SLOTS == 4 * LEAF_GROUP, "leaf_search() looks at four groups");
_Static_assert(INNER_SLOTS == 4 * INNER_GROUP, "inner_search() looks at four groups");

typedef struct samara_maple_head maple_head;
typedef struct samara_maple_leaf maple_leaf;

/* No search reads key[0]. It is the key that the parent had for this node when it was built. */
typedef struct maple_inner {
	maple_head head;
	unsigned long key[INNER_SLOTS];
	void *slot[INNER_SLOTS];
} maple_inner;

/* The live entries of a subtree. No field depends on keys, so that a key may move freely. */
struct extent {
	unsigned long lo;  /* the first entry starts here */
	unsigned long hi;  /* the last entry ends here */
	unsigned long gap; /* the largest run of free indices between two entries */
};

/* An inner node of an allocation tree. Extents are read and written under the tree's lock. */
typedef struct maple_gap_inner {
	maple_inner inner;
	struct extent extent[INNER_SLOTS];
} maple_gap_inner;

_Static_assert(sizeof(maple_leaf) == 512, "eight cache lines");

/* ma_root is NULL, the entry of 0..0, or a node with this tag. */
#define ROOT_TAG 2UL

static inline bool root_is_node(const void *root)
{
	return ((unsigned long)root & 3) == ROOT_TAG;
}

static inline maple_head *root_node(const void *root)
{
	return (maple_head *)((unsigned long)root & ~3UL);
}

static inline void *root_tag(const void *node)
{
	return (void *)((unsigned long)node | ROOT_TAG);
}

/* Linux's rule: small values whose two low bits are 10 are reserved. */
static inline bool entry_is_reserved(const void *entry)
{
	unsigned long value = (unsigned long)entry;

	return (value & 3) == 2 && value <= ((256UL << 2) | 2);
}

static inline bool tree_tracks_gaps(const struct maple_tree *mt)
{
	return mt->ma_flags & MT_FLAGS_ALLOC_RANGE;
}

static inline void *slot_load(void *const *slot)
{
	return smp_load_acquire(slot);
}

static inline void slot_publish(void **slot, void *value)
{
	smp_store_release(slot, value);
}

/*
 * Called before a node is searched. The search reads the keys, and then a slot that it could not
 * load earlier. With the prefetch both cache misses happen at once.
 */
static inline void leaf_prefetch(const maple_leaf *leaf)
{
	for (size_t at = sizeof(maple_head) + sizeof(leaf->start); at < sizeof(*leaf); at += 64)
		__builtin_prefetch((const char *)leaf + at);
}

static inline void inner_prefetch(const maple_inner *inner)
{
	for (unsigned int i = 0; i < INNER_SLOTS; i += 64 / sizeof(void *))
		__builtin_prefetch(&inner->slot[i]);
}

static inline bool node_is_dead(const maple_head *head)
{
	return smp_load_acquire(&head->dead);
}

/* How many slots a reader may look at. Their start, last and slot are visible (acquire). */
static inline int leaf_count(const maple_leaf *leaf)
{
	return smp_load_acquire(&leaf->head.count);
}

/*
 * The last slot whose start is <= index, or -1. It finds the group and then the slot in it, without
 * a branch. Padding compares above every index but ULONG_MAX, so only that index needs the count.
 * The loads are relaxed: leaf_start() orders what else is read of the slot.
 */
static inline int leaf_search(const maple_leaf *leaf, unsigned long index)
{
	const unsigned long *start = leaf->start;
	unsigned int group = LEAF_GROUP * ((READ_ONCE(start[LEAF_GROUP]) <= index) +
					   (READ_ONCE(start[2 * LEAF_GROUP]) <= index) +
					   (READ_ONCE(start[3 * LEAF_GROUP]) <= index));
	int found = (int)group - 1;

	for (unsigned int i = 0; i < LEAF_GROUP; i++)
		found += READ_ONCE(start[group + i]) <= index;
	if (unlikely(index == ULONG_MAX))
		found = min(found, leaf_count(leaf) - 1);
	return found;
}

/* start of a slot that leaf_search() found. Later loads see its last and slot (acquire). */
static inline unsigned long leaf_start(const maple_leaf *leaf, int i)
{
	return smp_load_acquire(&leaf->start[i]);
}

/* The slot that index leads to. It may be NULL. */
static inline int inner_search(const maple_inner *inner, unsigned long index)
{
	const unsigned long *key = inner->key;
	unsigned int group =
		INNER_GROUP * ((key[INNER_GROUP] <= index) + (key[2 * INNER_GROUP] <= index) +
			       (key[3 * INNER_GROUP] <= index));
	int found = (int)group;

	for (unsigned int i = 1; i < INNER_GROUP; i++)
		found += key[group + i] <= index;
	if (unlikely(index == ULONG_MAX))
		found = min(found, inner->head.count - 1);
	return found;
}

/* The nearest slot below i that is not NULL, or -1; above i, or count. */
static inline int live_below(const maple_inner *inner, int i)
{
	while (--i >= 0 && !slot_load(&inner->slot[i]))
		;
	return i;
}

static inline int live_above(const maple_inner *inner, int i)
{
	while (++i < inner->head.count && !slot_load(&inner->slot[i]))
		;
	return i;
}

static inline struct extent *extent_of(const maple_inner *inner, int i)
{
	return &((maple_gap_inner *)inner)->extent[i];
}

/* The extent of a node that has a live slot. */
struct extent leaf_extent(const maple_leaf *leaf);
struct extent inner_extent(const maple_inner *inner);
struct extent node_extent(const maple_head *node);

/* node.c: allocate; free a node that was never published; free one that no pointer leads to now. */
void *node_alloc(const struct maple_tree *mt, unsigned int level);
void node_free(const struct maple_tree *mt, void *node);
void node_retire(const struct maple_tree *mt, void *node);
void subtree_retire(const struct maple_tree *mt, void *node); /* the node and all below it */
size_t node_bytes(const struct maple_tree *mt, unsigned int level);

#endif
