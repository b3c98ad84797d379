/* SPDX-License-Identifier: MIT */
/*
 * A process as it was before a schedule, so that it can run another one: the program's data (the
 * library's and ours; libc's are elsewhere), blocks and mappings (heap.c), threads (seats.c), file
 * descriptors. itself.sh compares with processes that run one schedule each.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char __data_start[], _end[];

static char *data_before;

void reset_begin(void)
{
	const size_t size = (size_t)(_end - __data_start);

	data_before = lazy_memory(size);
	memcpy(data_before, __data_start, size);
}

void reset(void)
{
	struct shared *const own_shared = shared;
	const struct plan *const own_plan = plan;

	seats_clear();
	heap_reset();
	shadow_reset();
	close_range(3, FD_ORDERS - 1, 0);
	close_range(FD_RESULTS + 1, ~0U, 0);
	memcpy(__data_start, data_before, (size_t)(_end - __data_start));
	shared = own_shared;
	plan = own_plan;
}
