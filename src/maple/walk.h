/* SPDX-License-Identifier: MIT */
/*
 * Moving a cursor from entry to entry.
 *
 * A positioned cursor has its leaf (mas->node), a slot of the leaf (offset), and the path
 * (path[l - 1] and slots[l - 1] for level l). A search starts at that slot. The cursor may stand on
 * the slot's entry, or on an empty range beside it. In both cases:
 *
 *   no entry that starts above mas->last is before offset
 *   no entry that starts below mas->index is behind offset
 *
 * The caller holds the tree's lock or, in RCU mode, is in an RCU read-side critical section. A
 * reader whose leaf is dead walks again from the root.
 */
#ifndef SAMARA_MAPLE_WALK_H
#define SAMARA_MAPLE_WALK_H

#include "maple/node.h"

/* An entry and its range, read from one slot. entry is NULL where no entry was found. */
struct found {
	void *entry;
	unsigned long first, last;
};

/*
 * The lowest entry that starts at or above *index. The walk saw no entry from *index up to it.
 * Where a writer has stored an entry over *index meanwhile, *index moves to the index behind that
 * entry (0 where the entry ends at ULONG_MAX).
 */
struct found walk_up(struct ma_state *mas, unsigned long *index);

/* The highest entry that starts at or below index. It may end above index. */
struct found walk_down(struct ma_state *mas, unsigned long index);

/* Forget the leaf. The next call that needs one walks to mas->index. */
static inline void walk_forget(struct ma_state *mas)
{
	mas->node = NULL;
	mas->end = 0;
}

#endif
