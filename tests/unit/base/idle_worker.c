/* SPDX-License-Identifier: MIT */
/*
 * A worker that has nothing to do is woken for one callback, by the thread that defers it. Where
 * the host refused a thread, the next callback asks again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "support/cmocka_all.h"

#include <time.h>

#include "base/rcu.h"

#define ROUNDS 10
#define MOST_MS 30000 /* that a callback may take on a machine that is busy */

static unsigned int called, refusals;

/* The library's too. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg)
{
	int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (refusals) {
		refusals--;
		return EAGAIN;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
	return next(thread, attr, fn, arg);
}

static void note(struct rcu_cb *cb)
{
	__atomic_add_fetch(&called, 1, __ATOMIC_RELEASE);
}

static void sleep_ms(unsigned int ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	nanosleep(&time, NULL);
}

static void wait_for(unsigned int calls)
{
	unsigned int ms = 0;

	while (__atomic_load_n(&called, __ATOMIC_ACQUIRE) < calls && ms++ < MOST_MS)
		sleep_ms(1);
	assert_int_equal(__atomic_load_n(&called, __ATOMIC_ACQUIRE), calls);
}

/* Comes first: later there is a worker. */
static void a_thread_that_was_refused_is_asked_for_again(void **state)
{
	static struct rcu_cb first, second;

	refusals = 1;
	rcu_defer(&first, note);
	assert_int_equal(refusals, 0);
	rcu_defer(&second, note);
	wait_for(2);
}

/* No barrier does the worker's work. Between two rounds it falls asleep. */
static void one_callback_is_enough(void **state)
{
	const unsigned int before = __atomic_load_n(&called, __ATOMIC_ACQUIRE);
	static struct rcu_cb cb;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		rcu_defer(&cb, note);
		wait_for(before + round + 1);
		sleep_ms(10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_that_was_refused_is_asked_for_again),
		cmocka_unit_test(one_callback_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
