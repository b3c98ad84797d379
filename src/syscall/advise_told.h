/* SPDX-License-Identifier: MIT */
/*
 * Advice that takes pages away, on memory whose userfaultfd wants REMOVE. It is told before they
 * go, with no lock held:
 *
 *   lock      walk to the first such VMA: REMOVE is prepared
 *   unlock    REMOVE is delivered, which waits until it is read
 *   lock      its VMA is looked up again, and may be another one; its pages go. MADV_REMOVE makes
 *             its hole without the lock and without a look: it has kept the file
 *             walk on from where the VMA ends
 *
 * Where samara_uffd_events_wait() is off all pages go first.
 */
#ifndef SYSCALL_ADVISE_TOLD_H
#define SYSCALL_ADVISE_TOLD_H

#include "vma/modify.h"

/*
 * A step of advise_walk(), for a registered VMA and advice that removes (walk->arg). 0 or -errno,
 * as advise_pages(); or what makes the walk stop until it is told.
 */
int advise_told(const struct vma_walk *walk, const struct vma_part *part) __must_check;

/*
 * vma_walk_holes() with the mmap_lock held for reading, but not while REMOVE is told. walk->to is
 * NULL. No lock is held.
 */
int advise_walk(const struct vma_walk *walk) __must_check;

#endif
