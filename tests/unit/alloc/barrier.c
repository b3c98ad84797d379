/* SPDX-License-Identifier: MIT */
/*
 * rcu_barrier() beside threads that go on deferring: what was deferred before it is free when it
 * returns, wherever the other thread is just then.
 */
#include "support/cmocka_all.h"
#include "support/random.h"

#include <pthread.h>
#include <sched.h>

#include <samara/inject.h>

#include "alloc/cache.h"
#include "alloc/defer.h"
#include "alloc/pool.h"
#include "alloc/thread.h"
#include "base/rcu.h"

#define OBJECTS 20000UL
#define NEVER (1UL << 40)

struct thing {
	unsigned long word[8];
};

DEFINE_OBJ_CACHE(barrier_things, "test_barrier_thing", sizeof(struct thing), 64);

static void *thing[OBJECTS];
static unsigned long freed; /* so many calls have returned */
static unsigned int deferring;

/* An armed thread takes the slow path for each object. */
static void *defer_all(void *arg)
{
	samara_inject_nth(NEVER);
	for (unsigned long i = 0; i < OBJECTS; i++) {
		cache_free_rcu(&barrier_things, thing[i]);
		smp_store_release(&freed, i + 1);
	}
	samara_inject_nth(0);
	__atomic_fetch_sub(&deferring, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Takes batches away from the others, as rcu_barrier() does. */
static void *flush(void *arg)
{
	while (smp_load_acquire(&deferring))
		rcu_barrier();
	return NULL;
}

static void check_once(void *(*beside)(void *))
{
	unsigned long out, before, barriers = 0, last = 0;
	pthread_t thread, other;

	for (unsigned long i = 0; i < OBJECTS; i++) {
		thing[i] = cache_alloc(&barrier_things);
		assert_non_null(thing[i]);
	}
	freed = 0;
	deferring = 1;
	out = pool_out(&barrier_things);
	assert_int_equal(pthread_create(&thread, NULL, defer_all, NULL), 0);
	if (beside)
		assert_int_equal(pthread_create(&other, NULL, beside, NULL), 0);
	while (last < OBJECTS) {
		before = last;
		last = smp_load_acquire(&freed);
		rcu_barrier();
		assert_in_range(pool_out(&barrier_things), 0, out - last);
		barriers += last > before;
	}
	pthread_join(thread, NULL);
	if (beside)
		pthread_join(other, NULL);
	assert_true(barriers > 0);
}

static void check_barriers(void *(*beside)(void *))
{
	for (int i = 0; i < (test_full() ? 500 : 20); i++)
		check_once(beside);
}

static void a_barrier_waits_for_batches_in_the_slow_path(void **state)
{
	check_barriers(NULL);
}

static void a_barrier_waits_for_batches_that_another_has_taken(void **state)
{
	check_barriers(flush);
}

static int reading; /* atomic */

/*
 * Stays in a section until the barrier waits for its end, and then takes the lock of the list of
 * threads.
 */
static void *read_and_count(void *arg)
{
	struct magazine *theirs = arg;

	rcu_read_lock();
	smp_store_release(&reading, 1);
	while (READ_ONCE(theirs->batch))
		sched_yield();
	(void)cache_live(&barrier_things);
	rcu_read_unlock();
	return NULL;
}

static void a_barrier_waits_with_no_lock_that_a_reader_may_want(void **state)
{
	struct magazine *m = thread_magazine(&barrier_things);
	pthread_t thread;

	assert_non_null(m);
	cache_free_rcu(&barrier_things, cache_alloc(&barrier_things));
	assert_non_null(m->batch);
	assert_int_equal(pthread_create(&thread, NULL, read_and_count, m), 0);
	while (!smp_load_acquire(&reading))
		sched_yield();
	rcu_barrier();
	pthread_join(thread, NULL);
}

#define ENDLESS (1U << 20)

static unsigned int flushes, defer_until;

/* What a barrier flushes. After each but the last there is an object more that waits. */
static void flush_and_defer(void)
{
	defer_flush_all();
	if (++flushes < defer_until)
		cache_free_rcu(&barrier_things, cache_alloc(&barrier_things));
}

static void there_are_as_many_barriers_as_something_was_deferred(void **state)
{
	static const unsigned int some[] = { 1, 2, 5 };
	unsigned long live = samara_live_objects();

	/* The first use of a thread says what barriers flush, too. */
	assert_non_null(thread_magazine(&barrier_things));
	rcu_barrier_flushes(flush_and_defer);
	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		flushes = 0;
		defer_until = some[i];
		assert_int_equal(samara_live_objects(), live);
		assert_int_equal(flushes, some[i]);
	}
	flushes = 0;
	defer_until = ENDLESS;
	(void)samara_live_objects();
	assert_in_range(flushes, 5, ENDLESS / 2);
	rcu_barrier_flushes(defer_flush_all);
	assert_int_equal(samara_live_objects(), live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_barrier_waits_with_no_lock_that_a_reader_may_want),
		cmocka_unit_test(there_are_as_many_barriers_as_something_was_deferred),
		cmocka_unit_test(a_barrier_waits_for_batches_in_the_slow_path),
		cmocka_unit_test(a_barrier_waits_for_batches_that_another_has_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
