/* SPDX-License-Identifier: MIT */
/*
 * What PAGEMAP_SCAN says of pages.
 *
 *   entry          categories, besides those of the VMA
 *   -------------- ----------------------------------------------------------------
 *   no table       WRITTEN only if the VMA is registered for write protection
 *   empty          WRITTEN
 *   present        PRESENT, FILE, PFNZERO (the zero frame), SOFT_DIRTY, WRITTEN
 *   swap entry     SWAPPED, SOFT_DIRTY, WRITTEN
 *   migration      SWAPPED, FILE, SOFT_DIRTY, WRITTEN
 *   marker         SWAPPED, GUARD, WRITTEN
 *
 * WRITTEN is what is not write-protected by a userfaultfd. A page is wanted if, with
 * category_inverted exchanged, it has all of category_mask and one of category_anyof_mask. Pages
 * one behind the other with the same categories of return_mask are one region, across VMAs too.
 *
 * With PM_SCAN_WP_MATCHING the pages that are given are write-protected: those that are WRITTEN,
 * and where no table is. Each under the lock of its leaf, under which it was looked at, so that no
 * write is missed in between. One flush for a VMA, before the caller is told (wp_flush.h). All that
 * is registered for asynchronous write protection may have markers (UFFD_FEATURE_WP_UNPOPULATED).
 *
 * As Linux 6.18 answers (tests/oracle/pagemap_scan.c compares).
 *
 * Locks: mmap_lock for reading; one leaf's lock at a time.
 */
#include "range/scan.h"

#include <errno.h>

#include "mmu/notifier.h"
#include "range/range.h"
#include "range/wp_flush.h"

/* One VMA of a scan. */
struct scan_walk {
	struct range_scan *scan;
	struct vma *vma;
	bool files;    /* FILE is asked for: folios have to be looked at */
	bool protects; /* what matches is write-protected */
	struct wp_flush wp;
};

static bool wanted(const struct pm_scan_arg *ask, unsigned long is)
{
	is ^= ask->category_inverted;
	if ((is & ask->category_mask) != ask->category_mask)
		return false;
	return !ask->category_anyof_mask || (is & ask->category_anyof_mask);
}

/* The last region grows, or a new one begins. False: there is no room for it. */
static bool push(struct range_scan *scan, unsigned long is, unsigned long addr, unsigned long end)
{
	struct page_region *last = scan->nr ? &scan->region[scan->nr - 1] : NULL;

	if (last && last->end == addr && last->categories == is) {
		last->end = end;
		return true;
	}
	if (scan->nr == scan->room)
		return false;
	scan->region[scan->nr++] =
		(struct page_region){ .start = addr, .end = end, .categories = is };
	return true;
}

/* [addr, *end) is wanted. *end becomes the end of what is taken of it. 0 or -ENOSPC. */
static int take(const struct scan_walk *w, unsigned long is, unsigned long addr, unsigned long *end)
{
	struct range_scan *scan = w->scan;
	const unsigned long size = mm_page_size(w->vma->vm_mm);
	const unsigned long pages = (*end - addr) / size, left = scan->most - scan->pages;

	if (!scan->room)
		return 0;
	if (pages > left)
		*end = addr + left * size;
	if (!left || !push(scan, is & scan->ask->return_mask, addr, *end))
		*end = addr;
	scan->pages += (*end - addr) / size;
	if (*end == addr + pages * size)
		return 0;
	scan->stopped = *end;
	return -ENOSPC;
}

static bool file_page(const struct scan_walk *w, unsigned long pfn)
{
	return w->files && !folio_test(pfn_folio(vma_ram(w->vma), pfn), FOLIO_ANON);
}

static unsigned long swp_is(const struct scan_walk *w, pte_t pte)
{
	unsigned long is = PAGE_IS_SWAPPED;

	if (pte_migration(pte) && file_page(w, migration_pfn(pte)))
		is |= PAGE_IS_FILE;
	if (pte_marker(pte) & MARKER_GUARD)
		is |= PAGE_IS_GUARD;
	return is;
}

static unsigned long present_is(const struct scan_walk *w, pte_t pte)
{
	if (!pte_special(pte))
		return PAGE_IS_PRESENT | (file_page(w, pte_pfn(pte)) ? PAGE_IS_FILE : 0);
	return PAGE_IS_PRESENT | (pte_pfn(pte) == ZERO_FRAME ? PAGE_IS_PFNZERO : 0);
}

static unsigned long page_is(const struct scan_walk *w, pte_t pte)
{
	unsigned long is = w->scan->vma_is;

	if (!pte_any_uffd_wp(pte))
		is |= PAGE_IS_WRITTEN;
	if (pte_none(pte))
		return is;
	if ((pte.v & pte_soft_dirty_bit(pte)) && mm_soft_dirty(w->vma->vm_mm))
		is |= PAGE_IS_SOFT_DIRTY;
	return is | (pte_present(pte) ? present_is(w, pte) : swp_is(w, pte));
}

