/* SPDX-License-Identifier: MIT */
/*
 * Object caches (alloc/): magazines of threads, the pool behind them, threads that end.
 *
 *   exit       What a thread that ends has kept comes back to the pool: nothing is lost, nothing
 *              is given twice.
 *   hand_over  An object that one thread allocates and another frees is one object all the time.
 *   shrink     A pool that shrinks while a thread allocates keeps that thread's objects.
 *   typesafe   An object that was freed by cache_free_rcu() stays as it is until the readers have
 *              left their sections.
 */
#include "schedule/schedule.h"

#include <string.h>

#include "alloc/cache.h"
#include "alloc/pool.h"
#include "alloc/thread.h"
#include "base/rcu.h"

struct object {
	unsigned long words[8];
};
static DEFINE_OBJ_CACHE(objects, "scenario_object", sizeof(struct object), 8);

struct cache_world {
	struct object *handed;
};

static void mark(struct object *object, unsigned long value)
{
	for (int i = 0; i < 8; i++)
		object->words[i] = value;
}

static void require_mark(const struct object *object, unsigned long value)
{
	for (int i = 0; i < 8; i++)
		schedule_require(object->words[i] == value);
}

/* Two at once, so that one that is given twice is noticed. */
static void use_two(unsigned long value)
{
	struct object *two[2];

	for (int i = 0; i < 2; i++) {
		two[i] = cache_alloc(&objects);
		schedule_require(two[i]);
		mark(two[i], value + (unsigned long)i);
	}
	for (int i = 0; i < 2; i++) {
		require_mark(two[i], value + (unsigned long)i);
		cache_free(&objects, two[i]);
	}
}

static void use_tens(void *arg)
{
	(void)arg;
	use_two(10);
}

static void use_twenties(void *arg)
{
	(void)arg;
	use_two(20);
}

static void nothing_lives(void *arg)
{
	(void)arg;
	rcu_barrier();
	schedule_require(!cache_live(&objects));
}

static const struct scenario exit_scenario = {
	.name = "exit",
	.what = "what threads have kept is the pool's when they end",
	.world_size = sizeof(struct cache_world),
	.threads = { { "tens", use_tens }, { "twenties", use_twenties } },
	.check = nothing_lives,
};

/* hand_over ----------------------------------------------------------------------------- */

static void hand_over(void *arg)
{
	struct cache_world *c = arg;
	struct object *object = cache_alloc(&objects);

	schedule_require(object);
	mark(object, 3);
	smp_store_release(&c->handed, object);
}

static void take_over(void *arg)
{
	struct cache_world *c = arg;
	struct object *object = smp_load_acquire(&c->handed);

	if (object) {
		require_mark(object, 3);
		cache_free(&objects, object);
		WRITE_ONCE(c->handed, NULL);
	}
	use_two(10);
}

static void free_handed(void *arg)
{
	struct cache_world *c = arg;

	if (c->handed)
		cache_free(&objects, c->handed);
	nothing_lives(arg);
}

static const struct scenario hand_over_scenario = {
	.name = "hand_over",
	.what = "an object that changes threads is one object",
	.world_size = sizeof(struct cache_world),
	.threads = { { "from", hand_over }, { "to", take_over } },
	.check = free_handed,
};

/* shrink --------------------------------------------------------------------------------- */

static void shrink(void *arg)
{
	(void)arg;
	use_two(20);
	thread_drain();
	/* Whether anything is left is the other thread's matter. */
	(void)pool_shrink_all();
}

static const struct scenario shrink_scenario = {
	.name = "shrink",
	.what = "a pool that shrinks keeps the objects that are in use",
	.world_size = sizeof(struct cache_world),
	.threads = { { "user", use_tens }, { "shrink", shrink } },
	.check = nothing_lives,
};

/* typesafe ------------------------------------------------------------------------------- */

static void publish(void *arg)
{
	hand_over(arg);
}

static void read_handed(void *arg)
{
	struct cache_world *c = arg;
	const struct object *object;

	rcu_read_lock();
	object = rcu_dereference(c->handed);
	if (object)
		require_mark(object, 3);
	rcu_read_unlock();
}

static void free_by_rcu(void *arg)
{
	struct cache_world *c = arg;
	struct object *object = c->handed;

	rcu_assign_pointer(c->handed, NULL);
	cache_free_rcu(&objects, object);
	use_two(10);
}

static const struct scenario typesafe = {
	.name = "typesafe",
	.what = "an object freed by RCU is whole until its readers have left",
	.world_size = sizeof(struct cache_world),
	.setup = publish,
	.threads = { { "reader", read_handed }, { "writer", free_by_rcu } },
	.check = nothing_lives,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&exit_scenario, &hand_over_scenario, &shrink_scenario, &typesafe, NULL,
	};

	return schedule_main(argc, argv, all);
}
