/* SPDX-License-Identifier: MIT */
/* Deferred freeing (alloc/cache.h, alloc/defer.c), and a fork(2) beside it. */
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/random.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <samara/inject.h>
#include <samara/maple_tree.h>

#include "alloc/cache.h"
#include "alloc/thread.h"

struct thing {
	unsigned long value, twin; /* equal while readers may look */
	char rest[112];
};

DEFINE_OBJ_CACHE(things, "test_thing", sizeof(struct thing), 64);

static struct thing *shared;

static struct thing *thing_new(unsigned long value)
{
	struct thing *thing = cache_alloc(&things);

	if (!thing)
		abort();
	thing->value = thing->twin = value;
	return thing;
}

static int nothing_lives(void **state)
{
	return samara_live_objects() != 0;
}

/* Two threads in step, with nothing that orders their memory: relaxed only. */
static unsigned int step;

static void step_reach(unsigned int n)
{
	WRITE_ONCE(step, n);
}

static void step_wait(unsigned int n)
{
	while (READ_ONCE(step) < n)
		sched_yield();
}

/* live objects ------------------------------------------------------------ */

/* Leaves half-filled batches behind, in a thread that goes on living. */
static void *frees_and_stays(void *arg)
{
	for (unsigned int round = 0; round < 3; round++) {
		for (int i = 0; i < 10 + (int)round * 200; i++)
			cache_free_rcu(&things, thing_new(1));
		step_reach(2 * round + 1);
		step_wait(2 * round + 2);
	}
	return arg;
}

static void live_count_reaches_other_threads_batches(void **state)
{
	struct thing *kept = thing_new(2);
	pthread_t thread;

	step_reach(0);
	assert_int_equal(pthread_create(&thread, NULL, frees_and_stays, NULL), 0);
	for (unsigned int round = 0; round < 3; round++) {
		step_wait(2 * round + 1);
		assert_int_equal(samara_live_objects(), 1);
		step_reach(2 * round + 2);
	}
	pthread_join(thread, NULL);
	cache_free(&things, kept);
}

/*
 * Otherwise each object would take a sheaf and a callback of its own. While allocations are counted
 * to be refused, every object goes the slow way.
 */
static void a_batch_is_queued_when_it_is_full(void **state)
{
	for (int slow = 0; slow < 2; slow++) {
		assert_int_equal(samara_live_objects(), 0); /* no batch is left from before */
		if (slow)
			samara_inject_nth(1000000);
		for (unsigned int i = 1; i <= SHEAF_OBJS + 3; i++) {
			cache_free_rcu(&things, thing_new(i));
			assert_int_equal(thread_magazine(&things)->batch->count,
					 i > SHEAF_OBJS ? i - SHEAF_OBJS : i);
		}
		samara_inject_nth(0);
	}
}

static void deferred_object_keeps_its_contents_for_readers(void **state)
{
	struct thing *thing = thing_new(7);

	rcu_read_lock();
	cache_free_rcu(&things, thing);
	for (int i = 0; i < 300; i++) { /* fills batches and reuses what is free */
		struct thing *other = thing_new(8);

		cache_free_rcu(&things, other);
	}
	assert_int_equal(thing->value, 7);
	assert_int_equal(thing->twin, 7);
	rcu_read_unlock();
}

struct chase {
	uint64_t seed;
	unsigned long reads, torn;
};

static void *chase_reader(void *arg)
{
	struct chase *chase = arg;

	while (READ_ONCE(step) == 0) {
		struct thing *thing;

		rcu_read_lock();
		thing = rcu_dereference(shared);
		if (thing) {
			chase->torn += thing->value != thing->twin;
			chase->reads++;
		}
		rcu_read_unlock();
	}
	return NULL;
}

static void readers_see_each_thing_whole(void **state)
{
	struct chase chase[2] = { 0 };
	pthread_t thread[2];
	unsigned long rounds = (test_full() ? 20 : 1) * 200000 / test_slowdown();

	step_reach(0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, chase_reader, &chase[i]), 0);
	for (unsigned long i = 1; i < rounds; i++) {
		struct thing *old = shared;

		rcu_assign_pointer(shared, thing_new(i));
		if (old && i % 1000) {
			cache_free_rcu(&things, old);
		} else if (old) {
			rcu_synchronize();
			cache_free(&things, old);
		}
	}
	step_reach(1);
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(chase[i].torn, 0);
	}
	cache_free(&things, shared);
	shared = NULL;
}

/* fork -------------------------------------------------------------------- */

static void child_frees_and_counts(void *arg)
{
	void **inherited = arg;

	for (int i = 0; i < 300; i++)
		cache_free_rcu(&things, thing_new(3));
	cache_free_rcu(&things, *inherited);
	if (samara_live_objects() != 0)
		_Exit(1);
	/* The other thread is not in the child: its magazine keeps no memory either. */
	cache_shrink_all();
	if (things.chunks.first || (thread_list && thread_list->next))
		_Exit(2);
}

struct forker {
	bool first; /* in the list of threads before the other one */
	struct forked child;
	unsigned long live; /* after the fork */
};

static void *fork_beside_another(void *arg)
{
	struct forker *f = arg;
	void *thing = f->first ? thing_new(1) : NULL;
	pthread_t thread;

	step_reach(0);
	if (pthread_create(&thread, NULL, frees_and_stays, NULL))
		abort();
	step_wait(1); /* the other thread has a batch that the child must take over */
	if (!thing)
		thing = thing_new(1);
	run_forked(child_frees_and_counts, &thing, &f->child);
	f->live = samara_live_objects();
	cache_free(&things, thing);
	step_reach(2);
	step_wait(3);
	step_reach(4);
	step_wait(5);
	step_reach(6);
	pthread_join(thread, NULL);
	return NULL;
}

static void forked_child_goes_on(void **state)
{
	if (!forked_may_have_threads())
		skip();
	for (int first = 0; first < 2; first++) {
		struct forker f = { .first = first };
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, fork_beside_another, &f), 0);
		pthread_join(thread, NULL);
		assert_int_equal(f.child.signal, 0);
		assert_int_equal(f.child.status, 0);
		assert_int_equal(f.live, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(live_count_reaches_other_threads_batches, nothing_lives),
		cmocka_unit_test_teardown(a_batch_is_queued_when_it_is_full, nothing_lives),
		cmocka_unit_test_teardown(deferred_object_keeps_its_contents_for_readers,
					  nothing_lives),
		cmocka_unit_test_teardown(readers_see_each_thing_whole, nothing_lives),
		cmocka_unit_test_teardown(forked_child_goes_on, nothing_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
