/* SPDX-License-Identifier: MIT */
/*
 * Whether a call waits for a lock: it is made in a thread while the test holds the lock.
 * No time is involved: the test goes on when the call is in the lock's queue, or is over.
 */
#ifndef SAMARA_TEST_WAITS_H
#define SAMARA_TEST_WAITS_H

#include <pthread.h>
#include <sched.h>

#include "support/cmocka_all.h"

#include "base/lock.h"

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

/* call(arg) in a thread. True when it waits in the queue of sem, which the caller holds. */
static inline bool waits_for(struct waiting_call *c, const struct rwsem *sem)
{
	assert_int_equal(pthread_create(&c->thread, NULL, waiting_call_thread, c), 0);
	while (!__atomic_load_n(&c->done, __ATOMIC_ACQUIRE)) {
		if (READ_ONCE(sem->state) & RWSEM_WAITERS)
			return true;
		sched_yield();
	}
	return false;
}

/* The same for a spinlock. A call that has spun for long enough sleeps, and says so in the word. */
static inline bool waits_for_spinlock(struct waiting_call *c, const struct samara_spinlock *lock)
{
	assert_int_equal(pthread_create(&c->thread, NULL, waiting_call_thread, c), 0);
	while (!__atomic_load_n(&c->done, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) == SPIN_WAITED)
			return true;
		sched_yield();
	}
	return false;
}

/* The caller has released the lock: wait until the call has returned. */
static inline void call_returns(struct waiting_call *c)
{
	assert_int_equal(pthread_join(c->thread, NULL), 0);
	assert_int_equal(c->done, 1);
}

#endif
