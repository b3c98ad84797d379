/* SPDX-License-Identifier: MIT */
/*
 * Counters of one machine, named as in /proc/vmstat. Each thread adds to a shard.
 */
#ifndef FRAME_VM_EVENT_H
#define FRAME_VM_EVENT_H

#include "base/compiler.h"

enum vm_event {
	PGFAULT, /* but those that mms count: access/fault_door.h */
	PGMAJFAULT,
	PSWPIN,
	PSWPOUT,
	PGSTEAL,
	PGSCAN,
	ALLOCSTALL,
	OOM_KILL,
	MIGRATE_SUCCESS,
	MIGRATE_FAIL,
	REFAULT,      /* a page came back soon after it was reclaimed: it is active at once */
	REFAULT_COLD, /* a page came back later than that */
	VM_EVENTS
};

struct ram;

void vm_event_add(struct ram *ram, enum vm_event event, unsigned long n);
unsigned long long vm_event_sum(const struct ram *ram, enum vm_event event);

#endif
