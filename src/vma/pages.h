/* SPDX-License-Identifier: MIT */
/*
 * What happens to the pages of a range when the map changes: the calls of
 * range/ that this floor needs, with what they need to know of neighbours.
 *
 * mmap_lock is held for writing, and the VMAs are write-locked. None of it can
 * fail, and none of it costs anything while the mm has no page tables.
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
