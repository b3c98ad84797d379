/* SPDX-License-Identifier: MIT */
/*
 * A writer in the index space of tree_zones.h: stores, replacements, erasures
 * and wide stores of every kind that its zones allow, kept in a model too. One
 * thread; what it does to the tree it does under the tree's lock.
 */
#ifndef SAMARA_TEST_TREE_ZONE_WRITER_H
#define SAMARA_TEST_TREE_ZONE_WRITER_H

#include "random.h"
#include "tree_model.h"
#include "tree_zones.h"

struct zone_writer {
	struct maple_tree *mt;
	struct tree_model m; /* what the tree should contain */
	struct rng rng;
	unsigned long writes;
};

/* Anchors and covered ranges: before the first reader. */
void zone_build(struct zone_writer *w);

/* One change, or a few. */
void zone_write(struct zone_writer *w);

#endif
