/* SPDX-License-Identifier: MIT */
/*
 * What the first access to memory does to its VMA: as long as there are no
 * pages, that is the anon_vma, and a stack that grows.
 *
 * mmap_lock is held for writing, since a page fault may change the VMA.
 */
#ifndef VMA_TOUCH_H
#define VMA_TOUCH_H

#include "core/mm.h"

/* vma gets an anon_vma, a neighbour's if the two could be merged later. 0 or -ENOMEM. */
int anon_vma_prepare(struct vma *vma) __must_check;

/* The program accesses [addr, addr + len) as PROT_* says. 0, -EFAULT, -ENOMEM. */
int touch_range(struct samara_mm *mm, unsigned long addr, unsigned long len,
		int access) __must_check;

/*
 * What mlock and MAP_POPULATE fault in: each VMA of [start, end) as it may be
 * accessed, writable private ones for writing. 0; -ENOMEM: a hole; -EFAULT: a VMA
 * that cannot be accessed. Stops at the first of them.
 */
int populate_range(struct samara_mm *mm, unsigned long start, unsigned long end) __must_check;
/* The same, going on behind whatever cannot be faulted in: mmap and mlockall do not say so. */
void populate_quietly(struct samara_mm *mm, unsigned long start, unsigned long end);

/* vma up to end is read or written, whatever its rights. 0, -EFAULT: beyond the file, -ENOMEM. */
int populate_for(struct vma *vma, unsigned long end, int write) __must_check;

/* A call has made vma what it is now: touch it if the mm's policy says so. */
void touch_by_policy(struct vma *vma);
/* The same for the VMA at addr, if there is one. */
void touch_at_by_policy(struct samara_mm *mm, unsigned long addr);

#endif
