/* SPDX-License-Identifier: MIT */
/* A thread that works in rounds (base/worker.c). */
#include "support/cmocka_all.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "base/worker.h"

struct job {
	struct worker worker;
	unsigned int rounds;
	unsigned int hold; /* 1: a round waits until it is 0 */
	sigset_t blocked;
	char name[32];
	pthread_t thread;
};

static void one_round(void *arg)
{
	struct job *job = arg;

	pthread_sigmask(SIG_BLOCK, NULL, &job->blocked);
	pthread_getname_np(pthread_self(), job->name, sizeof(job->name));
	job->thread = pthread_self();
	atomic_add_release(&job->rounds, 1);
	futex_wake(&job->rounds, FUTEX_ALL, FUTEX_ANYONE);
	while (smp_load_acquire(&job->hold))
		futex_wait(&job->hold, 1, FUTEX_ANYONE, NULL);
}

static void job_init(struct job *job)
{
	memset(job, 0, sizeof(*job));
	job->worker.name = "samara-test";
	job->worker.round = one_round;
	job->worker.arg = job;
}

static void let_go(struct job *job)
{
	smp_store_release(&job->hold, 0);
	futex_wake(&job->hold, FUTEX_ALL, FUTEX_ANYONE);
}

static void await_rounds(struct job *job, unsigned int n)
{
	unsigned int rounds;

	while ((rounds = smp_load_acquire(&job->rounds)) < n)
		futex_wait(&job->rounds, rounds, FUTEX_ANYONE, NULL);
}

static void each_wake_up_has_a_round_behind_it(void **state)
{
	struct job job;

	(void)state;
	job_init(&job);
	for (unsigned int i = 1; i <= 100; i++) {
		worker_wake(&job.worker);
		await_rounds(&job, i);
	}
	worker_end(&job.worker);
	assert_int_equal(job.rounds, 100);
	worker_wake(&job.worker);
	assert_int_equal(job.rounds, 100);
	assert_true(worker_ends(&job.worker));
}

static void wake_ups_during_a_round_become_one(void **state)
{
	struct job job;

	(void)state;
	job_init(&job);
	job.hold = 1;
	worker_wake(&job.worker);
	await_rounds(&job, 1);
	for (int i = 0; i < 10; i++)
		worker_wake(&job.worker);
	let_go(&job);
	await_rounds(&job, 2);
	worker_end(&job.worker);
	assert_int_equal(job.rounds, 2);
}

static void it_blocks_all_signals_and_has_a_name(void **state)
{
	struct job job;

	(void)state;
	job_init(&job);
	worker_wake(&job.worker);
	await_rounds(&job, 1);
	worker_end(&job.worker);
	assert_string_equal(job.name, "samara-test");
	assert_false(pthread_equal(job.thread, pthread_self()));
	assert_true(sigismember(&job.blocked, SIGTERM));
	assert_true(sigismember(&job.blocked, SIGPROF));
	pthread_sigmask(SIG_BLOCK, NULL, &job.blocked);
	assert_false(sigismember(&job.blocked, SIGTERM));
}

static void one_that_was_never_woken_has_no_thread(void **state)
{
	struct job job;

	(void)state;
	job_init(&job);
	worker_end(&job.worker);
	assert_false(job.worker.begun);
	worker_wake(&job.worker);
	assert_false(job.worker.begun);
}

static void *wake_it(void *arg)
{
	for (int i = 0; i < 200; i++)
		worker_wake(arg);
	return NULL;
}

static void waking_and_ending_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		pthread_t thread[2];
		struct job job;

		job_init(&job);
		for (int t = 0; t < 2; t++)
			assert_int_equal(pthread_create(&thread[t], NULL, wake_it, &job.worker), 0);
		worker_end(&job.worker);
		for (int t = 0; t < 2; t++)
			pthread_join(thread[t], NULL);
		assert_false(job.worker.begun);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_wake_up_has_a_round_behind_it),
		cmocka_unit_test(wake_ups_during_a_round_become_one),
		cmocka_unit_test(it_blocks_all_signals_and_has_a_name),
		cmocka_unit_test(one_that_was_never_woken_has_no_thread),
		cmocka_unit_test(waking_and_ending_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
