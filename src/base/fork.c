/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of the host process. An embedder may fork at any time but inside a
 * read-side section; the child has the forking thread only, whole pools, and
 * what the other threads had in their magazines and batches.
 *
 *   prepare   round_lock, liburcu's locks, site_lock, every pool's lock
 *   parent    the same backwards
 *   child     the same backwards; then adopt the other threads' objects
 *
 * The handlers speak for liburcu-bp too (urcu_bp_before_fork() and so on): an
 * embedder that uses it as well need not call them.
 */
#include "base/fork.h"

#include <pthread.h>

#include "base/lock.h"
#include "base/pool.h"
#include "base/rcu.h"
#include "base/thread.h"

static void prepare(void)
{
	rcu_fork_prepare();
	spin_acquire(&site_lock);
	pool_fork_lock();
}

static void parent(void)
{
	pool_fork_unlock();
	spin_release(&site_lock);
	rcu_fork_parent();
}

static void child(void)
{
	pool_fork_unlock();
	spin_release(&site_lock);
	rcu_fork_child();
	thread_adopt_orphans();
}

static void register_once(void)
{
	(void)pthread_atfork(prepare, parent, child); /* ENOMEM: as if nobody ever forked */
}

void fork_handlers_register(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_once);
}
