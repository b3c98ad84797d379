/* SPDX-License-Identifier: MIT */
/*
 * Writing: one operation, from the range that is stored to the pointer that is
 * swapped.
 *
 *                 first ............... last          the range
 *                   |                     |
 *   root          [ .  l  .  .  .  .  .  r  . ]       level 2
 *                      |   x  x  x  x    |
 *                   [ . l x x ]      [ x r . . ]      level 1
 *                       |                |
 *                    [ e e/ ]         [ /e e e ]      leaves
 *
 * Two edges lead down to the leaves in which the range begins and ends; they
 * are the same leaf almost always. What lies between them (x) is dropped. From
 * the leaves up, each level is made anew out of what stands before the left
 * edge, the fresh nodes from below and what stands after the right edge, until
 * one fresh node takes the place of one old one: there a single pointer store
 * lets readers see all of it at once. Spanning stores are no special case.
 *
 * Everything is built before that store, and building is all that can fail.
 */
#ifndef SAMARA_MAPLE_STORE_H
#define SAMARA_MAPLE_STORE_H

#include <errno.h>

#include "maple/node.h"

/*
 * A way down. slot[level] is the live child taken in node[level], or the slot
 * that the index falls into or behind in the leaf (-1: before all).
 */
struct edge {
	void *node[MAX_LEVEL + 1];
	int slot[MAX_LEVEL + 1];
	int keep[MAX_LEVEL + 1];    /* children before (right edge: behind) this one stay */
	unsigned long lower, upper; /* the indices that lead to the leaf */
	/* A bit per level: the index led to an empty slot, a neighbour was taken. */
	unsigned int bent;
	bool known; /* left edge: still true after the operation (see store_next()) */
};

/* A node on its way into a parent. */
struct child {
	unsigned long key;
	void *node;
	struct extent extent;
};

/* One build makes at most this many nodes of a level: see pack_sizes(). */
#define FRESH_MAX 8
/* Old nodes of one level that a build replaces: left, right and a neighbour of theirs. */
#define OLD_MAX (3 * (MAX_LEVEL + 1))

struct maple_store {
	struct maple_tree *mt;
	unsigned long first, last;
	void *entry;
	void *above; /* takes the place of what is left above last of an entry cut there; or NULL */
	void **reserve; /* nodes set aside: a chain of leaves, one of inner nodes; or NULL */

	maple_head *root;
	struct edge left, right;
	bool one_way; /* right is left but for slot[0]; of it only levels 0 and 1 are filled in */

	struct child fresh[FRESH_MAX]; /* what takes the place of the level below */
	unsigned int n_fresh;
	void *old[OLD_MAX];
	unsigned int n_old;
	void *made; /* every node built, chained, until it is published */

	maple_inner *at; /* where the one pointer is swapped; NULL: the root */
	unsigned int at_level;
};

/*
 * The next operation of a writer that keeps its struct maple_store: where the
 * last one was made the way down is known, and is not looked for again. Only for
 * whoever makes all changes to the tree through it, or else calls
 * store_forget(). One that is all zero knows nothing.
 */
static inline void store_next(struct maple_store *op, struct maple_tree *mt, unsigned long first,
			      unsigned long last, void *entry)
{
	op->mt = mt;
	op->first = first;
	op->last = last;
	op->entry = entry;
	op->above = NULL;
	op->reserve = NULL;
	op->at = NULL;
	op->n_fresh = op->n_old = 0;
	op->made = NULL;
}

static inline void store_forget(struct maple_store *op)
{
	op->left.known = false;
}

/* An operation lives on the stack and is large: only what is set here is set before it is used. */
static inline void store_begin(struct maple_store *op, struct maple_tree *mt, unsigned long first,
			       unsigned long last, void *entry)
{
	store_next(op, mt, first, last, entry);
	store_forget(op);
}

/* The left edge leads to the leaf in which index is, or would be. */
static inline bool edge_covers(const struct edge *edge, unsigned long index)
{
	return edge->known && index >= edge->lower && index <= edge->upper;
}

/* edge.c: the left edge first, which is all that a store in place needs. */
void edge_find_left(struct maple_store *op);
void edge_find_right(struct maple_store *op);
void edge_complete_right(struct maple_store *op); /* levels that one_way left out */
/* The left edge is known: the entry that covers op->first, or the first in the range; or NULL. */
void *edge_entry(const struct maple_store *op);
void *first_entry(const struct maple_store *op);

/*
 * edge.c: reading by a writer's known left edge, where edge_covers(index) or
 * edge_covers(first): the entry there, or NULL; the first entry that has a part
 * in first..last, or NULL. False: that cannot be told from this leaf.
 */
void *edge_load(const struct edge *edge, unsigned long index);
bool edge_find_entry(const struct edge *edge, unsigned long first, unsigned long last,
		     void **entry);
/* A known left edge is what a walk from the root would find. */
bool edge_valid(const struct maple_store *op);

/* Whether the range comes behind all that its leaf has ever held, and so cuts nothing. */
static inline bool comes_last(const struct maple_store *op)
{
	const maple_leaf *leaf = op->left.node[0];
	int end = leaf->head.count - 1;

	return op->right.node[0] == leaf && !(op->left.bent | op->right.bent) &&
	       op->left.slot[0] == end && leaf->last[end] < op->first;
}

/* leaves.c, inner.c: one level anew; 0 or -ENOMEM. */
int build_leaves(struct maple_store *op);
int build_inner(struct maple_store *op, unsigned int level);
/* level.c: a node from the reserve or the cache, remembered in op->made; NULL when refused. */
void *made_node(struct maple_store *op, unsigned int level);

/* store.c: 0 or -ENOMEM, and then nothing has changed. */
int maple_store(struct maple_store *op);
/* Do all of maple_store() that may fail, and keep the nodes in op->reserve. */
int maple_rehearse(struct maple_store *op);

/* erase.c: never fail. */
void *maple_erase(struct maple_store *op);
void erase_between(struct maple_store *op); /* both edges are known and cut no entry */
void root_collapse(struct maple_tree *mt);

/*
 * gap.c: tell the ancestors that a node is not what it was: edge->node[level]
 * has to be looked at, or the child that takes its place is known, or one slot
 * of the leaf was filled or erased.
 */
void extents_update(const struct maple_tree *mt, const struct edge *edge, unsigned int level);
void extents_child_changed(const struct maple_tree *mt, const struct edge *edge, unsigned int level,
			   struct extent is);
void extents_slot_changed(const struct maple_tree *mt, const struct edge *edge);
/* What the leaf's extent is, when slot i alone was filled or erased since it was `was`. */
struct extent leaf_extent_after(const maple_leaf *leaf, int i, struct extent was);

/*
 * reserve.c: nodes for so many operations one after the other, whatever each of them is and does
 * to the tree. 0 or -ENOMEM, and then reserve is empty. reserve_drop() frees what is left.
 */
int reserve_for(const struct maple_tree *mt, unsigned int ops, void **reserve);
void reserve_drop(const struct maple_tree *mt, void **reserve);
/* level.c: a chain of nodes set aside, leaves and inner nodes apart. */
void *reserve_take(void **reserve, unsigned int level);
void reserve_put(void **reserve, void *node);

/*
 * entry takes the place of the entry that mas stands on, its range being the same; the cursor goes
 * on from there. Nothing has changed the tree since mas came there. Needs no memory.
 */
void maple_replace(struct ma_state *mas, void *entry);

#endif
