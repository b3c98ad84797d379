/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/pagemap.
 */
#include <errno.h>

#include <samara/access.h>

#include "range/range.h"
#include "vma/find.h"

int samara_pagemap(struct samara_mm *mm, unsigned long addr, unsigned long nr,
		   unsigned long long *entries)
{
	const int refused = mm_call(mm);
	struct vma *vma;

	if (refused)
		return refused;
	if (!mm_page_aligned(mm, addr) || nr > mm_pages(mm, ULONG_MAX - addr) + 1)
		return -EINVAL;
	mmap_read_lock(mm);
	for (unsigned long i = 0; i < nr; i++, addr += mm_page_size(mm)) {
		vma = addr < mm->geo->task_size ? vma_lookup(mm, addr) : NULL;
		entries[i] = pagemap_entry(vma, addr);
	}
	mmap_read_unlock(mm);
	return 0;
}
