/* SPDX-License-Identifier: MIT */
/*
 * Families of anonymous pages (rmap.h has the picture).
 *
 * Which VMAs share one decides what may be merged, so it is as in Linux: a split
 * shares, fork makes a child, and the first write to a VMA joins a neighbour's
 * family if the two differ in nothing but access rights.
 *
 * A family is freed after a grace period: rmap_walk() finds it from a folio under RCU, and takes a
 * reference.
 */
#include <errno.h>

#include "alloc/cache.h"
#include "base/assert.h"
#include "rmap/link.h"

static DEFINE_OBJ_CACHE(anon_vma_cache, "anon_vma", sizeof(struct anon_vma), 8);

/* One without links, child of parent unless that is NULL. No reference yet. */
static struct anon_vma *anon_vma_alloc(struct anon_vma *parent)
{
	struct anon_vma *anon = cache_alloc(&anon_vma_cache);

	if (!anon)
		return NULL;
	*anon = (struct anon_vma){ .parent = parent, .root = anon };
	rwsem_init(&anon->lock, RANK_ANON_RMAP);
	if (parent) {
		anon->root = parent->root;
		refcount_inc(&anon->root->refs);
	}
	return anon;
}

static void anon_vma_free(struct anon_vma *anon)
{
	struct anon_vma *root = anon->root;

	cache_free_rcu(&anon_vma_cache, anon);
	if (root != anon)
		anon_vma_put(root);
}

bool anon_vma_try_get(struct anon_vma *anon)
{
	return refcount_inc_not_zero(&anon->refs);
}

void anon_vma_put(struct anon_vma *anon)
{
	if (refcount_dec_and_test(&anon->refs))
		anon_vma_free(anon);
}

/* vma is linked to anon with link, and *at becomes link. The root's lock is held. */
static void link_anon(struct vma *vma, struct anon_vma *anon, struct rmap_link *link,
		      struct rmap_link **at)
{
	/* The first link of a new one, which no other thread knows? */
	if (!refcount_inc_not_zero(&anon->refs))
		refcount_set(&anon->refs, 1);
	link->vma = vma;
	link->anon = anon;
	link->next = NULL;
	link_insert(link);
	*at = link;
}

/* Links to all of src's families, in the same order, behind what dst has. */
static void clone_links(struct vma *dst, const struct vma *src, struct link_stock *stock)
{
	struct rmap_link **at = &dst->rmap.links;

	while (*at)
		at = &(*at)->next;
	for (struct rmap_link *link = vma_anon_links(src); link; link = link->next) {
		link_anon(dst, link->anon, link_take(stock), at);
		at = &(*at)->next;
	}
	dst->rmap.anon_links = src->rmap.anon_links;
}

int anon_vma_clone(struct vma *dst, const struct vma *src, struct link_stock *stock)
{
	struct anon_vma *anon = src->anon_vma;
	struct link_stock own;

	VM_WARN_ON(dst->anon_vma);
	if (!anon)
		return 0;
	if (link_stock_for(&stock, &own, src->rmap.anon_links))
		return -ENOMEM;
	down_write(&anon->root->lock);
	clone_links(dst, src, stock);
	dst->anon_vma = anon;
	anon->active_vmas++;
	up_write(&anon->root->lock);
	return 0;
}

/*
 * A family that child can take over: the oldest one that is no VMA's anon_vma any more and has at
 * most one child. Never the root.
 */
static struct anon_vma *reusable(const struct vma *child)
{
	struct anon_vma *found = NULL;

	for (struct rmap_link *link = vma_anon_links(child); link; link = link->next) {
		struct anon_vma *anon = link->anon;

		if (anon != anon->root && !anon->active_vmas && anon->children < 2)
			found = anon;
	}
	return found;
}

