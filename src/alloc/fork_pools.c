/* SPDX-License-Identifier: MIT */
/*
 * The allocator's two places in the order of fork hooks (base/fork.h).
 *
 * The locks are the last that are taken and the first that are released. Adopting other threads'
 * objects needs them and RCU, so it comes behind both in the child.
 */
#include "alloc/fork_pools.h"

#include "base/lock.h"

#include "alloc/pool.h"
#include "alloc/thread.h"

/* No ranks, as in rcu_fork_prepare(). */
static void lock_pools(void)
{
	spin_acquire(&site_lock);
	pool_fork_lock();
}

static void unlock_pools(void)
{
	pool_fork_unlock();
	spin_release(&site_lock);
}

struct fork_hook alloc_fork_pools = {
	.order = FORK_POOLS,
	.prepare = lock_pools,
	.parent = unlock_pools,
	.child = unlock_pools,
};

struct fork_hook alloc_fork_objects = {
	.order = FORK_OBJECTS,
	.child = thread_adopt_orphans,
};
