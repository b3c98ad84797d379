/* SPDX-License-Identifier: MIT */
/*
 * A thread that works in rounds. See worker.h.
 *
 *   IDLE --wake--> WANTED --the thread--> IDLE, round(), ...
 *     `-----end----> ENDING               the thread returns
 *
 * A wake-up is not lost: the thread sleeps only while word is IDLE, which futex(2) compares.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/worker.h"

#include <pthread.h>
#include <signal.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "base/host.h"
#include "base/lock.h"

#define WORKER_STACK (256UL << 10)

enum { IDLE, WANTED, ENDING };

_Static_assert(sizeof(pthread_t) == sizeof(unsigned long), "struct worker has room for it");

bool worker_ends(const struct worker *worker)
{
	return smp_load_acquire(&worker->word) == ENDING;
}

#if SAMARA_SCHEDULED
void worker_wake(struct worker *worker)
{
	(void)worker;
}

void worker_end(struct worker *worker)
{
	smp_store_release(&worker->word, ENDING);
}
#else
static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	pthread_setname_np(pthread_self(), worker->name);
	while (!worker_ends(worker)) {
		unsigned int word = WANTED;

		if (try_cmpxchg_acq_rel(&worker->word, &word, IDLE))
			worker->round(worker->arg);
		else if (word == IDLE)
			futex_wait(&worker->word, IDLE, FUTEX_ANYONE, NULL);
	}
	return NULL;
}

/* False: no thread could be made. lock is held. */
static bool begin(struct worker *worker)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (pthread_attr_init(&attr))
		return false;
	if (!SAMARA_ASAN && !SAMARA_TSAN)
		pthread_attr_setstacksize(&attr, WORKER_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, &attr, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (err)
		return false;
	worker->thread = (unsigned long)thread;
	return true;
}

static __cold void begin_once(struct worker *worker)
{
	unsigned int free = SPIN_FREE;

	/* Another thread that has the lock begins it, or ends it. */
	if (!try_cmpxchg_acq_rel(&worker->lock.word, &free, SPIN_HELD))
		return;
	if (!worker->begun && worker->round && !worker_ends(worker))
		smp_store_release(&worker->begun, begin(worker));
	spin_release(&worker->lock);
}

void worker_wake(struct worker *worker)
{
	unsigned int word = IDLE;

	if (READ_ONCE(worker->word) != IDLE || !try_cmpxchg_acq_rel(&worker->word, &word, WANTED)) {
		if (likely(smp_load_acquire(&worker->begun)) || word == ENDING)
			return;
	}
	if (unlikely(!smp_load_acquire(&worker->begun)))
		begin_once(worker);
	/* Also where another thread has just begun it: it may sleep already. */
	futex_wake(&worker->word, 1, FUTEX_ANYONE);
}

void worker_end(struct worker *worker)
{
	struct host_call call;
	bool begun;

	spin_acquire(&worker->lock);
	smp_store_release(&worker->word, ENDING);
	begun = worker->begun;
	spin_release(&worker->lock);
	if (!begun)
		return;
	futex_wake(&worker->word, 1, FUTEX_ANYONE);
	host_begin(&call);
	pthread_join((pthread_t)worker->thread, NULL);
	host_end(&call);
	smp_store_release(&worker->begun, false);
}
#endif
