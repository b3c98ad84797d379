/* SPDX-License-Identifier: MIT */
/*
 * Pages faulted in ahead. No lock is held: the calls take the mmap_lock for reading, as Linux does
 * after mmap and mlock have dropped it. Where a fault has to wait they drop it, wait
 * (access/wait.h), and look the mapping up again.
 */
#ifndef ACCESS_POPULATE_H
#define ACCESS_POPULATE_H

#include "core/mm.h"

/*
 * What mlock and MAP_POPULATE fault in: each VMA of [start, end) as it may be
 * accessed, writable private ones for writing. 0; -ENOMEM; -EFAULT: a VMA that cannot be
 * accessed, or nothing behind it; -EHWPOISON; -EAGAIN: interrupted while it slept for the handler
 * of a userfaultfd. Stops at the first of them, and at a hole (0).
 */
int populate_range(struct samara_mm *mm, unsigned long start, unsigned long end) __must_check;

/*
 * MADV_POPULATE_READ (need VM_READ), _WRITE (VM_WRITE): each page as if it had been accessed.
 * -ENOMEM: nothing mapped, or memory; -EINVAL: a VMA without that right, or without pages;
 * others as above.
 */
int populate_access(struct samara_mm *mm, unsigned long start, unsigned long end,
		    unsigned long need) __must_check;

/* What a call that holds the mmap_lock for writing leaves until it has dropped it. */
struct populate_later {
	unsigned long start, end; /* start == end: nothing */
	unsigned long only;       /* VMAs with this flag; 0: all */
};
/*
 * As populate_range(), but passes over a VMA that gives an error: mmap and mlockall report none.
 * Stops where it is interrupted.
 */
void populate_quietly(struct samara_mm *mm, const struct populate_later *later);
/*
 * For mprotect, which as in Linux populates locked memory with the mmap_lock held for writing.
 * Faults in what needs no wait, and adds the rest to *later. As in Linux it stops, with no rest,
 * where the handler of a userfaultfd would be asked.
 */
void populate_locked(struct vma *vma, unsigned long start, unsigned long end,
		     struct populate_later *later);

#endif
