/* SPDX-License-Identifier: MIT */
/*
 * The interval tree: an AVL tree by start, augmented with subtree_last. The
 * picture and the invariants are in interval_tree.h.
 *
 * Inserting and removing change one place and then walk to the root once
 * (fix_upwards()), which sets height and subtree_last anew and rotates where
 * two heights differ by two. Removing relinks nodes and never copies them,
 * because they are part of their owners.
 */
#include "base/interval_tree.h"

#include "base/report.h"

enum { LEFT = 0, RIGHT = 1 };

static int height(const struct interval_node *node)
{
	return node ? node->height : 0;
}

/* Positive: the right subtree is higher. */
static int lean(const struct interval_node *node)
{
	return height(node->child[RIGHT]) - height(node->child[LEFT]);
}

static unsigned long last_below(const struct interval_node *node)
{
	unsigned long last = node->last;

	for (int side = LEFT; side <= RIGHT; side++) {
		if (node->child[side] && node->child[side]->subtree_last > last)
			last = node->child[side]->subtree_last;
	}
	return last;
}

static void update(struct interval_node *node)
{
	node->height = 1 + max(height(node->child[LEFT]), height(node->child[RIGHT]));
	node->subtree_last = last_below(node);
}

/* Whatever pointed to old (its parent, or the tree) points to node. */
static void replace_below(struct interval_tree *tree, struct interval_node *parent,
			  struct interval_node *old, struct interval_node *node)
{
	if (!parent)
		tree->root = node;
	else
		parent->child[parent->child[RIGHT] == old ? RIGHT : LEFT] = node;
	if (node)
		node->parent = parent;
}

static void set_child(struct interval_node *node, int side, struct interval_node *child)
{
	node->child[side] = child;
	if (child)
		child->parent = node;
}

/*
 *        node                    up
 *       /    \      LEFT        /  \
 *      a      up    ---->    node   c
 *            /  \            /  \
 *           b    c          a    b
 */
static struct interval_node *rotate(struct interval_tree *tree, struct interval_node *node,
				    int side)
{
	struct interval_node *up = node->child[!side];

	replace_below(tree, node->parent, node, up);
	set_child(node, !side, up->child[side]);
	set_child(up, side, node);
	update(node);
	update(up);
	return up;
}

/* Restore height, balance and subtree_last from node to the root. */
static void fix_upwards(struct interval_tree *tree, struct interval_node *node)
{
	for (; node; node = node->parent) {
		int by = lean(node);

		update(node);
		if (by > 1) {
			if (lean(node->child[RIGHT]) < 0)
				rotate(tree, node->child[RIGHT], RIGHT);
			node = rotate(tree, node, LEFT);
		} else if (by < -1) {
			if (lean(node->child[LEFT]) > 0)
				rotate(tree, node->child[LEFT], LEFT);
			node = rotate(tree, node, RIGHT);
		}
	}
}

void interval_tree_insert(struct interval_tree *tree, struct interval_node *node)
{
	struct interval_node **place = &tree->root, *parent = NULL;

	while (*place) {
		parent = *place;
		place = &parent->child[node->start >= parent->start ? RIGHT : LEFT];
	}
	node->parent = parent;
	node->child[LEFT] = NULL;
	node->child[RIGHT] = NULL;
	*place = node;
	fix_upwards(tree, node);
}

/* The next node in order takes the place of node, which has two children. */
static struct interval_node *swap_out(struct interval_tree *tree, struct interval_node *node)
{
	struct interval_node *next = node->child[RIGHT], *lowest;

	while (next->child[LEFT])
		next = next->child[LEFT];
	lowest = next->parent;
	if (lowest == node) {
		lowest = next; /* it keeps its right subtree */
	} else {
		set_child(lowest, LEFT, next->child[RIGHT]);
		set_child(next, RIGHT, node->child[RIGHT]);
	}
	set_child(next, LEFT, node->child[LEFT]);
	replace_below(tree, node->parent, node, next);
	return lowest;
}

