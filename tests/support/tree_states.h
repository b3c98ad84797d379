/* SPDX-License-Identifier: MIT */
/*
 * Rows of the cursor's state table, and what tries them: how the cursor came
 * where it is, on which tree, which call, and what must come of it.
 *
 *   empty     nothing
 *   root      0..0 A                          (no node)
 *   one       100..149 A
 *   several   100..149 A  200..249 B  250..299 C  400..449 D
 */
#ifndef SAMARA_TEST_TREE_STATES_H
#define SAMARA_TEST_TREE_STATES_H

#include "tree_model.h"

#define A ((void *)0xa000)
#define B ((void *)0xb000)
#define C ((void *)0xc000)
#define D ((void *)0xd000)
#define M ULONG_MAX

enum state_tree { EMPTY, ROOT, ONE, SEVERAL };

/* How the cursor came to stand at an index. */
enum state_way {
	START,  /* mas_set() */
	ACTIVE, /* and mas_walk(): an entry, an empty range, or ma_root, ma_none */
	PAUSE,  /* and mas_pause() */
	OVER,   /* mas_walk(), then mas_next() with the range's own end for limit */
	UNDER,  /* mas_walk(), then mas_prev() with the range's own start */
	OVER0,  /* mas_next() with the index for limit, without a walk */
	UNDER0, /* mas_prev() likewise */
	NONE,   /* a walk while the tree was empty, then __mas_set_range() */
	NONE50, /* likewise, over at..at + 50 */
	ERROR,  /* a store over at..at + 10 for which there was no memory */
};

struct state_row {
	int line;
	enum state_tree tree;
	enum state_way way;
	unsigned long at;
	enum tree_read call;
	unsigned long limit;
	void *entry;
	enum maple_status status;
	unsigned long index, last;
};

#define ROW(tree, way, at, call, limit, entry, status, index, last) \
	{ \
		__LINE__, tree, way, at, READ_##call, limit, entry, ma_##status, index, last \
	}

/* Try each row on every kind of tree and on the model; fails the running test. */
void state_rows_run(const struct state_row *rows, size_t n);

void state_build(struct maple_tree *mt, struct tree_model *m, enum state_tree tree);

#endif
