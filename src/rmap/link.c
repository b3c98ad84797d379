/* SPDX-License-Identifier: MIT */
/*
 * Links: getting them, putting them into trees, and changing VMAs under them.
 */
#include <errno.h>

#include "alloc/cache.h"
#include "base/assert.h"
#include "core/vma_lock.h"
#include "rmap/link.h"

static DEFINE_OBJ_CACHE(link_cache, "rmap_link", sizeof(struct rmap_link), 8);

void link_free(struct rmap_link *link)
{
	cache_free(&link_cache, link);
}

int link_stock_add(struct link_stock *stock, unsigned int n)
{
	struct rmap_link *old = stock->first;

	for (; n; n--) {
		struct rmap_link *link = cache_alloc(&link_cache);

		if (!link)
			goto undo;
		link->next = stock->first;
		stock->first = link;
	}
	return 0;
undo:
	while (stock->first != old)
		link_free(link_take(stock));
	return -ENOMEM;
}

void link_stock_drop(struct link_stock *stock)
{
	while (stock->first)
		link_free(link_take(stock));
}

struct rmap_link *link_take(struct link_stock *stock)
{
	struct rmap_link *link = stock->first;

	BUG_ON(!link);
	stock->first = link->next;
	return link;
}

int link_stock_for(struct link_stock **stock, struct link_stock *own, unsigned int n)
{
	if (*stock)
		return 0;
	own->first = NULL;
	*stock = own;
	return link_stock_add(own, n);
}

struct interval_tree *link_tree(const struct rmap_link *link)
{
	return link->anon ? &link->anon->tree : &link->vma->vm_file->inode->i_mmap.tree;
}

static void assert_tree_locked(const struct rmap_link *link)
{
	rwsem_assert_held_write(link->anon ? &link->anon->root->lock :
					     &link->vma->vm_file->inode->i_mmap.lock);
}

void link_insert(struct rmap_link *link)
{
	const struct vma *vma = link->vma;

	assert_tree_locked(link);
	link->node.start = vma->vm_pgoff;
	link->node.last = vma_pgoff_at(vma, vma->vm_end) - 1;
	interval_tree_insert(link_tree(link), &link->node);
}

void link_remove(struct rmap_link *link)
{
	assert_tree_locked(link);
	interval_tree_remove(link_tree(link), &link->node);
}

unsigned int vma_links_wanted(const struct vma *vma)
{
	return vma->rmap.anon_links + vma_maps_file(vma);
}

static void link_file(struct vma *vma, struct link_stock *stock)
{
	struct inode *inode = vma->vm_file->inode;
	struct rmap_link *link = link_take(stock);

	VM_WARN_ON(vma_file_link(vma));
	link->vma = vma;
	link->anon = NULL;
	link->next = vma->rmap.links;
	vma->rmap.links = link;
	down_write(&inode->i_mmap.lock);
	link_insert(link);
	up_write(&inode->i_mmap.lock);
}

int vma_link_file(struct vma *vma)
{
	struct link_stock stock = { NULL };

	if (!vma_maps_file(vma))
		return 0;
	if (link_stock_add(&stock, 1))
		return -ENOMEM;
	link_file(vma, &stock);
	return 0;
}

int vma_links_copy(struct vma *dst, const struct vma *src, struct link_stock *stock)
{
	const unsigned int n = vma_links_wanted(src);
	struct link_stock own;

	VM_WARN_ON(dst->rmap.links);
	if (!n)
		return 0;
	if (link_stock_for(&stock, &own, n))
		return -ENOMEM;
	if (vma_maps_file(src))
		link_file(dst, stock);
	return anon_vma_clone(dst, src, stock);
}

void vma_unlink(struct vma *vma)
{
	struct rmap_link *link = vma_file_link(vma);

	if (link) {
		struct inode *inode = vma->vm_file->inode;

		down_write(&inode->i_mmap.lock);
		link_remove(link);
		up_write(&inode->i_mmap.lock);
		vma->rmap.links = link->next;
		link_free(link);
	}
	anon_vma_unlink(vma);
}

/* adjusting ------------------------------------------------------------------ */

void vma_adjust_begin(struct vma_adjust *adjust)
{
	adjust->inode = NULL;
	adjust->root = NULL;
	for (unsigned int i = 0; i < adjust->n; i++) {
		const struct vma *vma = adjust->vma[i];

		vma_assert_write_locked(vma);
		if (vma_file_link(vma)) {
			VM_WARN_ON(adjust->inode && adjust->inode != vma->vm_file->inode);
			adjust->inode = vma->vm_file->inode;
		}
		if (vma->anon_vma) {
			VM_WARN_ON(adjust->root && adjust->root != vma->anon_vma->root);
			adjust->root = vma->anon_vma->root;
		}
	}
	if (adjust->inode)
		down_write(&adjust->inode->i_mmap.lock);
	if (adjust->root)
		down_write(&adjust->root->lock);
	for (unsigned int i = 0; i < adjust->n; i++)
		for (struct rmap_link *link = adjust->vma[i]->rmap.links; link; link = link->next)
			link_remove(link);
}

void vma_adjust_end(struct vma_adjust *adjust)
{
	for (unsigned int i = 0; i < adjust->n; i++)
		for (struct rmap_link *link = adjust->vma[i]->rmap.links; link; link = link->next)
			link_insert(link);
	if (adjust->root)
		up_write(&adjust->root->lock);
	if (adjust->inode)
		up_write(&adjust->inode->i_mmap.lock);
}

void vma_adjust_range(struct vma *vma, unsigned long start, unsigned long end, unsigned long pgoff)
{
	struct vma_adjust adjust = { .vma = { vma }, .n = 1 };

	vma_adjust_begin(&adjust);
	vma_set_range(vma, start, end, pgoff);
	vma_adjust_end(&adjust);
}
