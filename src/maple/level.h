/* SPDX-License-Identifier: MIT */
/*
 * What building leaves and building inner nodes share: how many nodes a level gets, and when a
 * neighbour is built together with them.
 */
#ifndef SAMARA_MAPLE_LEVEL_H
#define SAMARA_MAPLE_LEVEL_H

#include "maple/store.h"

/* Where in its level the new content stands. Growth at an end leaves full nodes behind. */
enum growth { GROWS_WITHIN, GROWS_AT_END, GROWS_AT_FRONT };

/*
 * The most items that one store gathers for a level: those of a node at each edge, those of a
 * neighbour, and the new ones. New in a leaf are the entry and two pieces of entries that it cuts,
 * in an inner node the fresh nodes.
 */
#define GATHER_MAX(slots) (3 * (slots) + FRESH_MAX)

/* How many nodes, and how many items each of them gets. */
struct packing {
	unsigned int nodes;
	unsigned int size[FRESH_MAX];
};

struct packing pack_sizes(unsigned int items, unsigned int slots, enum growth growth);

/* At most half full: perhaps the neighbour is too, and one node has room for both. */
static inline bool is_sparse(unsigned int items, unsigned int slots)
{
	return items <= slots / 2;
}

/* A live node beside an edge, which the level is built together with. */
struct neighbour {
	maple_head *node; /* NULL: none is wanted */
	int slot;         /* of the parent */
	bool on_left;
};

/*
 * The neighbour to build together with that many items of a level.
 *   The items overflow a node: the two nodes become three. Three from two are fuller than two from
 *   one.
 *   The items and the neighbour fill one node at most: the two nodes become one.
 */
struct neighbour neighbour_wanted(const struct maple_store *op, unsigned int level,
				  unsigned int items, unsigned int slots, enum growth growth);
/* The fresh nodes replace the neighbour too. */
void neighbour_take(struct maple_store *op, struct neighbour neighbour);

/* The store replaces the node: publish() retires it. */
void old_node(struct maple_store *op, void *node);

#endif
