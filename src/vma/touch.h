/* SPDX-License-Identifier: MIT */
/*
 * SAMARA_TOUCH_EAGER: memory counts as written to from the start, for an embedder that does not
 * report accesses. Its VMA gets an anon_vma, which decides whether it merges. No page is allocated.
 *
 * mmap_lock is held for writing.
 */
#ifndef VMA_TOUCH_H
#define VMA_TOUCH_H

#include "rmap/rmap.h"

/* Gives vma an anon_vma if the mm's policy is SAMARA_TOUCH_EAGER. */
static inline void touch_by_policy(struct vma *vma)
{
	if (vma->vm_mm->limits.touch == SAMARA_TOUCH_EAGER && (vma->vm_flags & VM_WRITE) &&
	    !(vma->vm_flags & (VM_SHARED | VM_SPECIAL)))
		(void)!anon_vma_prepare(vma); /* refused: the VMA stays untouched */
}

#endif
