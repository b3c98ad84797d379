/* SPDX-License-Identifier: MIT */
/*
 * How many different schedules there were: a set of their hashes, which stops counting when full.
 */
#include "main.h"

#include <sys/mman.h>

#define SLOTS (1UL << 22)

static uint64_t *set;
static unsigned long used;

void different_begin(void)
{
	if (!set)
		set = lazy_memory(SLOTS * sizeof(*set));
	else
		(void)madvise(set, SLOTS * sizeof(*set), MADV_DONTNEED); /* zeros */
	used = 0;
}

bool different_add(uint64_t hash)
{
	unsigned long i = hash % SLOTS;

	hash |= !hash; /* 0 is an empty slot */
	if (used > SLOTS / 4 * 3)
		return false;
	while (set[i] && set[i] != hash)
		i = (i + 1) % SLOTS;
	if (set[i])
		return false;
	set[i] = hash;
	used++;
	return true;
}
