/* SPDX-License-Identifier: MIT */
/*
 * Inside rmap/: the entry that a walk has come to.
 */
#ifndef RMAP_RMAP_WALK_H
#define RMAP_RMAP_WALK_H

#include "mmu/notifier.h"
#include "mmu/table.h"
#include "rmap/link.h"

/* An entry that maps a page of the folio; its leaf is locked. */
struct mapped {
	struct table *leaf;
	pte_t *at;
	pte_t pte;
};

/*
 * Whether addr of vma maps the walk's folio; if so the leaf is locked until mapped_unlock(). The
 * table may leave the tree meanwhile, its memory stays: in between is an RCU section.
 */
bool mapped_lock(const struct rmap_walk *walk, const struct vma *vma, unsigned long addr,
		 struct mapped *m) __must_check;
/* The same for a migration entry that names a page of the folio. */
bool migrating_lock(const struct rmap_walk *walk, const struct vma *vma, unsigned long addr,
		    struct mapped *m) __must_check;
void mapped_unlock(const struct mapped *m);

/*
 * Where a folio's mappings are looked for: in the tree of its family, which is referenced, or of
 * its inode, or nowhere. rmap_walk() gets it, walks and puts it. Migration walks twice; nothing
 * maps the folio in between, so that its family would not be found again.
 */
struct rmap_trees {
	struct anon_vma *anon;
	struct inode *inode;
};
struct rmap_trees rmap_trees_get(const struct rmap_walk *walk) __must_check;
void rmap_trees_put(const struct rmap_trees *trees);
void rmap_walk_trees(struct rmap_walk *walk, const struct rmap_trees *trees);

/* One page of vma's mm, as a notifier hears of it. */
static inline struct samara_notifier_range page_range(const struct vma *vma, unsigned long addr,
						      enum samara_notifier_why why)
{
	return (struct samara_notifier_range){
		.mm = vma->vm_mm,
		.start = addr,
		.end = addr + mm_page_size(vma->vm_mm),
		.why = why,
	};
}

/* The address in vma of a page of a file or a family; the page is one of vma's. */
static inline unsigned long vma_address(const struct vma *vma, unsigned long index)
{
	return vma->vm_start + ((index - vma->vm_pgoff) << vma->vm_mm->geo->page_shift);
}

#endif
