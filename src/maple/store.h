/* SPDX-License-Identifier: MIT */
/*
 * One store, from the range that is written to the pointer that is swapped.
 *
 *                 first ............... last          the range
 *                   |                     |
 *   root          [ .  l  .  .  .  .  .  r  . ]       level 2
 *                      |   x  x  x  x    |
 *                   [ . l x x ]      [ x r . . ]      level 1
 *                       |                |
 *                    [ e e/ ]         [ /e e e ]      leaves
 *
 * The left edge is the path to the leaf where the range begins. The right edge is the path to the
 * leaf where it ends, and most often the same path. The subtrees between the edges (x) are dropped.
 *
 * The levels are built from the leaves up. Each new level holds the children before the left edge,
 * the fresh nodes from below, and the children behind the right edge. At the level where one fresh
 * node replaces one old node, a single pointer is swapped. Readers see the whole store there at
 * once. A store that spans many leaves is no special case.
 *
 * Everything is built before the swap. Building is the only part that can fail.
 */
#ifndef SAMARA_MAPLE_STORE_H
#define SAMARA_MAPLE_STORE_H

#include <errno.h>

#include "maple/node.h"
#include "maple/writer.h"

/* A node that was built, on its way into a parent. */
struct child {
	unsigned long key;
	void *node;
	struct extent extent;
};

/* One store builds at most this many nodes of a level: see pack_sizes(). */
#define FRESH_MAX 8
/* Old nodes that one store replaces: of each level the left, the right and a neighbour. */
#define OLD_MAX (3 * (MAX_LEVEL + 1))

/* Which children of the edges' nodes the fresh nodes replace, when their parents are built. */
enum replaced {
	EDGES_REPLACED, /* the left edge's child up to the right edge's */
	NONE_REPLACED,  /* no child: the fresh node comes behind the left edge's child */
	LEFT_JOINED,    /* the left edge's child, and the neighbour before it */
	RIGHT_JOINED,   /* the right edge's child, and the neighbour behind it */
};

struct maple_store {
	const struct maple_request *request;
	struct maple_tree *mt;

	struct maple_path *left;
	const struct maple_path *right; /* left where the range ends in the same leaf */
	struct maple_path right_path;   /* else this one */
	struct {
		int left, right; /* where first and last fall into their leaf: leaf_search() */
	} slot;

	struct {
		struct child child[FRESH_MAX];
		unsigned int n;
		enum replaced replaced;
		int neighbour; /* its slot in the parent, where one was joined */
	} fresh;               /* the nodes of the level below */
	struct {
		void *node[OLD_MAX];
		unsigned int n;
	} old;      /* nodes to retire */
	void *made; /* list of all nodes that were built, until they are published */

	struct {
		maple_inner *node; /* NULL: the root pointer is swapped */
		unsigned int level;
	} swap; /* the child of this node is swapped */
};

/* The store of entry over the cursor's range. */
static inline struct maple_request cursor_request(struct ma_state *mas, void *entry)
{
	return (struct maple_request){
		.first = mas->index,
		.last = mas->last,
		.entry = entry,
		.reserve = mas->prealloc,
	};
}

/* edge.c: find the path to index, unless the writer knows it. The slot that index falls into. */
int edge_find_left(struct maple_writer *writer, unsigned long index);
/* edge.c: the left edge is found. */
void edge_find_right(struct maple_store *op);
/* edge.c: the first entry that overlaps first..last, or NULL. May find the path to first. */
void *edge_first_entry(struct maple_writer *writer, unsigned long first, unsigned long last);

/* The entry that covers index, where slot i of its leaf is what leaf_search() found; or NULL. */
static inline void *leaf_entry(const maple_leaf *leaf, int i, unsigned long index)
{
	return i >= 0 && leaf->last[i] >= index ? leaf->slot[i] : NULL;
}

/* Whether all entries that the leaf has ever held end before the range. Such a store cuts none. */
static inline bool comes_last(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left->node[0];
	int end = leaf->head.count - 1;

	return op->right == op->left && op->slot.left == end &&
	       leaf->last[end] < op->request->first;
}

/* leaves.c, inner.c: build one level. 0 or -ENOMEM. */
int build_leaves(struct maple_store *op);
int build_inner(struct maple_store *op, unsigned int level);
/* level.c: a node from the reserve, else from the cache; it is in op->made. NULL when refused. */
void *made_node(struct maple_store *op, unsigned int level);

/* store.c: build what the store needs, and keep the nodes in request->reserve. 0 or -ENOMEM. */
int maple_rehearse(struct maple_writer *writer, const struct maple_request *request);

/* erase.c: never fail. */
void erase_between(struct maple_store *op); /* both edges are found and cut no entry */
void root_collapse(struct maple_tree *mt);

/*
 * gap.c: bring the extents of the ancestors up to date.
 *   extents_update()        path->node[level] has changed anywhere
 *   extents_child_changed() the child that replaces path->node[level] has this extent
 *   extents_slot_changed()  slot i of the leaf was filled or erased, and nothing else
 */
void extents_update(const struct maple_tree *mt, const struct maple_path *path, unsigned int level);
void extents_child_changed(const struct maple_tree *mt, const struct maple_path *path,
			   unsigned int level, struct extent is);
void extents_slot_changed(const struct maple_tree *mt, const struct maple_path *path, int i);
/* The extent of a leaf that had extent `was` before slot i alone was filled or erased. */
struct extent leaf_extent_after(const maple_leaf *leaf, int i, struct extent was);

/* level.c: nodes set aside: one list of leaves, one of inner nodes. */
void *reserve_take(void **reserve, unsigned int level);
void reserve_put(void **reserve, void *node);

#endif
