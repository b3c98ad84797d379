/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of the host process: whole pools in the child, which takes over what other threads had
 * in their magazines and batches.
 */
#ifndef ALLOC_FORK_POOLS_H
#define ALLOC_FORK_POOLS_H

#include "base/fork.h"

extern struct fork_hook alloc_fork_objects, alloc_fork_pools;

/* Before a lock of this room is taken. */
static inline void alloc_fork_ready(void)
{
	fork_hook_add(&alloc_fork_objects);
	fork_hook_add(&alloc_fork_pools);
}

#endif
