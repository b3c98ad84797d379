/* SPDX-License-Identifier: MIT */
/* A worker that has nothing to do is woken for one callback, by the thread that defers it. */
#include "support/cmocka_all.h"

#include <time.h>

#include "base/rcu.h"

#define ROUNDS 10
#define MOST_MS 30000 /* that a callback may take on a machine that is busy */

static unsigned int called;

static void note(struct rcu_cb *cb)
{
	__atomic_add_fetch(&called, 1, __ATOMIC_RELEASE);
}

static void sleep_ms(unsigned int ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	nanosleep(&time, NULL);
}

/* No barrier does the worker's work. Between two rounds it falls asleep. */
static void one_callback_is_enough(void **state)
{
	static struct rcu_cb cb;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int ms = 0;

		rcu_defer(&cb, note);
		while (__atomic_load_n(&called, __ATOMIC_ACQUIRE) == round && ms++ < MOST_MS)
			sleep_ms(1);
		assert_int_equal(__atomic_load_n(&called, __ATOMIC_ACQUIRE), round + 1);
		sleep_ms(10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_callback_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