void interval_tree_remove(struct interval_tree *tree, struct interval_node *node)
{
	struct interval_node *lowest; /* the lowest node whose subtree has changed */

	if (node->child[LEFT] && node->child[RIGHT]) {
		lowest = swap_out(tree, node);
	} else {
		lowest = node->parent;
		replace_below(tree, lowest, node, node->child[node->child[LEFT] ? LEFT : RIGHT]);
	}
	fix_upwards(tree, lowest);
}

/* iteration --------------------------------------------------------------- */

/*
 * The leftmost node at or below node that overlaps start..last. If the left
 * subtree reaches start but has no answer, its intervals that reach start begin
 * after last, and so does everything to their right: there is no answer at all.
 */
static struct interval_node *first_below(struct interval_node *node, unsigned long start,
					 unsigned long last)
{
	while (node && node->subtree_last >= start) {
		if (node->child[LEFT] && node->child[LEFT]->subtree_last >= start) {
			node = node->child[LEFT];
			continue;
		}
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
		node = node->child[RIGHT];
	}
	return NULL;
}

struct interval_node *interval_tree_iter_first(const struct interval_tree *tree,
					       unsigned long start, unsigned long last)
{
	return first_below(tree->root, start, last);
}

struct interval_node *interval_tree_iter_next(struct interval_node *node,
					      unsigned long start, unsigned long last)
{
	for (;;) {
		struct interval_node *found = first_below(node->child[RIGHT], start, last);
		struct interval_node *from;

		if (found)
			return found;
		do {
			from = node;
			node = node->parent;
			if (!node)
				return NULL;
		} while (node->child[RIGHT] == from);
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
	}
}

/* checking ---------------------------------------------------------------- */

static int check_node(const struct interval_node *node, struct samara_report *report)
{
	int left = height(node->child[LEFT]), right = height(node->child[RIGHT]);
	const struct interval_node *up = node->parent;

	if (node->start > node->last)
		return report_broken(report, "interval", "[%#lx, %#lx]", node->start, node->last);
	if (up && up->child[LEFT] != node && up->child[RIGHT] != node)
		return report_broken(report, "links", "[%#lx, %#lx] is not its parent's child",
				     node->start, node->last);
	for (int side = LEFT; side <= RIGHT; side++) {
		if (node->child[side] && node->child[side]->parent != node)
			return report_broken(report, "links", "child %d of [%#lx, %#lx]", side,
					     node->start, node->last);
	}
	if (node->height != 1 + max(left, right))
		return report_broken(report, "height", "%d over %d and %d at [%#lx, %#lx]",
				     node->height, left, right, node->start, node->last);
	if (left - right > 1 || right - left > 1)
		return report_broken(report, "balance", "%d and %d below [%#lx, %#lx]", left, right,
				     node->start, node->last);
	if (node->subtree_last != last_below(node))
		return report_broken(report, "subtree_last", "%#lx instead of %#lx at [%#lx, %#lx]",
				     node->subtree_last, last_below(node), node->start,
				     node->last);
	return 0;
}

static const struct interval_node *next_in_order(const struct interval_node *node)
{
	const struct interval_node *from;

	if (node->child[RIGHT]) {
		for (node = node->child[RIGHT]; node->child[LEFT];)
			node = node->child[LEFT];
		return node;
	}
	do {
		from = node;
		node = node->parent;
	} while (node && node->child[RIGHT] == from);
	return node;
}

int interval_tree_validate(const struct interval_tree *tree, struct samara_report *report)
{
	const struct interval_node *node = tree->root;
	unsigned long before = 0;

	if (node && node->parent)
		return report_broken(report, "links", "the root has a parent");
	while (node && node->child[LEFT])
		node = node->child[LEFT];
	for (; node; node = next_in_order(node)) {
		int err = check_node(node, report);

		if (err)
			return err;
		if (node->start < before)
			return report_broken(report, "order", "%#lx after %#lx", node->start,
					     before);
		before = node->start;
	}
	return 0;
}
