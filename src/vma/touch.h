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
void touch_by_policy(struct vma *vma);

#endif
