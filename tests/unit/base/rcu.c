/* SPDX-License-Identifier: MIT */
/* RCU (base/rcu.h) and deferred freeing (base/cache.h). */
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/random.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <samara/inject.h>
#include <samara/maple_tree.h>

#include "base/cache.h"

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

/* grace periods ----------------------------------------------------------- */

struct grace {
	unsigned long over, over_inside;
};

/* Reads until the writer waits, and some more; the wait must not end meanwhile. */
static void *slow_reader(void *arg)
{
	struct grace *grace = arg;

	rcu_read_lock();
	rcu_read_lock();
	step_reach(1);
	step_wait(2);
	for (int i = 0; i < 2000; i++) {
		grace->over_inside |= READ_ONCE(grace->over);
		sched_yield();
		if (i == 1000)
			rcu_read_unlock(); /* the inner one: still a reader */
	}
	rcu_read_unlock();
	return NULL;
}

static void synchronize_waits_for_readers(void **state)
{
	struct grace grace = { 0 };
	pthread_t reader;

	step_reach(0);
	assert_int_equal(pthread_create(&reader, NULL, slow_reader, &grace), 0);
	step_wait(1);
	step_reach(2);
	rcu_synchronize();
	WRITE_ONCE(grace.over, 1);
	pthread_join(reader, NULL);
	assert_int_equal(grace.over_inside, 0);
}

struct grace_cb {
	struct grace grace;
	struct rcu_cb cb;
};

static void grace_is_over(struct rcu_cb *cb)
{
	WRITE_ONCE(container_of(cb, struct grace_cb, cb)->grace.over, 1);
}

static void callbacks_wait_for_readers(void **state)
{
	struct grace_cb grace = { 0 };
	pthread_t reader;

	step_reach(0);
	assert_int_equal(pthread_create(&reader, NULL, slow_reader, &grace.grace), 0);
	step_wait(1);
	rcu_defer(&grace.cb, grace_is_over);
	step_reach(2);
	rcu_barrier();
	assert_int_equal(READ_ONCE(grace.grace.over), 1);
	pthread_join(reader, NULL);
	assert_int_equal(grace.grace.over_inside, 0);
}

static void public_calls_do_the_same(void **state)
{
	assert_false(rcu_read_held());
	samara_rcu_read_lock();
	assert_true(rcu_read_held());
	samara_rcu_read_lock();
	samara_rcu_read_unlock();
	assert_true(rcu_read_held());
	samara_rcu_read_unlock();
	assert_false(rcu_read_held());
	samara_rcu_synchronize();
}

/* callbacks --------------------------------------------------------------- */

#define CALLBACKS 1000

struct numbered {
	struct rcu_cb cb;
	unsigned int number;
};

static struct numbered numbered[CALLBACKS];
static unsigned int called, out_of_order;

static void note_order(struct rcu_cb *cb)
{
	if (container_of(cb, struct numbered, cb)->number != called++)
		out_of_order++;
}

static void callbacks_run_in_the_order_they_were_deferred(void **state)
{
	called = out_of_order = 0;
	for (unsigned int i = 0; i < CALLBACKS; i++) {
		numbered[i].number = i;
		rcu_defer(&numbered[i].cb, note_order);
		if (i % 100 == 0)
			sched_yield(); /* several rounds, perhaps */
	}
	rcu_barrier();
	assert_int_equal(called, CALLBACKS);
	assert_int_equal(out_of_order, 0);
}

static void defer_again(struct rcu_cb *cb)
{
	struct numbered *n = container_of(cb, struct numbered, cb);

	WRITE_ONCE(n->number, n->number - 1);
	if (n->number)
		rcu_defer(cb, defer_again);
}

static void callback_may_defer_itself(void **state)
{
	numbered[0].number = 5;
	rcu_defer(&numbered[0].cb, defer_again);
	for (int i = 0; i < 5; i++)
		rcu_barrier();
	assert_int_equal(READ_ONCE(numbered[0].number), 0);
}

static void worker_needs_no_barrier(void **state)
{
	struct grace_cb grace = { 0 };

	rcu_defer(&grace.cb, grace_is_over);
	while (!READ_ONCE(grace.grace.over)) /* ends if the worker works */
		sched_yield();
	rcu_barrier(); /* the callback has returned */
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
	cache_shrink_all();
}

static void forked_child_goes_on(void **state)
{
	struct forked child;
	pthread_t thread;
	void *thing;

	if (!forked_may_have_threads())
		skip();
	step_reach(0);
	assert_int_equal(pthread_create(&thread, NULL, frees_and_stays, NULL), 0);
	step_wait(1); /* the other thread has a batch that the child must take over */
	thing = thing_new(1);
	run_forked(child_frees_and_counts, &thing, &child);
	assert_int_equal(child.signal, 0);
	assert_int_equal(child.status, 0);
	assert_int_equal(samara_live_objects(), 1);
	cache_free(&things, thing);
	step_reach(2);
	step_wait(3);
	step_reach(4);
	step_wait(5);
	step_reach(6);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(synchronize_waits_for_readers, nothing_lives),
		cmocka_unit_test_teardown(callbacks_wait_for_readers, nothing_lives),
		cmocka_unit_test_teardown(public_calls_do_the_same, nothing_lives),
		cmocka_unit_test_teardown(callbacks_run_in_the_order_they_were_deferred,
					  nothing_lives),
		cmocka_unit_test_teardown(callback_may_defer_itself, nothing_lives),
		cmocka_unit_test_teardown(worker_needs_no_barrier, nothing_lives),
		cmocka_unit_test_teardown(live_count_reaches_other_threads_batches, nothing_lives),
		cmocka_unit_test_teardown(deferred_object_keeps_its_contents_for_readers,
					  nothing_lives),
		cmocka_unit_test_teardown(readers_see_each_thing_whole, nothing_lives),
		cmocka_unit_test_teardown(forked_child_goes_on, nothing_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
