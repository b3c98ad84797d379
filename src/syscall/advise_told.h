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

struct samara_file;

/* Where a walk has stopped (struct vma_walk.to). What is told is in walk->dead->events. */
struct advice_told {
	struct samara_file *file; /* MADV_REMOVE: counted; else NULL */
	unsigned long offset;     /* in file, bytes */
	unsigned long start, end;
	int hole; /* -ENOMEM: a page before start is not mapped; else 0 */
};

/*
 * A step of vma_walk_holes(), for a registered VMA and advice that removes (walk->arg). 0 or
 * -errno, as advise_pages(); or what makes the walk stop until it is told. mmap_lock is held for
 * reading.
 */
int advise_told(const struct vma_walk *walk, const struct vma_part *part) __must_check;
/*
 * The walk has ended with err, and walk->dead has events: they are told, and it goes on. The answer
 * of the whole call. No lock is held.
 */
int advise_tell(struct vma_walk *walk, int err) __must_check;

#endif
