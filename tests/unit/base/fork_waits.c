/* SPDX-License-Identifier: MIT */
/*
 * fork(2) beside a round of deferred callbacks: the fork comes next after the callback that runs,
 * and holds nothing of liburcu's while it waits for that.
 */
#define _GNU_SOURCE
#include "support/cmocka_all.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rcu.h"

static struct {
	struct rcu_cb holds, first, second;
	unsigned int queued, running, called;
	pid_t forker;
	int status;
} w;

/* The state of a thread of this process, as in /proc/PID/stat: 'S' sleeps. */
static char state_of(pid_t tid)
{
	char name[64], text[256] = "";
	FILE *file;

	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", tid);
	file = fopen(name, "r");
	if (file) {
		text[fread(text, 1, sizeof(text) - 1, file)] = 0;
		fclose(file);
	}
	return strrchr(text, ')') ? strrchr(text, ')')[2] : 0;
}

static void wait_for(const unsigned int *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void reach(unsigned int *flag, unsigned int value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

/* While this runs, the other two are queued: they come in one round. */
static void holds(struct rcu_cb *cb)
{
	reach(&w.running, 1);
	wait_for(&w.queued);
}

static void first(struct rcu_cb *cb)
{
	pid_t tid;

	reach(&w.running, 2);
	do {
		sched_yield();
		tid = __atomic_load_n(&w.forker, __ATOMIC_ACQUIRE);
	} while (!tid || state_of(tid) != 'S');
	rcu_synchronize();
	reach(&w.called, 1);
}

static void second(struct rcu_cb *cb)
{
	reach(&w.called, 2);
}

/* The child's exit status is how many callbacks had been called. */
static void *forker(void *arg)
{
	pid_t child;

	__atomic_store_n(&w.forker, gettid(), __ATOMIC_RELEASE);
	child = fork();
	if (!child)
		_exit((int)READ_ONCE(w.called));
	if (child < 0 || waitpid(child, &w.status, 0) != child)
		w.status = -1;
	return NULL;
}

static void a_fork_comes_between_two_callbacks(void **state)
{
	pthread_t thread;

	rcu_barrier();
	rcu_defer(&w.holds, holds);
	wait_for(&w.running);
	rcu_defer(&w.first, first);
	rcu_defer(&w.second, second);
	reach(&w.queued, 1);
	while (READ_ONCE(w.running) != 2)
		sched_yield();
	assert_int_equal(pthread_create(&thread, NULL, forker, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	rcu_barrier();
	assert_int_equal(w.called, 2);
	assert_true(WIFEXITED(w.status));
	assert_int_equal(WEXITSTATUS(w.status), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fork_comes_between_two_callbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
