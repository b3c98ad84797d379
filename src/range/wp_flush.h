/* SPDX-License-Identifier: MIT */
/*
 * Requests that write-protect pages under the mmap_lock for reading, and flush once at their end:
 * UFFDIO_WRITEPROTECT, PAGEMAP_SCAN.
 *
 *   first                          second
 *   wp_begin                       wp_begin
 *   entry: not writable            the entry is protected: nothing to do
 *                                  wp_end: the first one is under way, so flush as well
 *   wp_end: flush                  return: no TLB allows a store
 *
 * Behind either request no TLB may allow a store to its pages. So one that finds an entry protected
 * by another request, which may not have flushed yet, flushes its whole range. mm.watch.uffds has
 * how many are under way. The count rises before the first entry changes, and a second request
 * reads it behind the lock of that entry's leaf. It falls behind the flush.
 *
 * All else that takes the right to write away keeps these requests out until it has flushed (the
 * mmap_lock for writing), or flushes with the leaf's lock held (rmap/).
 */
#ifndef RANGE_WP_FLUSH_H
#define RANGE_WP_FLUSH_H

#include "mmu/tlb.h"
#include "range/leaf.h"

/* One request's part in one VMA. */
struct wp_flush {
	struct vma *vma;
	unsigned long start, end; /* what it has protected itself */
};

static inline void wp_begin(struct wp_flush *wp, struct vma *vma)
{
	*wp = (struct wp_flush){ .vma = vma, .start = ~0UL };
	atomic_inc(&vma->vm_mm->watch.uffds.protecting);
}

/* The entry at, of addr, becomes now, which is not empty. The leaf is locked. */
static inline void wp_set(struct wp_flush *wp, struct table *leaf, pte_t *at, unsigned long addr,
			  pte_t now)
{
	const pte_t old = pte_read(at);

	if (pte_none(old))
		table_fill(leaf, at, now);
	else if (!pte_same(old, now))
		pte_set(at, now);
	if (!pte_accessible(old) || !pte_write(old))
		return;
	wp->start = min(wp->start, addr);
	wp->end = max(wp->end, addr + mm_page_size(wp->vma->vm_mm));
}

/* [start, end) is all that it has looked at. No leaf's lock is held. */
static inline void wp_end(const struct wp_flush *wp, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = wp->vma->vm_mm;

	if (smp_load_acquire(&mm->watch.uffds.protecting) > 1)
		tlb_flush_range(mm, start, end, TLB_LOST_WRITE);
	else if (wp->start < wp->end)
		tlb_flush_range(mm, wp->start, wp->end, TLB_LOST_WRITE);
	atomic_dec_release(&mm->watch.uffds.protecting);
}

/* range_uffd_protect() as a part of a request: the flush is wp_end()'s. */
int range_uffd_protect_part(struct wp_flush *wp, unsigned long start,
			    unsigned long end) __must_check;

#endif
