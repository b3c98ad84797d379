/* SPDX-License-Identifier: MIT */
/*
 * Pages faulted in ahead. The mmap_lock is held, for reading or writing.
 */
#ifndef ACCESS_POPULATE_H
#define ACCESS_POPULATE_H

#include "core/mm.h"

/*
 * What mlock and MAP_POPULATE fault in: each VMA of [start, end) as it may be
 * accessed, writable private ones for writing. 0; -ENOMEM; -EFAULT: a VMA that cannot be
 * accessed, or nothing behind it; -EHWPOISON. Stops at the first of them, and at a hole (0).
 */
int populate_range(struct samara_mm *mm, unsigned long start, unsigned long end) __must_check;
/* The same, going on behind whatever cannot be faulted in: mmap and mlockall do not say so. */
void populate_quietly(struct samara_mm *mm, unsigned long start, unsigned long end);

/* vma's part of [start, end), with FAULT_WRITE or 0, whatever its rights. Errors as above. */
int populate_for(struct vma *vma, unsigned long start, unsigned long end,
		 unsigned int flags) __must_check;

#endif
