/* SPDX-License-Identifier: MIT */
/*
 * The pages and page tables of a range that leaves the map. mmap_lock is held for writing, and the
 * VMAs are write-locked. It cannot fail. It does nothing while the mm has no page tables.
 */
#ifndef VMA_PAGES_H
#define VMA_PAGES_H

#include "vma/unmap.h"

/*
 * The range of plan->req has been cleared from the tree, or holds the new mapping that takes its
 * place. head, tail and the doomed still have their old bounds. Their pages in the range go, and
 * the page tables that no VMA outside it needs.
 */
void pages_unmap(const struct unmap_plan *plan);

#endif
