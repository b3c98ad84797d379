/* SPDX-License-Identifier: MIT */
/*
 * mmu notifiers inside the library (<samara/notifier.h> is the public side): callbacks around
 * changes to an mm's page tables.
 *
 * A pair of start and end stands around every change that takes something away, also around one
 * that fails. The caller holds the mmap_lock, the VMA's lock or a family's lock (rmap), and no
 * table's lock. Pairs nest.
 *
 * A pair is open from start to end, also when no notifier is registered. It is counted in the phase
 * in which it began:
 *
 *   pair        start: changing[seq & 1] += 1   end: -= 1    in the thread's shard
 *   register    onto the list, seq += 1, wait until changing[old & 1] is 0 in every shard
 *   unregister  until = seq + 1, then seq += 1 and wait as above; off the list, the same, then free
 *
 * So callbacks may take any time and need no RCU section, and
 *  1. a notifier that a pair finds on the list stays there until the pair ends;
 *  2. a notifier sees no pair of a phase before its own, neither start nor end. These pairs are
 *     over when samara_notifier_register() returns. So a translation made after that is never
 *     changed without a callback;
 *  3. a notifier sees no pair of a phase from until on, neither start nor end. So it sees the end
 *     of each pair whose start it has seen;
 *  4. a phase begins only when the phase before the last has ended, so one bit tells them apart.
 *
 * Ordering: a pair adds to its counter and then looks at seq again; a new phase changes
 * seq and then looks at the counters (both sequentially consistent). So either the pair sees
 * the new phase and begins anew, or it is waited for.
 *
 * Locks: mm->watch.notifiers_lock (RANK_NOTIFIERS) protects changes of the list, and is held while
 * waiting for pairs. A thread that has a pair open never takes it.
 */
#ifndef MMU_NOTIFIER_H
#define MMU_NOTIFIER_H

#include <samara/notifier.h>

#include "core/mm.h"

/*
 * Open a pair. range says what changes; range->mm is mm. The same thread passes the same range to
 * notifier_end().
 */
void notifier_start(struct samara_mm *mm, struct samara_notifier_range *range);
void notifier_end(struct samara_mm *mm, struct samara_notifier_range *range);

/*
 * The mm ends: each notifier is told and removed. The caller holds no lock of the mm and has no
 * pair open.
 */
void notifier_release_all(struct samara_mm *mm);

#endif
