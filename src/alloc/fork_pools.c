/* SPDX-License-Identifier: MIT */
/*
 * The allocator's two places in the order of fork hooks (base/fork.h).
 *
 * The locks are the last that are taken and the first that are released. Adopting other threads'
 * objects needs them and RCU, so it comes behind both in the child.
 */
#include "alloc/fork_pools.h"

#include "alloc/pool.h"
#include "alloc/thread.h"

struct fork_hook alloc_fork_pools = {
	.order = FORK_POOLS,
	.lock = &site_lock,
	.prepare = pool_fork_lock,
	.parent = pool_fork_unlock,
	.child = pool_fork_unlock,
};

struct fork_hook alloc_fork_objects = {
	.order = FORK_OBJECTS,
	.child = thread_adopt_orphans,
};
