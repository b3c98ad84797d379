/* SPDX-License-Identifier: MIT */
/*
 * mmu notifiers inside the library: who is told of changes to an mm's page
 * tables (<samara/notifier.h> is the public side).
 *
 * Pairs of start and end stand around every change that takes something away,
 * also one that fails in between. They are called with the mmap_lock or the VMA's lock
 * held, or a family's (rmap), and no table's lock. They nest.
 *
 * A pair is open from start to end, whether anybody listens or not, and is counted
 * as such by the phase it began in:
 *
 *   pair        start: changing[seq & 1] += 1   end: -= 1    in the thread's shard
 *   register    onto the list, seq += 1, wait until changing[old & 1] is 0 in every shard
 *   unregister  off the list, the same, then free
 *
 * So callbacks may take as long as they like and need no RCU section, and
 *  1. a notifier that is found on the list stays until the pair is over;
 *  2. pairs of phases before a notifier's own pass it by, start and end alike: each end it
 *     gets has had its start. They are over when samara_notifier_register() returns, so that
 *     no translation made after that can be lost to a change it is not told of;
 *  3. the next phase is never begun before the one before the last has ended: one
 *     bit tells them apart.
 *
 * Ordering: a pair adds to its counter and then looks at seq again; a new phase changes
 * seq and then looks at the counters (both sequentially consistent). So either the pair sees
 * the new phase and begins anew, or it is waited for.
 *
 * Locks: mm->notifiers_lock (RANK_MACHINE) for the list's changes, held while waiting. Whoever
 * is in a pair never takes it.
 */
#ifndef MMU_NOTIFIER_H
#define MMU_NOTIFIER_H

#include <samara/notifier.h>

#include "core/mm.h"

/*
 * Open a pair: range says what changes, and is the same for the end, which the same thread
 * calls. range->mm is mm.
 */
void notifier_start(struct samara_mm *mm, struct samara_notifier_range *range);
void notifier_end(struct samara_mm *mm, struct samara_notifier_range *range);

/* The mm goes: each is told and taken off. No lock of the mm is held, and no pair is open here. */
void notifier_release_all(struct samara_mm *mm);

#endif
