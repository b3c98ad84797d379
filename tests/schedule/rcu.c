/* SPDX-License-Identifier: MIT */
/*
 * Deferred callbacks (base/rcu.c), their worker, and what is freed by them.
 *
 *   reader     What a reader has found in a section is not changed by a callback that was deferred
 *              after it left the list, nor behind rcu_synchronize().
 *   worker     A callback that was deferred runs, although no thread waits at a barrier: no wake-up
 *              of the worker is lost.
 *   idle       The same, while the worker goes to sleep.
 *   barrier    Behind rcu_barrier() all that was deferred before has been done, also by a thread
 *              that has ended.
 *   fork       A fork(2) of the process passes between rounds of the worker: callbacks run once.
 *   nodes      A node of a range tree is not freed under a reader.
 */
#include "schedule/world.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <samara/inject.h>
#include <samara/maple_tree.h>

#include "alloc/cache.h"
#include "base/atomic.h"
#include "base/rcu.h"

struct thing {
	struct rcu_cb cb;
	int alive; /* plain: what a reader and a callback do must be ordered */
	struct world_flag *gone;
};

struct rcu_world {
	struct thing old, new;
	struct thing *now;
	struct world_flag gone, queued;
	struct maple_tree mt;
	unsigned long live;
};

static void end_thing(struct rcu_cb *cb)
{
	struct thing *thing = container_of(cb, struct thing, cb);

	schedule_require(thing->alive); /* it runs once */
	thing->alive = 0;
	if (thing->gone)
		world_raise(thing->gone);
}

static void open_things(void *arg)
{
	struct rcu_world *r = arg;

	r->old.alive = r->new.alive = 1;
	r->now = &r->old;
}

static void close_things(void *arg)
{
	struct rcu_world *r = arg;

	rcu_barrier();
	schedule_require(!r->old.alive && r->new.alive);
}

/* reader ------------------------------------------------------------------------------- */

static void read_things(void *arg)
{
	struct rcu_world *r = arg;

	for (int i = 0; i < 2; i++) {
		const struct thing *thing;

		rcu_read_lock();
		thing = rcu_dereference(r->now);
		schedule_require(thing->alive);
		rcu_read_unlock();
	}
}

static void replace_and_defer(void *arg)
{
	struct rcu_world *r = arg;

	rcu_assign_pointer(r->now, &r->new);
	rcu_defer(&r->old.cb, end_thing);
}

static const struct scenario reader = {
	.name = "reader",
	.what = "a callback does not run before the readers have left",
	.world_size = sizeof(struct rcu_world),
	.setup = open_things,
	.threads = { { "reader", read_things }, { "writer", replace_and_defer } },
	.check = close_things,
};

static void replace_and_wait(void *arg)
{
	struct rcu_world *r = arg;

	rcu_assign_pointer(r->now, &r->new);
	rcu_synchronize();
	r->old.alive = 0;
}

static const struct scenario synchronize = {
	.name = "synchronize",
	.what = "rcu_synchronize() waits for the readers",
	.world_size = sizeof(struct rcu_world),
	.setup = open_things,
	.threads = { { "reader", read_things }, { "writer", replace_and_wait } },
	.check = close_things,
};

/* worker, barrier ------------------------------------------------------------------------ */

/* The second one may come when the worker is busy, napping, idle, or about to be. */
static void defer_and_await(void *arg)
{
	struct rcu_world *r = arg;
	struct world_flag first = { 0 };
	struct thing thing = { .alive = 1, .gone = &first };

	rcu_defer(&thing.cb, end_thing);
	world_await(&first);
	rcu_assign_pointer(r->now, &r->new);
	r->old.gone = &r->gone;
	rcu_defer(&r->old.cb, end_thing);
	world_await(&r->gone);
}

static const struct scenario worker = {
	.name = "worker",
	.what = "the worker finds each callback",
	.world_size = sizeof(struct rcu_world),
	.setup = open_things,
	.threads = { { "writer", defer_and_await } },
	.check = close_things,
};

