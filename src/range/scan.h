/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN over one VMA's range: which pages are what, as regions of pages that are the same.
 */
#ifndef RANGE_SCAN_H
#define RANGE_SCAN_H

#include <samara/uffd_abi.h>

#include "core/mm.h"

/* One scan of an address space. The caller begins with all but ask, room and most zero. */
struct range_scan {
	const struct pm_scan_arg *ask; /* as the program asks; checked */
	unsigned long vma_is;          /* PAGE_IS_* that every page of the VMA has */
	unsigned long stopped;         /* where, after -ENOSPC */
	unsigned long pages, most;     /* in regions so far, and how many there may be */
	unsigned int nr, room;         /* regions; room 0: only write protection is wanted */
	struct page_region *region;    /* room of them */
};

/*
 * The pages of [start, end) of vma go to scan->region, and are write-protected if that is asked
 * for: vma is registered for it then. 0; -ENOSPC: there is no room for the page at scan->stopped,
 * or there are scan->most pages; -ENOMEM: tables, and what was given is not all protected.
 * mmap_lock for reading. Flushes.
 */
int range_scan(struct range_scan *scan, struct vma *vma, unsigned long start,
	       unsigned long end) __must_check;

#endif