int anon_vma_fork(struct vma *child, const struct vma *parent)
{
	struct anon_vma *of = parent->anon_vma, *own;
	struct link_stock stock = { NULL };
	bool reused;

	if (!of)
		return 0;
	if (parent->rmap.anon_links >= ANON_LINKS_MAX ||
	    link_stock_add(&stock, parent->rmap.anon_links + 1))
		return -ENOMEM;
	own = anon_vma_alloc(of);
	if (!own) {
		link_stock_drop(&stock);
		return -ENOMEM;
	}
	down_write(&of->root->lock);
	clone_links(child, parent, &stock);
	child->anon_vma = reusable(child);
	reused = child->anon_vma;
	if (!reused) {
		struct rmap_link **first =
			vma_file_link(child) ? &child->rmap.links->next : &child->rmap.links;
		struct rmap_link *others = *first;

		link_anon(child, own, link_take(&stock), first);
		(*first)->next = others;
		child->anon_vma = own;
		child->rmap.anon_links++;
		of->children++;
	}
	child->anon_vma->active_vmas++;
	up_write(&of->root->lock);
	if (reused)
		anon_vma_free(own);
	link_stock_drop(&stock);
	return 0;
}

void anon_vma_unlink(struct vma *vma)
{
	struct anon_vma *root;
	struct rmap_link *link, *next, *first = vma_anon_links(vma);

	if (!vma->anon_vma)
		return;
	root = vma->anon_vma->root;
	down_write(&root->lock);
	/* Own family first: a family's parent has a link as long as it has one itself. */
	for (link = first; link; link = link->next) {
		struct anon_vma *anon = link->anon;

		link_remove(link);
		if (interval_tree_empty(&anon->tree) && anon->parent)
			anon->parent->children--;
	}
	vma->anon_vma->active_vmas--;
	up_write(&root->lock);
	if (vma->rmap.links == first)
		vma->rmap.links = NULL;
	else
		vma->rmap.links->next = NULL;
	WRITE_ONCE(vma->anon_vma, NULL);
	vma->rmap.anon_links = 0;
	for (link = first; link; link = next) {
		next = link->next;
		anon_vma_put(link->anon);
		link_free(link);
	}
}

/* the first write ------------------------------------------------------------ */

/* a ends where b begins, and a later mprotect could make them one: they may share a family. */
static bool may_share(const struct vma *a, const struct vma *b)
{
	return a->vm_end == b->vm_start && a->vm_file == b->vm_file &&
	       !((a->vm_flags ^ b->vm_flags) & ~(VM_ACCESS_FLAGS | VM_STICKY)) &&
	       b->vm_pgoff == vma_pgoff_at(a, a->vm_end);
}

/* The family of near, if it has no ancestors. */
static struct anon_vma *family_of(const struct vma *near)
{
	struct anon_vma *anon = smp_load_acquire(&near->anon_vma);

	return anon && near->rmap.anon_links == 1 ? anon : NULL;
}

/* A neighbour's family that vma may join; the next one's is preferred. */
static struct anon_vma *neighbours_family(const struct vma *vma)
{
	struct samara_mm *mm = vma->vm_mm;
	const struct vma *next = mtree_load(&mm->mt, vma->vm_end);
	const struct vma *prev = vma->vm_start ? mtree_load(&mm->mt, vma->vm_start - 1) : NULL;
	struct anon_vma *anon = NULL;

	if (next && may_share(vma, next))
		anon = family_of(next);
	if (!anon && prev && may_share(prev, vma))
		anon = family_of(prev);
	return anon;
}

int anon_vma_prepare(struct vma *vma)
{
	struct link_stock stock = { NULL };
	struct samara_mm *mm = vma->vm_mm;
	struct anon_vma *anon, *fresh = NULL;

	if (smp_load_acquire(&vma->anon_vma))
		return 0;
	anon = neighbours_family(vma);
	if (!anon)
		anon = fresh = anon_vma_alloc(NULL);
	if (!anon || link_stock_add(&stock, 1)) {
		if (fresh)
			anon_vma_free(fresh);
		return -ENOMEM;
	}
	/* Of two that come at once the second finds it done. */
	down_write(&anon->root->lock);
	spin_lock(&mm->tables.anon_lock, RANK_PAGE_TABLE);
	if (!vma->anon_vma) {
		struct rmap_link **at = vma->rmap.links ? &vma->rmap.links->next : &vma->rmap.links;

		link_anon(vma, anon, link_take(&stock), at);
		anon->active_vmas++;
		vma->rmap.anon_links = 1;
		smp_store_release(&vma->anon_vma, anon);
		fresh = NULL;
	}
	spin_unlock(&mm->tables.anon_lock);
	up_write(&anon->root->lock);
	if (fresh)
		anon_vma_free(fresh);
	link_stock_drop(&stock);
	return 0;
}
