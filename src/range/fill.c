/* SPDX-License-Identifier: MIT */
/*
 * Pages that the handler of a userfaultfd gives.
 *
 *   request         private memory                     shared memory, and its private mappings
 *   --------------- ---------------------------------- ------------------------------------------
 *   COPY            an anonymous page                  a new page of the cache; private: as left
 *   ZEROPAGE        the zero frame                     a new page of the cache; private: as left
 *   CONTINUE        -                                  the cache's page; read-only if private
 *   POISON          a marker                           a marker; the cache is not asked
 *
 *   entry           COPY, CONTINUE, shared ZEROPAGE    POISON, private ZEROPAGE
 *   --------------- ---------------------------------- ------------------------------------------
 *   empty           filled                             filled
 *   marker          filled, a guard too, as in Linux   -EEXIST
 *   anything else   -EEXIST                            -EEXIST
 *
 * The frames of COPY were filled before, with no lock held. The leaf's lock orders a fill, a fault
 * and a zap. The entry is looked at under it, so one of two fills of a page says -EEXIST. A page
 * that was put into the cache, and whose entry is taken by then, leaves it again.
 *
 * Truncation: a page of the cache is locked from before the look at the file's length until it is
 * mapped, so truncation, which locks it too, comes before, or finds the mapping. An entry that is
 * no page of the cache is set if the length, looked at under the leaf's lock, allows it. Truncation
 * changes the length before it comes to the leaf. If the table is new, either the walk finds it or
 * the length is seen to have changed (smp_mb(); filemap/unmap.c has the other half).
 *
 * Locks: mmap_lock for reading; the folio's, pages.lock, the leaf's.
 */
#include <errno.h>

#include "frame/lru.h"
#include "range/leaf.h"
#include "range/range.h"
#include "rmap/rmap.h"
#include "store/file.h"
#include "store/pages.h"

/* Where one page goes. */
struct fill_place {
	const struct fill_desc *d;
	unsigned long addr;
	struct table *leaf;
	pte_t *at;
	struct folio **folio; /* COPY: the caller's */
};

static struct inode *place_inode(const struct fill_place *p)
{
	return p->d->vma->vm_file->inode;
}

static unsigned long place_index(const struct fill_place *p)
{
	return vma_pgoff_at(p->d->vma, p->addr);
}

/* As Linux: dirty whether or not it will be written to, and writable at once. */
static pte_t given_pte(const struct fill_place *p, const struct folio *folio)
{
	const unsigned long vm_flags = p->d->vma->vm_flags;
	const bool own = (vm_flags & VM_SHARED) || folio_test(folio, FOLIO_ANON);
	const pte_t pte = pte_with(mk_pte(folio_pfn(vma_ram(p->d->vma), folio), vm_flags),
				   PTE_WRITTEN | p->d->bits);

	return own && (vm_flags & VM_WRITE) && !(p->d->bits & PTE_UFFD_WP) ?
		       pte_with(pte, PTE_WRITE) :
		       pte;
}

static bool gives_way(pte_t pte)
{
	return pte_none(pte) || pte_marker(pte);
}

/* private ------------------------------------------------------------------------ */

/* Of /dev/zero, whose private mappings are anonymous memory, each page is: it has no length. */
static bool beyond_end(const struct fill_place *p)
{
	if (!p->d->vma->vm_file)
		return false;
	return file_is(p->d->vma->vm_file, SAMARA_FILE_ZERO) ||
	       place_index(p) >= inode_pages(place_inode(p));
}

static void put_anon(const struct fill_place *p)
{
	struct vma *vma = p->d->vma;

	folio_add_new_anon(*p->folio, vma, p->addr);
	lru_add(vma_ram(vma), *p->folio);
	table_put(p->leaf, p->at, given_pte(p, *p->folio));
	mm_rss_add(vma->vm_mm, MM_ANONPAGES, 1);
	*p->folio = NULL;
}

/* Leaf's lock. */
static int fill_entry(const struct fill_place *p)
{
	const pte_t old = pte_read(p->at);

	if (beyond_end(p))
		return -EFAULT;
	if (p->d->kind == FILL_COPY ? !gives_way(old) : !pte_none(old))
		return -EEXIST;
	if (p->d->kind == FILL_COPY)
		put_anon(p);
	else if (p->d->kind == FILL_POISON)
		table_fill(p->leaf, p->at, mk_marker(MARKER_POISON));
	else
		table_fill(p->leaf, p->at,
			   pte_with(mk_pte(ZERO_FRAME, p->d->vma->vm_flags), PTE_SPECIAL));
	return 0;
}