/* The barrier does what the worker was started for: the worker finds nothing, and goes idle. */
static void defer_when_idle(void *arg)
{
	struct rcu_world *r = arg;
	struct thing thing = { .alive = 1 };

	rcu_defer(&thing.cb, end_thing);
	rcu_barrier();
	schedule_require(!thing.alive);
	rcu_assign_pointer(r->now, &r->new);
	r->old.gone = &r->gone;
	rcu_defer(&r->old.cb, end_thing);
	world_await(&r->gone);
}

static const struct scenario idle = {
	.name = "idle",
	.what = "a worker that is about to sleep finds a callback that comes",
	.world_size = sizeof(struct rcu_world),
	.setup = open_things,
	.threads = { { "writer", defer_when_idle } },
	.check = close_things,
};

/* Only queues: the worker does not know of it. */
static void queue_and_end(void *arg)
{
	struct rcu_world *r = arg;

	rcu_assign_pointer(r->now, &r->new);
	rcu_queue(&r->old.cb, end_thing);
	world_raise(&r->queued);
}

static void barrier_behind(void *arg)
{
	struct rcu_world *r = arg;

	world_await(&r->queued);
	rcu_barrier();
	schedule_require(!r->old.alive);
}

static const struct scenario barrier = {
	.name = "barrier",
	.what = "behind a barrier all is done that was deferred before it",
	.world_size = sizeof(struct rcu_world),
	.setup = open_things,
	.threads = { { "writer", queue_and_end },
		     { "barrier", barrier_behind },
		     { "barrier2", barrier_behind } },
	.check = close_things,
};

/* fork --------------------------------------------------------------------------------- */

static void fork_process(void *arg)
{
	const pid_t child = fork();
	int status = 0;

	(void)arg;
	if (!child)
		_exit(0);
	schedule_require(child > 0 && waitpid(child, &status, 0) == child && !status);
}

static const struct scenario fork_scenario = {
	.name = "fork",
	.what = "a process forks beside deferred callbacks, which run once",
	.world_size = sizeof(struct rcu_world),
	.setup = open_things,
	.threads = { { "fork", fork_process }, { "writer", replace_and_defer } },
	.check = close_things,
};

/* nodes -------------------------------------------------------------------------------- */

static void open_tree(void *arg)
{
	struct rcu_world *r = arg;

	r->live = samara_live_objects();
	mt_init_flags(&r->mt, MT_FLAGS_USE_RCU);
	schedule_require(!mtree_store_range(&r->mt, 10, 19, xa_mk_value(1), GFP_KERNEL));
	schedule_require(!mtree_store_range(&r->mt, 30, 39, xa_mk_value(3), GFP_KERNEL));
}

static void load_node(void *arg)
{
	struct rcu_world *r = arg;
	const void *entry;

	for (int i = 0; i < 2; i++) {
		entry = mtree_load(&r->mt, 15);
		schedule_require(entry == xa_mk_value(1) || entry == xa_mk_value(2));
		schedule_require(mtree_load(&r->mt, 35) == xa_mk_value(3));
	}
}

/* Each store makes a leaf, and frees one. What was freed first is used first. */
static void replace_nodes(void *arg)
{
	struct rcu_world *r = arg;

	schedule_require(!mtree_store_range(&r->mt, 12, 16, xa_mk_value(2), GFP_KERNEL));
	schedule_require(!mtree_store_range(&r->mt, 13, 17, xa_mk_value(2), GFP_KERNEL));
}

static void close_tree(void *arg)
{
	struct rcu_world *r = arg;

	mtree_destroy(&r->mt);
	schedule_require(samara_live_objects() == r->live);
}

static const struct scenario nodes = {
	.name = "nodes",
	.what = "a node of a tree is not freed under a reader",
	.world_size = sizeof(struct rcu_world),
	.setup = open_tree,
	.threads = { { "reader", load_node }, { "writer", replace_nodes } },
	.check = close_tree,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&reader, &synchronize, &worker, &idle, &barrier, &fork_scenario, &nodes, NULL,
	};

	return schedule_main(argc, argv, all);
}
