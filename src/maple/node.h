/* SPDX-License-Identifier: MIT */
/*
 * The nodes of the range tree.
 *
 *                      tree->ma_root
 *                            |
 *              +-------------v--------------+
 *   inner      | key    0    300   900      |   child i holds what starts in
 *   level 2    | slot   *     *     -       |   key[i] .. key[i + 1] - 1;
 *              | lo hi gap  of each child   |   a NULL slot: nothing there
 *              +-----|------|---------------+
 *                    v      v
 *                  inner  inner                 (level 1)
 *                    |
 *              +-----v----------------------+
 *   leaf       | start  10    40    70      |   entries, ascending;
 *   level 0    | last   19    49    99      |   an index between two of them
 *              | slot   A     -     B       |   is empty; a NULL slot is an
 *              +----------------------------+   erased entry
 *
 * Only entries are stored; what is empty is what no entry covers. Three things
 * follow. Erasing is one store of NULL into a slot, and needs no memory.
 * Separators may lie anywhere in an empty range, so nodes can be joined and
 * dropped without telling their neighbours. And an empty range is never in two
 * pieces, for there are no pieces.
 *
 * What readers may rely on
 *   Once a node can be reached, only its slots change, each by one atomic
 *   store, and dead goes from 0 to 1. A leaf may also grow at its end: slot and
 *   last first, then start, then count. All else is built before. A writer that
 *   wants another shape builds new nodes and swaps one pointer.
 *
 * Invariants (maple/validate_tree.c checks them by these names)
 *   level        children of a level-n node are of level n - 1; leaves are 0
 *   count        1 <= count <= slots of the kind; live = slots that are not NULL
 *   live         live >= 1: a node that becomes empty is cut off at once
 *   order        key[1..] ascend; start <= last < next start
 *   range        what a child holds, erased entries too, lies in its keys' range
 *   padding      key[] and start[] beyond count are ULONG_MAX (search relies on it)
 *   dead         no node that can be reached is dead
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

/* Both groupings are those of the two-step searches below. */
#define LEAF_GROUP 5
#define INNER_GROUP 8
_Static_assert(LEAF_SLOTS == 4 * LEAF_GROUP, "leaf_search() looks at four groups");
_Static_assert(INNER_SLOTS == 4 * INNER_GROUP, "inner_search() looks at four groups");

typedef struct samara_maple_head maple_head;
typedef struct samara_maple_leaf maple_leaf;

/* key[0] routes nothing: it is the key that the parent had when this was built. */
typedef struct maple_inner {
	maple_head head;
	unsigned long key[INNER_SLOTS];
	void *slot[INNER_SLOTS];
} maple_inner;

/*
 * What is known of a subtree without looking into it: where its first entry
 * starts, where its last one ends, and the largest run of free indices between
 * two of its entries. No field depends on separators, so moving them is free.
 */
struct extent {
	unsigned long lo, hi, gap;
};

/* An inner node of an allocation tree. The extents are the writer's: read under the lock. */
typedef struct maple_gap_inner {
	maple_inner inner;
	struct extent extent[INNER_SLOTS];
} maple_gap_inner;

_Static_assert(sizeof(maple_leaf) == 512, "eight cache lines");

/* The root is an entry of 0..0 by itself, or a node with this tag. */
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

/* Linux's rule: small values whose two low bits are 10 are its own. */
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
 * A node is about to be searched: its keys are asked for first, and what stands
 * behind the keys would be asked for only once they are there. Ask for both, so
 * that a node costs one miss and not two.
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

/* Slots that a reader may look at; what they hold is there before the count says so. */
static inline int leaf_count(const maple_leaf *leaf)
{
	return smp_load_acquire(&leaf->head.count);
}

/*
 * Last slot whose start is <= index, or -1. Without a branch: the group first,
 * then the place in it. Padding makes count irrelevant but for ULONG_MAX.
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

/* start of a slot that leaf_search() found: last and slot are there once it is seen. */
static inline unsigned long leaf_start(const maple_leaf *leaf, int i)
{
	return smp_load_acquire(&leaf->start[i]);
}

/* The slot that index leads to; NULL or not. */
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

/* Nearest slot below (above) i that is not NULL, or -1 (count). */
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

/* Of a node's live content; at least one slot is live. */
struct extent leaf_extent(const maple_leaf *leaf);
struct extent inner_extent(const maple_inner *inner);
struct extent node_extent(const maple_head *node);

/* node.c: where nodes come from and go to. */
void *node_alloc(const struct maple_tree *mt, unsigned int level);
void node_free(const struct maple_tree *mt, void *node);      /* never published */
void node_retire(const struct maple_tree *mt, void *node);    /* unpublished just now */
void subtree_retire(const struct maple_tree *mt, void *node); /* and all below */
size_t node_bytes(const struct maple_tree *mt, unsigned int level);

#endif
