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

#include "base/words.h"
#include "mmu/notifier.h"
#include "range/range.h"
#include "range/wp_flush.h"

/* One VMA of a scan. */
struct scan_walk {
	struct range_scan *scan;
	struct vma *vma;
	bool files;          /* FILE is asked for: folios have to be looked at */
	uint64_t soft_dirty; /* PTE_SOFT_DIRTY, or 0 where the machine has no such bits */
	unsigned int shift;  /* of a page */
	/* Of the last block: the bit by which its entries differed, and what they said. */
	unsigned int bit, says;
	unsigned long is[2]; /* without and with the bit */
	bool wants[2];
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
static __always_inline bool push(struct range_scan *scan, unsigned long is, unsigned long addr,
				 unsigned long end)
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

/* n pages from addr on are wanted. How many of them are taken: fewer, and the scan has stopped. */
static __always_inline unsigned long take(const struct scan_walk *w, unsigned long is,
					  unsigned long addr, unsigned long n)
{
	struct range_scan *scan = w->scan;
	unsigned long taken;

	if (!scan->room)
		return n;
	taken = min(n, scan->most - scan->pages);
	if (likely(taken) &&
	    unlikely(!push(scan, is & scan->ask->return_mask, addr, addr + (taken << w->shift))))
		taken = 0;
	scan->pages += taken;
	if (taken != n)
		scan->stopped = addr + (taken << w->shift);
	return taken;
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

static unsigned long special_is(pte_t pte)
{
	return PAGE_IS_PRESENT | (pte_pfn(pte) == ZERO_FRAME ? PAGE_IS_PFNZERO : 0);
}

/* Of an entry that is not present. */
static unsigned long absent_is(const struct scan_walk *w, pte_t pte)
{
	const uint64_t soft_dirty = w->soft_dirty ? pte_soft_dirty_bit(pte) : 0;

	return (pte_any_uffd_wp(pte) ? 0 : PAGE_IS_WRITTEN) |
	       (pte.v & soft_dirty ? PAGE_IS_SOFT_DIRTY : 0) | (pte_none(pte) ? 0 : swp_is(w, pte));
}

static inline unsigned long page_is(const struct scan_walk *w, pte_t pte)
{
	unsigned long is = w->scan->vma_is;

	if (unlikely(!pte_present(pte)))
		return is | absent_is(w, pte);
	is |= (pte_uffd_wp(pte) ? 0 : PAGE_IS_WRITTEN) |
	      (pte.v & w->soft_dirty ? PAGE_IS_SOFT_DIRTY : 0);
	if (unlikely(pte_special(pte)))
		return is | special_is(pte);
	return is | PAGE_IS_PRESENT | (file_page(w, pte_pfn(pte)) ? PAGE_IS_FILE : 0);
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

/* n pages of leaf from addr on, which are wanted. 0 or -ENOSPC. */
static inline int give(struct scan_walk *w, struct table *leaf, unsigned long addr, unsigned long n,
		       unsigned long is)
{
	const unsigned long taken = take(w, is, addr, n);

	if (w->protects && (is & PAGE_IS_WRITTEN) && taken)
		protect(w, leaf, addr, taken);
	return taken == n ? 0 : -ENOSPC;
}

/* Bits of a present entry, not special, that say all of it but whose page it is. */
#define SAYS \
	((unsigned int)(PTE_PRESENT | PTE_NONE_ACCESS | PTE_SPECIAL | PTE_UFFD_WP | PTE_SOFT_DIRTY))

/* What entries are that say this, without and with the bit by which they differ. */
static void block_says(struct scan_walk *w, unsigned int says)
{
	const unsigned int bit = 1U << w->bit;

	w->says = says;
	for (int set = 0; set < 2; set++) {
		w->is[set] = page_is(w, (pte_t){ set ? says | bit : says & ~bit });
		w->wants[set] = wanted(w->scan->ask, w->is[set]) || protects_all(w);
	}
}

/*
 * WORDS entries, if they differ at most in one bit of what they say: *look says where it is set. It
 * is tried by which the last ones differed. False: entries are not present, or differ in more.
 */
static bool block_look(struct scan_walk *w, const pte_t *at, struct words *look)
{
	unsigned int differ;

	*look = words_look(&at->v, SAYS, w->bit);
	differ = look->any ^ look->all;
	if (unlikely(differ & ~(1U << w->bit))) {
		if (differ & (differ - 1))
			return false;
		w->bit = (unsigned int)__builtin_ctz(differ);
		w->says = 0;
		*look = words_look(&at->v, SAYS, w->bit);
	}
	/* That some are not present is no difference of this kind. */
	if (!(look->all & (PTE_PRESENT | PTE_NONE_ACCESS)) || (look->any & PTE_SPECIAL))
		return false;
	if (unlikely(w->says != (look->any | 1U << w->bit)))
		block_says(w, look->any | 1U << w->bit);
	return true;
}

/* A bit for each entry at which a run begins whose pages are wanted; runs: at which any begins. */
static inline uint64_t wanted_runs(const struct scan_walk *w, uint64_t bits, uint64_t runs)
{
	return (w->wants[0] ? runs & ~bits : 0) | (w->wants[1] ? runs & bits : 0);
}

static inline int scan_block(struct scan_walk *w, struct table *leaf, unsigned long addr,
			     uint64_t bits)
{
	const uint64_t runs = (bits ^ bits << 1) | 1;
	uint64_t left = wanted_runs(w, bits, runs);
	int err = 0;

	for (; !err && left; left &= left - 1) {
		const unsigned int i = (unsigned int)__builtin_ctzll(left);
		const uint64_t next = runs & (~1ULL << i);
		const unsigned int end = next ? (unsigned int)__builtin_ctzll(next) : WORDS;

		err = give(w, leaf, addr + ((unsigned long)i << w->shift), end - i,
			   w->is[bits >> i & 1]);
	}
	return err;
}

/* Of n entries from at on, how many have the categories of the first one, which are is. */
static unsigned long run_of(const struct scan_walk *w, const pte_t *at, unsigned long n,
			    unsigned long is)
{
	const bool none = pte_none(pte_read(at));
	unsigned long i;

	for (i = 1; i < n; i++) {
		const pte_t pte = pte_read(&at[i]);

		if (pte_none(pte) != none || (!none && page_is(w, pte) != is))
			break;
	}
	return i;
}

static int scan_leaf(struct scan_walk *w, const struct leaf_part *part)
{
	const pte_t *at = table_pte(w->vma->vm_mm, part->leaf, part->addr);
	const unsigned long pages = (part->end - part->addr) >> w->shift;
	struct words look;
	unsigned long i, n;
	int err = 0;

	table_lock(part->leaf);
	for (i = 0; !err && i < pages; i += n) {
		const unsigned long addr = part->addr + (i << w->shift);

		n = min(pages - i, (unsigned long)WORDS);
		if (n == WORDS && !w->files && block_look(w, &at[i], &look)) {
			err = scan_block(w, part->leaf, addr, look.set);
		} else {
			const unsigned long is = page_is(w, pte_read(&at[i]));

			n = run_of(w, &at[i], n, is);
			if (protects_all(w) || wanted(w->scan->ask, is))
				err = give(w, part->leaf, addr, n, is);
		}
	}
	table_unlock(part->leaf);
	return err;
}

/* Where no table is. */
static int scan_hole(struct scan_walk *w, unsigned long addr, unsigned long end)
{
	const unsigned long n = (end - addr) >> w->shift;
	unsigned long is = w->scan->vma_is, taken;
	int err;

	if (vma_uffd_wp(w->vma))
		is |= PAGE_IS_WRITTEN;
	if (!n || !wanted(w->scan->ask, is))
		return 0;
	taken = take(w, is, addr, n);
	err = w->protects && taken ?
		      range_uffd_protect_part(&w->wp, addr, addr + (taken << w->shift)) :
		      0;
	if (err)
		return err;
	return taken == n ? 0 : -ENOSPC;
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
		.soft_dirty = mm_soft_dirty(vma->vm_mm) ? PTE_SOFT_DIRTY : 0,
		.shift = vma->vm_mm->geo->page_shift,
		.bit = (unsigned int)__builtin_ctzll(PTE_UFFD_WP),
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
