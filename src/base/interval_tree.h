/* SPDX-License-Identifier: MIT */
/*
 * A set of intervals [start, last], both ends included, that answers "which of
 * them overlap this one" in O(log n + answers): a height-balanced (AVL) tree
 * by start, where each node also knows the greatest last of its subtree.
 *
 *                     [20,30] max 99
 *                    /              \
 *          [5,99] max 99         [40,41] max 77
 *         /      \                     \
 *    [1,3] max 3  [6,8] max 8        [50,77] max 77
 *
 * Nodes are embedded in their owners; nothing is allocated. Equal intervals
 * may be in the tree several times; of two with one start, the one that was inserted later comes
 * later. The caller's lock protects the tree.
 *
 * Invariants (interval_tree_validate() names the first broken one)
 *  order        in-order starts never descend
 *  links        parent and child pointers agree
 *  height       height = 1 + the greater child's height
 *  balance      children's heights differ by at most 1
 *  subtree_last subtree_last = the greatest last at or below the node
 *  interval     start <= last
 */
#ifndef BASE_INTERVAL_TREE_H
#define BASE_INTERVAL_TREE_H

#include <samara/types.h>

#include "base/compiler.h"

struct interval_node {
	unsigned long start, last;
	unsigned long subtree_last;
	struct interval_node *parent;
	struct interval_node *child[2]; /* left: smaller or equal starts; right: greater or equal */
	int height;
};

struct interval_tree {
	struct interval_node *root;
};

/* node->start and node->last are set by the caller and stay while it is in the tree. */
void interval_tree_insert(struct interval_tree *tree, struct interval_node *node);
void interval_tree_remove(struct interval_tree *tree, struct interval_node *node);

/*
 * The overlapping intervals in order of their start: the first, and the one
 * after node (which overlapped the same start..last). NULL at the end.
 */
struct interval_node *interval_tree_iter_first(const struct interval_tree *tree,
					       unsigned long start, unsigned long last);
struct interval_node *interval_tree_iter_next(struct interval_node *node,
					      unsigned long start, unsigned long last);

static inline bool interval_tree_empty(const struct interval_tree *tree)
{
	return !tree->root;
}

/* 0, or -EUCLEAN with *report filled (it may be NULL). */
__must_check int interval_tree_validate(const struct interval_tree *tree,
					struct samara_report *report);

#endif
