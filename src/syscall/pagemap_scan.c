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

/* Regions that are found before they are copied out: as many as Linux finds. */
#define ROOM 512

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

/* The regions that were found go to arg->vec. How many, or -EFAULT. */
static long give(struct range_scan *scan, struct pm_scan_arg *ask)
{
	const unsigned int nr = scan->nr;

	if (!nr)
		return 0;
	if (host_copy_out((void *)(uintptr_t)ask->vec, scan->region, nr * sizeof(scan->region[0])))
		return -EFAULT;
	ask->vec += nr * sizeof(scan->region[0]);
	ask->vec_len -= nr;
	scan->nr = 0;
	return nr;
}

/*
 * Regions, or -errno; *walk_end: where it stopped, unchanged if it did not. scan->region has
 * room for ROOM of them, or vec_len.
 */
static long scan_all(struct range_scan *scan, struct samara_mm *mm, struct pm_scan_arg *ask,
		     unsigned long *walk_end)
{
	const unsigned long end = mm_page_align(mm, ask->end);
	unsigned long at = ask->start;
	long regions = 0, given;
	int err;

	do {
		scan->room = (unsigned int)min(ask->vec_len, (unsigned long long)ROOM);
		err = scan_from(scan, mm, at, end);
		/* After a walk in several pieces it stays the last piece's start, as in Linux. */
		if (err == -ENOSPC)
			*walk_end = at = scan->stopped;
		given = give(scan, ask);
		if (given < 0)
			return given;
		regions += given;
	} while (err == -ENOSPC && ask->vec_len && scan->pages != scan->most);
	return err && err != -ENOSPC ? err : regions;
}

long samara_pagemap_scan(struct samara_mm *mm, struct pm_scan_arg *arg)
{
	const int refused = mm_call(mm);
	struct range_scan scan = { 0 };
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
		scan.region = mem_alloc(&scan_site, min(ask.vec_len, (unsigned long long)ROOM) *
							    sizeof(scan.region[0]));
		if (!scan.region)
			return -ENOMEM;
	}
	ret = scan_all(&scan, mm, &ask, &walk_end);
	mem_free(&scan_site, scan.region);
	arg->walk_end = walk_end ? walk_end : mm_page_align(mm, ask.end);
	return ret;
}
