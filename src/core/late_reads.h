/* SPDX-License-Identifier: MIT */
/*
 * Pages that a thread of a machine reads: access/read_later.h.
 */
#ifndef CORE_LATE_READS_H
#define CORE_LATE_READS_H

#include "base/lock.h"
#include "base/worker.h"

/* Swap slots that accesses want which do not sleep: access/read_later.c. */
struct late_read {
	unsigned long entry; /* swp_entry_t.v; 0: the place is free */
	bool failed;
};
struct late_reads {
	struct samara_spinlock lock; /* RANK_EVENT */
	struct late_read read[16];   /* lock */
	struct worker worker;
};

#endif
