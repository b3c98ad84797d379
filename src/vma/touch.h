/* SPDX-License-Identifier: MIT */
/*
 * Memory that is taken to have been written to, where nobody says what a program accesses
 * (SAMARA_TOUCH_EAGER): its VMA gets an anon_vma, which is what merging looks at. No page
 * comes of it.
 *
 * mmap_lock is held for writing.
 */
#ifndef VMA_TOUCH_H
#define VMA_TOUCH_H

#include "rmap/rmap.h"

/* A call has made vma what it is now: touch it if the mm's policy says so. */
void touch_by_policy(struct vma *vma);
/* The same for the VMA at addr, if there is one. */
void touch_at_by_policy(struct samara_mm *mm, unsigned long addr);

#endif
