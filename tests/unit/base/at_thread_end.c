/* SPDX-License-Identifier: MIT */
/* What a room does at the end of a thread (base/at_thread_end.h). */
#include "support/cmocka_all.h"

#include <limits.h>
#include <pthread.h>

#include "base/atomic.h"
#include "base/at_thread_end.h"

static unsigned int ends, last;

static void note(void *arg)
{
	atomic_inc(&ends);
	WRITE_ONCE(last, *(unsigned int *)arg);
}

static struct thread_end end = { .at_end = note };
static unsigned int one = 1, two = 2;

static void run(void *(*fn)(void *))
{
	pthread_t thread;
	void *armed;

	ends = 0;
	assert_int_equal(pthread_create(&thread, NULL, fn, NULL), 0);
	assert_int_equal(pthread_join(thread, &armed), 0);
	assert_non_null(armed);
}

static void *arms_twice(void *arg)
{
	return thread_end_arm(&end, &one) && thread_end_arm(&end, &two) ? &end : NULL;
}

static void the_last_word_counts(void **state)
{
	run(arms_twice);
	assert_int_equal(ends, 1);
	assert_int_equal(last, 2);
}

static struct thread_end late = { .at_end = note };

static void *arms_late(void *arg)
{
	return thread_end_arm(&late, &one) ? NULL : &late;
}

static void *arms_in_time(void *arg)
{
	return thread_end_arm(&late, &one) ? &late : NULL;
}

/* A refusal is not remembered. */
static void without_keys_it_is_refused_until_there_is_one(void **state)
{
	static pthread_key_t keys[PTHREAD_KEYS_MAX];
	unsigned int n = 0;

	while (n < PTHREAD_KEYS_MAX && !pthread_key_create(&keys[n], NULL))
		n++;
	run(arms_late);
	assert_int_equal(ends, 0);
	while (n)
		pthread_key_delete(keys[--n]);
	run(arms_in_time);
	assert_int_equal(ends, 1);
}

static struct thread_end raced = { .at_end = note };
static pthread_barrier_t together;

static void *arms_beside_others(void *arg)
{
	static unsigned int own;

	pthread_barrier_wait(&together);
	return thread_end_arm(&raced, &own) ? &raced : NULL;
}

static void threads_that_arm_at_once_share_a_key(void **state)
{
	pthread_t thread[4];
	void *armed;

	pthread_barrier_init(&together, NULL, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, arms_beside_others, NULL), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &armed), 0);
		assert_non_null(armed);
	}
	pthread_barrier_destroy(&together);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_word_counts),
		cmocka_unit_test(without_keys_it_is_refused_until_there_is_one),
		cmocka_unit_test(threads_that_arm_at_once_share_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
