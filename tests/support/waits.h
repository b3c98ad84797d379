/* SPDX-License-Identifier: MIT */
/*
 * Whether a call waits for a lock: it is made in a thread while the test holds the lock.
 * No time is involved: the test goes on when the call is in the lock's queue, or is over.
 */
#ifndef SAMARA_TEST_WAITS_H
#define SAMARA_TEST_WAITS_H

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "support/cmocka_all.h"

#include "base/lock.h"
#include "frame/frame.h"

struct waiting_call {
	void (*call)(void *arg);
	void *arg;
	pthread_t thread;
	int done;
};

static inline void *waiting_call_thread(void *arg)
{
	struct waiting_call *c = arg;

	c->call(c->arg);
	__atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* call(arg) in a thread. Whether waited(lock), before it has returned. */
static inline bool waits_until(struct waiting_call *c, bool (*waited)(const void *lock),
			       const void *lock)
{
	assert_int_equal(pthread_create(&c->thread, NULL, waiting_call_thread, c), 0);
	while (!__atomic_load_n(&c->done, __ATOMIC_ACQUIRE)) {
		if (waited(lock))
			return true;
		sched_yield();
	}
	return false;
}

static inline bool rwsem_waited(const void *lock)
{
	return READ_ONCE(((const struct rwsem *)lock)->state) & RWSEM_WAITERS;
}

/* A thread that has spun for long enough sleeps, and says so in the word. */
static inline bool spinlock_waited(const void *lock)
{
	return READ_ONCE(((const struct samara_spinlock *)lock)->word) == SPIN_WAITED;
}

static inline bool folio_waited(const void *folio)
{
	return folio_test(folio, FOLIO_WAITED);
}

/* Whether the call waits for what the caller holds. */
static inline bool waits_for(struct waiting_call *c, const struct rwsem *sem)
{
	return waits_until(c, rwsem_waited, sem);
}

static inline bool waits_for_spinlock(struct waiting_call *c, const struct samara_spinlock *lock)
{
	return waits_until(c, spinlock_waited, lock);
}

static inline bool waits_for_folio(struct waiting_call *c, const struct folio *folio)
{
	return waits_until(c, folio_waited, folio);
}

/* The caller has released the lock: wait until the call has returned. */
static inline void call_returns(struct waiting_call *c)
{
	assert_int_equal(pthread_join(c->thread, NULL), 0);
	assert_int_equal(c->done, 1);
}

/*
 * Whether a thread that waits comes to sleep, instead of looking again and again. What it runs is
 * counted, not the time that passes.
 */
static inline bool comes_to_sleep(pthread_t thread, pid_t tid)
{
	struct timespec ran = { 0 };
	clockid_t clock;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
	while (!ran.tv_sec && ran.tv_nsec < 300000000) {
		char state = '?';
		FILE *stat = fopen(path, "r");

		assert_non_null(stat);
		assert_int_equal(fscanf(stat, "%*[^)]) %c", &state), 1);
		fclose(stat);
		if (state == 'S')
			return true;
		sched_yield();
		assert_int_equal(clock_gettime(clock, &ran), 0);
	}
	return false;
}

#endif
