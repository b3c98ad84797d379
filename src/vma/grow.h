/* SPDX-License-Identifier: MIT */
/*
 * Mappings that grow: the heap (brk) and the stack. mmap_lock is held for writing.
 */
#ifndef VMA_GROW_H
#define VMA_GROW_H

#include "core/mm.h"

/*
 * The heap's new part [start, end), whole pages: private, writable, charged. 0, -ENOMEM (limits,
 * budget, too many VMAs, memory).
 */
int grow_heap(struct samara_mm *mm, unsigned long start, unsigned long end,
	      struct vma_dead *dead) __must_check;

/*
 * Let vma, which grows down, begin at addr's page. 0 (also when it does
 * already); -ENOMEM: RLIMIT_STACK, RLIMIT_AS, RLIMIT_MEMLOCK, the budget, memory, or something
 * is mapped within the guard gap; -EPERM: below map_min_addr.
 */
int expand_stack(struct vma *vma, unsigned long addr) __must_check;

#endif
