/* SPDX-License-Identifier: MIT */
/*
 * Counters of one machine. See vm_event.h.
 */
#include "frame/vm_event.h"

#include "frame/ram.h"

void vm_event_add(struct ram *ram, enum vm_event event, unsigned long n)
{
	atomic_add(&ram->events[shard_number()].count[event], n);
}

unsigned long long vm_event_sum(const struct ram *ram, enum vm_event event)
{
	unsigned long long sum = 0;

	for (unsigned int i = 0; i < RAM_SHARDS; i++)
		sum += READ_ONCE(ram->events[i].count[event]);
	return sum;
}