/* Bits of a present entry, not special, that say all of it but whose page it is. */
#define SAYS (PTE_PRESENT | PTE_NONE_ACCESS | PTE_SPECIAL | PTE_UFFD_WP | PTE_SOFT_DIRTY)

/* Whether pte has the categories that the entry first has, which are is. */
static inline bool same(const struct scan_walk *w, pte_t first, unsigned long is, pte_t pte)
{
	if (pte_none(first))
		return pte_none(pte);
	if (pte_present(first) && !pte_special(first) && !w->files)
		return !((pte.v ^ first.v) & SAYS);
	return !pte_none(pte) && page_is(w, pte) == is;
}

/* Of n entries from at on, how many have the categories of the first one. */
static unsigned long run_of(const struct scan_walk *w, const pte_t *at, unsigned long n,
			    unsigned long is)
{
	const pte_t first = pte_read(at);
	unsigned long i = 1;

	while (i < n && same(w, first, is, pte_read(&at[i])))
		i++;
	return i;
}

/*
 * That the page is not WRITTEN any more. As in Linux this is noted on guards and poison too, which
 * UFFDIO_WRITEPROTECT passes by.
 */
static pte_t not_written(const struct vma *vma, pte_t pte)
{
	if (pte_none(pte) || pte_marker(pte))
		return mk_marker(pte_marker(pte) | MARKER_UFFD_WP);
	return pte_protected(vma, pte);
}

/* n entries from addr on, which are WRITTEN. */
static void protect(struct scan_walk *w, struct table *leaf, unsigned long addr, unsigned long n)
{
	pte_t *at = table_pte(w->vma->vm_mm, leaf, addr);

	for (; n; n--, at++, addr += mm_page_size(w->vma->vm_mm))
		wp_set(&w->wp, leaf, at, addr, not_written(w->vma, pte_read(at)));
}

/* Linux does not look at what is wanted where no regions are. */
static bool protects_all(const struct scan_walk *w)
{
	return w->protects && !w->scan->room;
}

static int scan_leaf(struct scan_walk *w, const struct leaf_part *part)
{
	const unsigned long size = mm_page_size(w->vma->vm_mm);
	unsigned long addr = part->addr, n, next;
	int err = 0;

	table_lock(part->leaf);
	for (; !err && addr < part->end; addr += n * size) {
		const pte_t *at = table_pte(w->vma->vm_mm, part->leaf, addr);
		const unsigned long is = page_is(w, pte_read(at));

		n = run_of(w, at, (part->end - addr) / size, is);
		next = addr + n * size;
		if (!protects_all(w) && !wanted(w->scan->ask, is))
			continue;
		err = take(w, is, addr, &next);
		if (w->protects && (is & PAGE_IS_WRITTEN) && next != addr)
			protect(w, part->leaf, addr, (next - addr) / size);
	}
	table_unlock(part->leaf);
	return err;
}

/* Where no table is. */
static int scan_hole(struct scan_walk *w, unsigned long addr, unsigned long end)
{
	unsigned long is = w->scan->vma_is;
	int err, full;

	if (vma_uffd_wp(w->vma))
		is |= PAGE_IS_WRITTEN;
	if (addr == end || !wanted(w->scan->ask, is))
		return 0;
	full = take(w, is, addr, &end);
	err = w->protects && addr != end ? range_uffd_protect_part(&w->wp, addr, end) : 0;
	return err ? err : full;
}

static int walk(struct scan_walk *w, unsigned long start, unsigned long end)
{
	struct leaf_part part = LEAF_PART_FROM(start);
	unsigned long from = start;
	int err = 0;

	while (!err && leaf_next(w->vma->vm_mm, &part, end)) {
		part_refuse_huge(&part);
		err = scan_hole(w, from, part.addr);
		if (!err)
			err = scan_leaf(w, &part);
		from = part.end;
	}
	return err ? err : scan_hole(w, from, end);
}

int range_scan(struct range_scan *scan, struct vma *vma, unsigned long start, unsigned long end)
{
	const struct pm_scan_arg *ask = scan->ask;
	struct samara_notifier_range range = { vma->vm_mm, start, end, SAMARA_NOTIFY_PROTECT, 0 };
	struct scan_walk w = {
		.scan = scan,
		.vma = vma,
		.files = (ask->category_mask | ask->category_anyof_mask | ask->return_mask) &
			 PAGE_IS_FILE,
		.protects = ask->flags & PM_SCAN_WP_MATCHING,
	};
	int err;

	rwsem_assert_held(&vma->vm_mm->mmap_lock.sem);
	VM_WARN_ON(w.protects && !vma_uffd_wp(vma));
	if (!w.protects)
		return walk(&w, start, end);
	notifier_start(vma->vm_mm, &range);
	wp_begin(&w.wp, vma);
	err = walk(&w, start, end);
	wp_end(&w.wp, start, end);
	notifier_end(vma->vm_mm, &range);
	return err;
}
