/* SPDX-License-Identifier: MIT */
/*
 * ioctl(2) PAGEMAP_SCAN of /proc/PID/pagemap: arguments in Linux's order, the walk over VMAs, and
 * what was found to the caller's memory.
 *
 *   lock | VMA, VMA, ... until region[] is full | unlock | copy out | lock | from there on ...
 */
#include <errno.h>

#include <samara/uffd.h>

#include "alloc/mem.h"
#include "base/host.h"
#include "range/scan.h"
#include "uffd/uffd.h"
#include "vma/find.h"

static DEFINE_ALLOC_SITE(scan_site, "pagemap_scan");

/* Regions that are found while the lock is held once: as many as Linux finds. */
#define ROOM 512U
/* And that are kept before they are copied out, since each copy is a call of the host. */
#define KEPT (4 * ROOM)

#define FLAGS (PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC)
#define CATEGORIES \
	(PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN | PAGE_IS_FILE | PAGE_IS_PRESENT | PAGE_IS_SWAPPED | \
	 PAGE_IS_PFNZERO | PAGE_IS_HUGE | PAGE_IS_SOFT_DIRTY | PAGE_IS_GUARD)

/* No process has memory above this: x86-64 with four levels. */
#define CALLER_TOP ((1ULL << 47) - 4096)

static bool vec_may_be(const struct pm_scan_arg *ask)
{
	return ask->vec <= CALLER_TOP &&
	       ask->vec_len <= (CALLER_TOP - ask->vec) / sizeof(struct page_region);
}

/* The range is the guest's, vec the caller's. */
static int check(const struct samara_mm *mm, const struct pm_scan_arg *ask)
{
	if (ask->size != sizeof(*ask) || (ask->flags & ~(unsigned long long)FLAGS) ||
	    ((ask->category_inverted | ask->category_mask | ask->category_anyof_mask |
	      ask->return_mask) &
	     ~(unsigned long long)CATEGORIES) ||
	    !mm_page_aligned(mm, ask->start))
		return -EINVAL;
	if (ask->end < ask->start || ask->end > mm->geo->task_size)
		return -EFAULT;
	if (ask->vec_len && !ask->vec)
		return -EINVAL;
	return vec_may_be(ask) ? 0 : -EFAULT;
}

/* Write protection by userfaultfd that does not stop a thread, but is taken off by its write. */
static bool wp_async(const struct vma *vma)
{
	return (vma->vm_flags & VM_UFFD_WP) &&
	       (uffd_features(vma->rare.uffd) & UFFD_FEATURE_WP_ASYNC);
}

/* 1: no page of vma is wanted; 0; -EPERM. */
static int begin_vma(struct range_scan *scan, const struct vma *vma)
{
	const struct pm_scan_arg *ask = scan->ask;
	const unsigned long need = ask->category_mask & PAGE_IS_WPALLOWED;
	const bool async = wp_async(vma);

	if (!async && (ask->flags & PM_SCAN_CHECK_WPASYNC))
		return -EPERM;
	if (vma->vm_flags & VM_PFNMAP || (!async && (ask->flags & PM_SCAN_WP_MATCHING)))
		return 1;
	scan->vma_is = (async ? PAGE_IS_WPALLOWED : 0) |
		       (vma->vm_flags & VM_SOFTDIRTY ? PAGE_IS_SOFT_DIRTY : 0);
	return ((scan->vma_is ^ ask->category_inverted) & need) != need;
}

/* From start on. 0, -ENOSPC, -EPERM, -ENOMEM. */
static int scan_from(struct range_scan *scan, struct samara_mm *mm, unsigned long start,
		     unsigned long end)
{
	int err = 0;

	mmap_read_lock(mm);
	for (struct vma *vma = vma_find(mm, start, end); !err && vma;
	     vma = vma_find(mm, vma->vm_end, end)) {
		err = begin_vma(scan, vma);
		if (err < 0)
			break;
		err = err ? 0 :
			    range_scan(scan, vma, max(start, vma->vm_start), min(end, vma->vm_end));
	}
	mmap_read_unlock(mm);
	return err;
}

/* What is kept goes to ask->vec. 0 or -EFAULT. */
static int give(struct pm_scan_arg *ask, const struct page_region *kept, unsigned int nr)
{
	if (nr && host_copy_out((void *)(uintptr_t)ask->vec, kept, nr * sizeof(*kept)))
		return -EFAULT;
	ask->vec += nr * sizeof(*kept);
	return 0;
}

/*
 * Regions, or -errno; *walk_end: where it stopped, unchanged if it did not. region has room for
 * KEPT of them, or vec_len. Where pages are write-protected each piece is copied out before the
 * next.
 */
static long scan_all(struct range_scan *scan, struct samara_mm *mm, struct pm_scan_arg *ask,
		     struct page_region *region, unsigned long *walk_end)
{
	const unsigned int most = ask->flags & PM_SCAN_WP_MATCHING ? ROOM : KEPT;
	const unsigned long end = mm_page_align(mm, ask->end);
	unsigned long at = ask->start;
	unsigned int kept = 0;
	long regions = 0;
	bool more;
	int err;

	do {
		scan->region = region + kept;
		scan->nr = 0;
		scan->room = (unsigned int)min(ask->vec_len, (unsigned long long)ROOM);
		err = scan_from(scan, mm, at, end);
		/* After a walk in several pieces it stays the last piece's start, as in Linux. */
		if (err == -ENOSPC)
			*walk_end = at = scan->stopped;
		kept += scan->nr;
		regions += scan->nr;
		ask->vec_len -= scan->nr;
		more = err == -ENOSPC && ask->vec_len && scan->pages != scan->most;
		if (!more || kept + ROOM > most) {
			if (give(ask, region, kept))
				return -EFAULT;
			kept = 0;
		}
	} while (more);
	return err && err != -ENOSPC ? err : regions;
}

long samara_pagemap_scan(struct samara_mm *mm, struct pm_scan_arg *arg)
{
	const int refused = mm_call(mm);
	struct range_scan scan = { 0 };
	struct page_region *region = NULL;
	unsigned long walk_end = 0;
	struct pm_scan_arg ask;
	long ret;

	if (refused)
		return refused;
	if (!arg)
		return -EFAULT;
	ask = *arg;
	ret = check(mm, &ask);
	if (ret)
		return ret;
	scan.ask = &ask;
	scan.most = ask.max_pages ? ask.max_pages : ULONG_MAX;
	if (ask.vec_len) {
		region = mem_alloc(&scan_site,
				   min(ask.vec_len, (unsigned long long)KEPT) * sizeof(*region));
		if (!region)
			return -ENOMEM;
	}
	ret = scan_all(&scan, mm, &ask, region, &walk_end);
	mem_free(&scan_site, region);
	arg->walk_end = walk_end ? walk_end : mm_page_align(mm, ask.end);
	return ret;
}
