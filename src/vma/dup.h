/* SPDX-License-Identifier: MIT */
/*
 * Copying a map at fork, and clearing one at exit.
 */
#ifndef VMA_DUP_H
#define VMA_DUP_H

#include "core/mm.h"

/*
 * The empty child gets a copy of each VMA of parent but those of MADV_DONTFORK,
 * with parent's limits and layout. Both mmap_locks are held for writing; 0 or -ENOMEM, and
 * then the child is empty.
 */
int dup_mmap(struct samara_mm *parent, struct samara_mm *child) __must_check;

/* Everything leaves the map; the tree is empty afterwards. mmap_lock is held for writing. */
void exit_mmap(struct samara_mm *mm, struct vma_dead *dead);

#endif
