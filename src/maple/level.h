/* SPDX-License-Identifier: MIT */
/*
 * What the builders of leaves and of inner nodes share: how many nodes to make,
 * and when to take in a neighbour.
 */
#ifndef SAMARA_MAPLE_LEVEL_H
#define SAMARA_MAPLE_LEVEL_H

#include "maple/store.h"

/* Where in a level the new content stands: growth at an end leaves full nodes behind. */
enum growth { GROWS_WITHIN, GROWS_AT_END, GROWS_AT_FRONT };

/*
 * The most items that one operation gathers for a level: a node's at each edge, a neighbour's, and
 * what is new: an entry and the pieces that it leaves of others, or fresh nodes.
 */
#define GATHER_MAX(slots) (3 * (slots) + FRESH_MAX)

struct packing {
	unsigned int nodes;
	unsigned int size[FRESH_MAX];
};

struct packing pack_sizes(unsigned int items, unsigned int slots, enum growth growth);

/* Half empty: worth a look at the neighbour. */
static inline bool is_sparse(unsigned int items, unsigned int slots)
{
	return items <= slots / 2;
}

/* A live node beside an edge, to be built together with it. */
struct neighbour {
	maple_head *node; /* NULL: none is wanted */
	int slot;         /* of the parent */
	bool on_left;
};

/*
 * Whether a level of that many items is better built together with a neighbour:
 * when it overflows, two nodes make three, which leaves them fuller than one
 * making two; when it is sparse and so is the neighbour, two make one.
 */
struct neighbour neighbour_wanted(const struct maple_store *op, unsigned int level,
				  unsigned int items, unsigned int slots, enum growth growth);
/* The neighbour's place in the parent belongs to what is built. */
void neighbour_take(struct maple_store *op, unsigned int level, struct neighbour neighbour);

void old_node(struct maple_store *op, void *node);

#endif