/* the page cache's --------------------------------------------------------------- */

/* folio is locked, and the cache's page; the caller's reference becomes the entry's. */
static int map_folio(const struct fill_place *p, struct folio *folio)
{
	int err = -EEXIST;

	table_lock(p->leaf);
	if (gives_way(pte_read(p->at)))
		err = folio_try_ref_to_map(folio) ? 0 : -ENOMEM;
	if (!err) {
		if (!folio_test(folio, FOLIO_DIRTY))
			folio_set(folio, FOLIO_DIRTY);
		table_put(p->leaf, p->at, given_pte(p, folio));
		mm_rss_add(p->d->vma->vm_mm, folio_rss(folio), 1);
	}
	table_unlock(p->leaf);
	return err;
}

/* A new page of the cache, locked, with a reference. */
static int new_folio(const struct fill_place *p, struct folio **out)
{
	int err;

	if (p->d->kind == FILL_ZERO) {
		err = page_cache_make(place_inode(p), place_index(p), out);
	} else {
		*out = *p->folio;
		err = shmem_fill(place_inode(p), place_index(p), *out);
	}
	/* At the commit limit, which Linux calls so too. */
	return err == -ENOSPC ? -ENOMEM : err;
}

static int fill_cache(const struct fill_place *p)
{
	struct ram *ram = vma_ram(p->d->vma);
	struct folio *folio;
	int err = new_folio(p, &folio);

	if (err)
		return err;
	if (p->folio)
		*p->folio = NULL;
	err = map_folio(p, folio);
	if (err)
		page_cache_remove(place_inode(p), folio);
	folio_unlock(folio);
	if (err)
		folio_put(ram, folio);
	return err;
}

/* The page, locked, with a reference, that is there or in swap. */
static int there(const struct fill_place *p, struct folio **out)
{
	int err;

	if (beyond_end(p))
		return -EINVAL;
	err = page_cache_get_existing(place_inode(p), place_index(p), out);
	if (err || !*out)
		return err ? err : -EFAULT;
	return folio_test(*out, FOLIO_POISONED) ? -EIO : 0;
}

static int fill_continue(const struct fill_place *p)
{
	struct folio *folio = NULL;
	int err = there(p, &folio);

	if (!err)
		err = map_folio(p, folio);
	if (!folio)
		return err;
	folio_unlock(folio);
	if (err)
		folio_put(vma_ram(p->d->vma), folio);
	return err;
}

/* all ---------------------------------------------------------------------------- */

static int fill_page(const struct fill_place *p)
{
	int err;

	if (p->d->kind == FILL_CONTINUE)
		return fill_continue(p);
	if (p->d->kind != FILL_POISON && (p->d->vma->vm_flags & VM_SHARED))
		return fill_cache(p);
	table_lock(p->leaf);
	err = fill_entry(p);
	table_unlock(p->leaf);
	return err;
}

/* Pages of one leaf from number done on, until one cannot: its number. */
static unsigned int fill_leaf(const struct fill_desc *d, struct table *leaf, unsigned int done,
			      unsigned long end, int *err)
{
	struct samara_mm *mm = d->vma->vm_mm;
	struct fill_place p = {
		.d = d,
		.addr = d->addr + done * mm_page_size(mm),
		.leaf = leaf,
	};

	for (; p.addr < end; p.addr += mm_page_size(mm), done++) {
		p.at = table_pte(mm, leaf, p.addr);
		p.folio = d->kind == FILL_COPY ? &d->folio[done] : NULL;
		*err = fill_page(&p);
		if (*err)
			break;
	}
	return done;
}

unsigned int range_fill(const struct fill_desc *d, int *err)
{
	struct samara_mm *mm = d->vma->vm_mm;
	const unsigned long end = d->addr + d->pages * mm_page_size(mm);
	unsigned int done = 0;
	struct table *leaf;

	rwsem_assert_held(&mm->mmap_lock.sem);
	*err = 0;
	while (!*err && done < d->pages) {
		const unsigned long addr = d->addr + done * mm_page_size(mm);

		*err = table_get(mm, addr, &leaf);
		if (*err)
			break;
		if (d->vma->vm_file)
			smp_mb();
		done = fill_leaf(d, leaf, done, leaf_end(mm->geo, addr, end), err);
	}
	return done;
}
