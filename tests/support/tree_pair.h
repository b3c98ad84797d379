/* SPDX-License-Identifier: MIT */
/*
 * A tree with its model, grown to a known shape, and a range to try things on.
 */
#ifndef SAMARA_TEST_TREE_PAIR_H
#define SAMARA_TEST_TREE_PAIR_H

#include "tree_model.h"

struct tree_pair {
	struct maple_tree mt;
	struct tree_model m;
	unsigned long first, last; /* the test's own */
};

/*
 * n entries at 16 i .. 16 i + 7, stored in steps of step (prime to n); one
 * alone is the root entry. Fails the running test.
 */
void tree_pair_grow(struct tree_pair *b, unsigned int flags, unsigned int n, unsigned int step);

/* Tree and model are the same, and the tree is valid; what and when are for the message. */
void tree_pair_check(struct tree_pair *b, const char *what, const char *when);

void tree_pair_free(struct tree_pair *b);

#endif
