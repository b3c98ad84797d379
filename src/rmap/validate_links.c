/* SPDX-License-Identifier: MIT */
/*
 * The executable form of the invariants that rmap.h lists.
 */
#include "base/report.h"
#include "rmap/link.h"

static int broken(const struct vma *vma, const char *name, const char *what,
		  struct samara_report *out)
{
	return report_broken(out, name, "%lx..%lx: %s", vma->vm_start, vma->vm_end, what);
}

/* The tree's lock is held. */
static int check_link(const struct rmap_link *link, struct samara_report *out)
{
	const struct vma *vma = link->vma;
	const unsigned long start = vma->vm_pgoff;
	const unsigned long last = start + mm_pages(vma->vm_mm, vma_size(vma)) - 1;
	const struct interval_node *node;

	if (link->node.start != start || link->node.last != last)
		return broken(vma, "link_tree", "a link is not under its pages", out);
	node = interval_tree_iter_first(link_tree(link), start, start);
	while (node && node != &link->node)
		node = interval_tree_iter_next((struct interval_node *)node, start, start);
	return node ? 0 : broken(vma, "link_tree", "a link is not in its family's tree", out);
}

static int check_file(const struct vma *vma, const struct rmap_link *link,
		      struct samara_report *out)
{
	struct inode *inode;
	int err;

	if (!link != !vma_maps_file(vma))
		return broken(vma, "link_file",
			      link ? "a file link without a file" : "a file without a link", out);
	if (!link)
		return 0;
	inode = vma->vm_file->inode;
	down_read(&inode->i_mmap.lock);
	err = check_link(link, out);
	up_read(&inode->i_mmap.lock);
	return err;
}

/* The root's lock is held. */
static int check_families(const struct vma *vma, struct samara_report *out)
{
	const struct anon_vma *root = vma->anon_vma->root;
	const struct rmap_link *link;
	unsigned int links = 0;
	bool own = false, to_root = false;
	int err;

	for (link = vma_anon_links(vma); link; link = link->next) {
		if (!link->anon)
			return broken(vma, "link_file", "a file link that is not the first", out);
		if (link->vma != vma)
			return broken(vma, "link_anon", "a link of another VMA", out);
		if (link->anon->root != root)
			return broken(vma, "link_root", "families of two roots", out);
		own |= link->anon == vma->anon_vma;
		to_root |= link->anon == root;
		links++;
		err = check_link(link, out);
		if (err)
			return err;
	}
	if (links != vma->rmap.anon_links || !own || !vma->anon_vma->active_vmas)
		return broken(vma, "link_anon", "anon_links or anon_vma do not fit its links", out);
	return to_root ? 0 : broken(vma, "link_root", "no link to the root", out);
}

int rmap_validate_vma(const struct vma *vma, struct samara_report *out)
{
	struct samara_spinlock *first_family = &vma->vm_mm->tables.anon_lock;
	const struct rmap_link *file;
	struct anon_vma *anon;
	bool stray;
	int err;

	/* With the mmap_lock held for reading, a family may come just now; then it stays. */
	spin_lock(first_family, RANK_PAGE_TABLE);
	file = vma_file_link(vma);
	anon = vma->anon_vma;
	stray = !anon && (vma_anon_links(vma) || vma->rmap.anon_links);
	spin_unlock(first_family);
	if (stray)
		return broken(vma, "link_anon", "links without an anon_vma", out);
	err = check_file(vma, file, out);
	if (err || !anon)
		return err;
	down_read(&anon->root->lock);
	err = check_families(vma, out);
	up_read(&anon->root->lock);
	return err;
}
