/* SPDX-License-Identifier: MIT */
/*
 * All mms of a machine, for walkers that come from outside: swapoff, the OOM reaper, machine-wide
 * checks.
 *
 *   machine->mms    head <--> mm <--> mm <--> mm (being built) <--> mm (dying)
 *
 *   for_each_mm(machine, mm) {
 *           mmap_read_lock(mm);
 *           if (mm_gate_open(mm, gate))
 *                   ... its VMAs and page table ...
 *           mmap_read_unlock(mm);
 *   }
 *
 * Life of an mm
 *   joins    fork: when the new mm's mmap_lock is held for writing, before it has a page. The
 *            lock is held until the mm is MM_LIVE, or the fork has failed: then MM_GATE_LOOK stays
 *            closed. A new, empty mm: when it is MM_LIVE
 *   leaves   when the last reference is dropped. The owner drops its own behind exit_mmap(), or
 *            behind the fork that failed; a walker may hold another one until then or longer. So
 *            a walker meets dying mms too, and the gate is looked at under the mmap_lock
 *
 * What a walker may rely on
 *   1. The mm that for_each_mm() gives has a reference of the walker's: its memory stays, and so
 *      does its place in the list, although no lock is held. Its address space may end meanwhile:
 *      only the mmap_lock holds that off. A walker holds one mmap_lock at a time.
 *   2. An mm that was in the list when the walk began, and whose owner does not end it, is met.
 *   3. So is the child of any fork that copies pages after the walk has begun: new mms join last.
 *      A walk that wants all pages of a kind gone stops new ones from coming first; forks that
 *      copy old ones are met by 2 and 3, since the child's mmap_lock is free only afterwards.
 *
 * Invariant: each mm in the list has a reference, or is about to leave it (refcount 0): then
 * mm_next() passes it by.
 */
#ifndef CORE_MMS_H
#define CORE_MMS_H

#include "core/mm.h"

/* mm, with its owner's reference, can be walked from here on. Never fails. */
void mm_join(struct samara_mm *mm);
/*
 * One reference less. The last one takes mm out of the list, frees it, and drops its reference to
 * the machine. exit_mmap() was called before the owner's is dropped. No lock is held.
 */
void mm_put(struct samara_mm *mm);

/* One reference more. The caller has one, or knows that the owner still has its own. */
static inline void mm_get(struct samara_mm *mm)
{
	refcount_inc(&mm->life.refs);
}

/* The mm behind prev (NULL: the first), with a reference; NULL: prev was the last. Drops prev's. */
struct samara_mm *mm_next(struct samara_machine *machine, struct samara_mm *prev) __must_check;

/* No lock is held at the loop's head. A loop that is left by break or return does mm_put(mm). */
#define for_each_mm(machine, mm) \
	for ((mm) = mm_next(machine, NULL); (mm); (mm) = mm_next(machine, mm))

#endif
