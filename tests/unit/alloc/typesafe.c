/* SPDX-License-Identifier: MIT */
/*
 * Type-safe caches: a reader in an RCU section may look at an object that was freed, and at
 * its kept bytes, until the section ends.
 */
#include "support/cmocka_all.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <samara/alloc.h>
#include <samara/inject.h>

#include "alloc/cache.h"
#include "alloc/pool.h"
#include "alloc/thread.h"
#include "base/rcu.h"

struct guest {
	unsigned long twin;
	unsigned long kept;
};

static DEFINE_TYPESAFE_CACHE(guests, "test_guest", sizeof(struct guest), 8,
			     offsetof(struct guest, kept));

static const struct guest *watched;
static int in_section, given_back_inside, given_back;

static void *hook_alloc(void *ctx, size_t size, size_t align)
{
	void *p;

	return posix_memalign(&p, align < sizeof(p) ? sizeof(p) : align, size) ? NULL : p;
}

static void hook_free(void *ctx, void *p, size_t size)
{
	const uintptr_t from = (uintptr_t)p, at = (uintptr_t)watched;

	if (at && at >= from && at < from + size) {
		__atomic_store_n(&given_back, 1, __ATOMIC_RELEASE);
		if (__atomic_load_n(&in_section, __ATOMIC_ACQUIRE))
			given_back_inside = 1;
	}
	free(p);
}

static void *shrink(void *started)
{
	__atomic_store_n((int *)started, 1, __ATOMIC_RELEASE);
	pool_shrink_all();
	return NULL;
}

static void sleep_ms(long ms)
{
	const struct timespec pause = { .tv_nsec = ms * 1000000 };

	nanosleep(&pause, NULL);
}

/* The allocator gets the chunk of a freed object back once no reader can be looking at it. */
static void memory_goes_back_after_a_grace_period(void **state)
{
	const struct samara_alloc_hooks hooks = { hook_alloc, hook_free, NULL };
	struct guest *guest;
	pthread_t thread;
	int started = 0;

	assert_int_equal(samara_set_alloc_hooks(&hooks), 0);
	guest = cache_alloc(&guests);
	assert_non_null(guest);
	guest->kept = 42;
	cache_free(&guests, guest);
	thread_drain();
	rcu_read_lock();
	watched = guest;
	__atomic_store_n(&in_section, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&thread, NULL, shrink, &started), 0);
	while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	/* Longer than shrinking takes if it does not wait. Too short a time hides a fault only. */
	for (int i = 0; i < 30 && !__atomic_load_n(&given_back, __ATOMIC_ACQUIRE); i++)
		sleep_ms(1);
	assert_false(__atomic_load_n(&given_back, __ATOMIC_ACQUIRE));
	assert_int_equal(READ_ONCE(guest->kept), 42);
	__atomic_store_n(&in_section, 0, __ATOMIC_RELEASE);
	rcu_read_unlock();
	pthread_join(thread, NULL);
	assert_true(given_back);
	assert_false(given_back_inside);
	watched = NULL;
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_goes_back_after_a_grace_period),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
