/* SPDX-License-Identifier: MIT */
/*
 * rcu_barrier() beside threads that go on deferring: what was deferred before it is free when it
 * returns, wherever the other thread is just then.
 */
#include "support/cmocka_all.h"
#include "support/random.h"

#include <pthread.h>

#include <samara/inject.h>

#include "alloc/cache.h"
#include "alloc/pool.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_barrier_waits_for_batches_in_the_slow_path),
		cmocka_unit_test(a_barrier_waits_for_batches_that_another_has_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
