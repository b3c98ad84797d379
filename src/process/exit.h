/* SPDX-License-Identifier: MIT */
/*
 * The end of an address space.
 *
 *   MM_DYING     walkers of reverse mappings no longer enter
 *   CPUs         all leave the mm
 *   pages        zapped, the whole mm in one gather; mmap_lock for reading, so that the OOM
 *                reaper may run meanwhile
 *   links        each VMA leaves its families, which waits for walkers that are inside
 *   tables       all of them
 *   VMAs         counted, and freed with the file references that they hold
 */
#ifndef PROCESS_EXIT_H
#define PROCESS_EXIT_H

#include "core/mm.h"

/*
 * Unmaps everything; the tree is empty afterwards. No other call may use mm. Takes the mmap_lock.
 * A fork that failed ends here too. The VMAs go onto dead: the caller drops their file references
 * by vma_dead_release() once it holds no lock.
 */
void exit_mmap(struct samara_mm *mm, struct vma_dead *dead);

#endif
