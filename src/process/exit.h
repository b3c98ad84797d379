/* SPDX-License-Identifier: MIT */
/*
 * The end of an address space.
 *
 *   step         what it does                                           mmap_lock
 *   EXIT_BEGIN   MM_DYING: walkers of reverse mappings no longer enter  -
 *                requests of userfaultfds are over, later ones -ESRCH   for writing, for a moment
 *   EXIT_CPUS    notifiers end, all CPUs leave the mm                   -
 *   EXIT_PAGES   zapped, the whole mm in one gather                     for reading: the OOM reaper
 *                                                                       may run beside it
 *   EXIT_FLUSH   map counts drop, frames are free                       -
 *                MM_OOM_SKIP: the reaper no longer enters
 *   EXIT_LINKS   each VMA leaves its families, which waits for          for writing
 *                walkers that are inside
 *   EXIT_TABLES  all of them                                            for writing
 *   EXIT_TREE    VMAs counted, and freed with the file references       for writing
 *                that they hold
 *
 * docs/locking.md, "Out of memory", has what the reaper relies on.
 */
#ifndef PROCESS_EXIT_H
#define PROCESS_EXIT_H

#include "core/mm.h"

enum exit_step {
	EXIT_BEGIN,
	EXIT_CPUS,
	EXIT_PAGES,
	EXIT_FLUSH,
	EXIT_LINKS,
	EXIT_TABLES,
	EXIT_TREE,
	EXIT_STEPS
};

/*
 * Unmaps everything; the tree is empty afterwards. No other call may use mm. Takes the mmap_lock.
 * A fork that failed ends here too. The VMAs go onto dead: the caller drops their file references
 * by vma_dead_release() once it holds no lock.
 */
void exit_mmap(struct samara_mm *mm, struct vma_dead *dead);

/*
 * Debug builds, for tests: called when a step begins. EXIT_PAGES, EXIT_TABLES and EXIT_TREE hold
 * the mmap_lock by then; EXIT_LINKS takes it afterwards. No EXIT_PAGES without a page table.
 */
#ifdef SAMARA_DEBUG
extern void (*exit_step_hook)(enum exit_step step, struct samara_mm *mm);
#endif

#endif
