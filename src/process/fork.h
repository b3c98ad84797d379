/* SPDX-License-Identifier: MIT */
/*
 * fork: a child that is the parent's copy, or no child at all.
 *
 *   step                 may fail    undone by
 *   FORK_VMAS            yes         the copies, which are only on a list, are freed; FORK events,
 *                                    with the child's userfaultfds, are dropped behind its exit
 *   FORK_CHARGE          yes         uncharged
 *   FORK_TREE            yes         the duplicate is not there
 *   ---- the child's map is whole from here on ----
 *   FORK_PLACE           no          each entry replaced by its copy, or erased, in its slot
 *   FORK_PAGES           yes         the child exits as every mm does, and the parent's pages
 *                                    are its own again
 *   FORK_LIVE            no
 *   ---- both locks are dropped ----
 *   the caller delivers the FORK events
 *
 * The child is MM_BUILDING until FORK_LIVE. A walker that comes to one of its VMAs through a
 * reverse mapping skips it. A walker that removes pages for good (truncation) enters it. Such a
 * walker meets the child's VMA after the parent's, because each interval tree has it behind that
 * one; so it finds a page that is copied meanwhile in one of the two. The child's tree never holds
 * a mark: before FORK_PLACE it holds the parent's VMAs, which no other thread can see there, and
 * then its own. docs/decisions/0007 has the other designs.
 */
#ifndef PROCESS_FORK_H
#define PROCESS_FORK_H

#include "core/mm.h"

enum fork_step { FORK_VMAS, FORK_CHARGE, FORK_TREE, FORK_PLACE, FORK_PAGES, FORK_LIVE, FORK_STEPS };

/*
 * child becomes a copy of parent, with its limits and layout. It is empty and MM_BUILDING, and no
 * other thread knows it. 0, and then forks has the events to deliver; -ENOMEM: child has exited,
 * and the caller frees it. Takes both mmap_locks.
 */
int dup_mmap(struct samara_mm *parent, struct samara_mm *child,
	     struct uffd_events *forks) __must_check;

/* Debug builds, for tests: called when a step begins, with the locks held. */
#ifdef SAMARA_DEBUG
extern void (*fork_step_hook)(enum fork_step step, struct samara_mm *parent,
			      struct samara_mm *child);
#endif

#endif
