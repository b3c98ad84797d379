/* SPDX-License-Identifier: MIT */
/* By what an mm tells that a translation is no longer so. */
#ifndef CORE_MM_STALE_H
#define CORE_MM_STALE_H

#include <stdbool.h>

/*
 * Numbers that flushes raise, once translations were asked for (mmu/tlb_unit.h). Blocks of the
 * address space take turns.
 */
#define MM_STALE_PARTS 8
#define MM_STALE_SHIFT 21 /* bytes of a block */
struct mm_stale {
	bool kept;                        /* cpus_lock; (a) */
	unsigned long at[MM_STALE_PARTS]; /* (a) changed under cpus_lock */
};

#endif
