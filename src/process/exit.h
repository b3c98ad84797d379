/* SPDX-License-Identifier: MIT */
/*
 * The end of an address space.
 *
 *   MM_DYING     no walker enters any more
 *   CPUs         none runs it any more
 *   pages        zapped, the whole mm in one gather; mmap_lock for reading, so that a reaper
 *                may run beside
 *   links        each VMA leaves its families: waits for walkers that are inside
 *   tables       all of them
 *   VMAs         counted, and given back with what they hold
 */
#ifndef PROCESS_EXIT_H
#define PROCESS_EXIT_H

#include "core/mm.h"

/*
 * Everything leaves mm, which nobody runs and no other call uses; the tree is empty afterwards.
 * Takes mmap_lock. Also the end of a fork that failed. dead: VMAs whose files
 * are to be given back (vma_dead_release()) when no lock is held any more.
 */
void exit_mmap(struct samara_mm *mm, struct vma_dead *dead);

#endif
