/* SPDX-License-Identifier: MIT */
/*
 * Inside rmap/: single links. The lock of the tree is held for writing.
 */
#ifndef RMAP_LINK_H
#define RMAP_LINK_H

#include "rmap/rmap.h"

void link_free(struct rmap_link *link);
/* Into its tree, under the pages that its VMA has now; and out of it. */
void link_insert(struct rmap_link *link);
void link_remove(struct rmap_link *link);
/* The tree it belongs into. */
struct interval_tree *link_tree(const struct rmap_link *link);

/* One from stock, which has one. */
struct rmap_link *link_take(struct link_stock *stock);
/* link_stock_add() unless stock is the caller's: then *own is not used. */
int link_stock_for(struct link_stock **stock, struct link_stock *own, unsigned int n) __must_check;

static inline struct rmap_link *node_link(struct interval_node *node)
{
	return container_of(node, struct rmap_link, node);
}

/* The file link, or NULL: the first if there is one. */
static inline struct rmap_link *vma_file_link(const struct vma *vma)
{
	return vma->rmap.links && !vma->rmap.links->anon ? vma->rmap.links : NULL;
}

/* Behind the file link. */
static inline struct rmap_link *vma_anon_links(const struct vma *vma)
{
	return vma_file_link(vma) ? vma->rmap.links->next : vma->rmap.links;
}

static inline bool vma_maps_file(const struct vma *vma)
{
	return vma->vm_file && !vma->is_anon;
}

/* anon.c: a reference unless the last one is gone; under RCU. */
bool anon_vma_try_get(struct anon_vma *anon);
void anon_vma_put(struct anon_vma *anon);

#endif
