/* SPDX-License-Identifier: MIT */
/*
 * Moving a cursor from entry to entry.
 *
 * A positioned cursor knows its leaf (mas->node), a slot of it (offset) and the
 * way down (path[l - 1] and slots[l - 1] for level l). The slot is where the
 * search goes on from, not necessarily what the cursor stands on:
 *
 *   seen forwards    no entry that starts above mas->last stands before offset
 *   seen backwards   no entry that starts below mas->index stands after it
 *
 * so one walk serves cursors that stand on entries and those that stand on what
 * is empty between them.
 *
 * Callers hold the tree's lock, or an RCU read-side critical section in RCU
 * mode. A reader that finds its leaf dead walks down again.
 */
#ifndef SAMARA_MAPLE_WALK_H
#define SAMARA_MAPLE_WALK_H

#include "maple/node.h"

/* An entry as the leaf had it. entry is NULL when there was none. */
struct found {
	void *entry;
	unsigned long first, last;
};

/*
 * The lowest entry that starts at or above *index. What is between *index and
 * it was seen to be empty; for that *index moves up when a writer has meanwhile
 * put an entry over it (to 0 when that entry ends at ULONG_MAX).
 */
struct found walk_up(struct ma_state *mas, unsigned long *index);

/* The highest entry that starts at or below index; it may end above. */
struct found walk_down(struct ma_state *mas, unsigned long index);

/* Forget the leaf; the next call that needs it walks to mas->index. */
static inline void walk_forget(struct ma_state *mas)
{
	mas->node = NULL;
	mas->end = 0;
}

#endif
