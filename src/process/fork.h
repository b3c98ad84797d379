/* SPDX-License-Identifier: MIT */
/*
 * fork: a child that is the parent's copy, or no child at all.
 *
 *   step                 may fail    undone by
 *   FORK_VMAS            yes         the copies, which only a list knows, are given up
 *   FORK_CHARGE          yes         uncharged
 *   FORK_TREE            yes         the duplicate is not there
 *   ---- the child's map is whole from here on ----
 *   FORK_PLACE           no          each entry replaced by its copy, or erased, in its slot
 *   FORK_PAGES           yes         the child exits as every mm does, and the parent's pages
 *                                    are its own again
 *   FORK_LIVE            no
 *
 * The child is MM_BUILDING until FORK_LIVE: whoever comes to one of its VMAs through a
 * reverse mapping passes by, unless he takes pages away for good: he meets the child's VMA
 * after the parent's (each tree has it behind that one), so a page that is copied meanwhile is
 * found in one of them. So the child's tree holds its own VMAs or (before FORK_PLACE, when nobody
 * can look) its parent's, and never a mark that says which. docs/decisions/0007 has the other
 * designs.
 */
#ifndef PROCESS_FORK_H
#define PROCESS_FORK_H

#include "core/mm.h"

enum fork_step { FORK_VMAS, FORK_CHARGE, FORK_TREE, FORK_PLACE, FORK_PAGES, FORK_LIVE, FORK_STEPS };

/*
 * child, which is empty, MM_BUILDING and known to nobody, becomes a copy of parent with its limits
 * and layout. 0 or -ENOMEM: then child has exited and is only to be freed. Takes both mmap_locks.
 */
int dup_mmap(struct samara_mm *parent, struct samara_mm *child) __must_check;

/* Tests only: called when a step begins, with the locks held. */
extern void (*fork_hook)(enum fork_step step, struct samara_mm *parent, struct samara_mm *child);

#endif
