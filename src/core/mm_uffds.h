/* SPDX-License-Identifier: MIT */
/* What an mm knows of its userfaultfds. */
#ifndef CORE_MM_UFFDS_H
#define CORE_MM_UFFDS_H

#include "base/list.h"
#include "base/lock.h"

/*
 * What is known of the uffd-wp bits of an mm's entries, for the validator. STALE: a VMA has lost
 * VM_UFFD_WP and not its entries' bits, or has got a swap entry with the bit by UFFDIO_MOVE. A page
 * that is then written to is writable although its entry has the bit, also once the VMA has
 * VM_UFFD_WP again: as in Linux.
 */
enum uffd_bits {
	UFFD_BITS_NONE, /* neither it nor a parent of it had a userfaultfd */
	UFFD_BITS_SOME,
	UFFD_BITS_STALE,
};

/* Its userfaultfds: uffd/uffd.h. */
struct mm_uffds {
	struct samara_spinlock lock; /* RANK_MMS, never with the machine's */
	struct list_head head;       /* lock; samara_uffd.in_mm */
	enum uffd_bits bits;         /* (m); (a) from NONE to SOME, and to STALE */
	unsigned int no_wait;        /* (a) calls leave their events queued, and return */
	unsigned int protecting;     /* (a) requests that may have to flush yet: range/wp_flush.h */
};

#endif
