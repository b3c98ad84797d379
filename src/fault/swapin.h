/* SPDX-License-Identifier: MIT */
/*
 * Pages that come back from a swap area because it is switched off.
 */
#ifndef FAULT_SWAPIN_H
#define FAULT_SWAPIN_H

#include "core/mm.h"

/*
 * The entries of vma that name slots of that area become pages again, from *addr on; what cannot be
 * read becomes a poison marker. The mmap_lock is held for reading. The area is stopped
 * (swap_area_stop()), so no new entry of its comes in behind *addr, but by a fork, mremap or
 * UFFDIO_MOVE.
 *
 * 0: done, and *addr is vma's end. -ENOMEM: stopped at *addr; no frame is free, or too many entries
 * map the page. The caller drops the mmap_lock, makes room, looks the mapping up again, and goes on
 * there. Sleeps: it reads.
 */
int vma_swap_in(struct vma *vma, unsigned int area, unsigned long *addr) __must_check;

#endif
