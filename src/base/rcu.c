/* SPDX-License-Identifier: MIT */
/*
 * Deferred callbacks and the public RCU calls.
 *
 *   rcu_defer() --push--> queue: newest -> ... -> oldest     (lock-free stack)
 *                           |
 *             run_queue():  take all, turn round, wait for one grace period, run
 *                           |
 *             by the worker thread, or by a thread that calls rcu_barrier()
 *
 * Why not liburcu's call_rcu(): its thread looks at its queue every 10 ms, so
 * that freed memory comes back cold and a barrier takes as long, and it is
 * opaque to ThreadSanitizer. The worker here sleeps in futex(2) while nothing
 * is queued. While there is work it naps NAP_NS between rounds, which bounds
 * its rounds (and the wake-ups that writers pay for) to about a thousand a
 * second; a writer that queues faster than that wakes it early.
 *
 * A grace period of liburcu-bp 0.13 takes microseconds, but 10 ms when it meets a
 * reader that was preempted inside its section: it polls. A wake-up may preempt the thread that
 * wakes, so a thread in a section queues there and wakes the worker behind it.
 *
 * Invariants
 *  1. Rounds exclude each other (round_lock), so callbacks run in queue order.
 *  2. A callback that is queued while the worker is idle finds worker_word at
 *     WORKER_IDLE or the worker finds the callback: both do their store before
 *     their load, sequentially consistent.
 *  3. If the worker cannot be started, callbacks stay queued; the next
 *     rcu_defer() tries again and rcu_barrier() needs no worker.
 *
 * Locks: round_lock (RANK_ROUND) is taken with no other lock held. The queue has none.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <signal.h>

#include <samara/maple_tree.h>

#include "base/rcu.h"

#include "base/assert.h"
#include "base/fork.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/trace.h"

#if !SAMARA_SCHEDULED
#include <urcu/urcu-bp.h>
#endif

#define NAP_NS 1000000L
#define QUEUE_LONG 16 /* callbacks (of mostly a batch of objects each) that cut a nap short */
#define WORKER_STACK (256UL << 10)

enum { WORKER_BUSY = 0, WORKER_IDLE = 1, WORKER_NAPS = 2 };

static struct rcu_cb *queue;
static unsigned int queued;
static unsigned int worker_word;
static bool worker_started;
static struct mutex round_lock = MUTEX_INIT(RANK_ROUND);
static struct rcu_cb *ready; /* round_lock; a grace period has passed since they were queued */
static void (*flush_deferred)(void); /* NULL while nothing was ever deferred by other means */
static unsigned int fork_waits;      /* 0 or 1: one fork at a time comes to rcu_fork_prepare() */

/* What liburcu does, or the scheduler in its place ------------------------- */

#if SAMARA_SCHEDULED
static void wait_for_readers(void)
{
	schedule_rcu_synchronize();
}

static void readers_fork_prepare(void) {}
static void readers_fork_parent(void) {}
static void readers_fork_child(void) {}
#else
#if SAMARA_TSAN
char rcu_grace_period;
#endif

static void wait_for_readers(void)
{
	urcu_bp_synchronize_rcu();
	rcu_guests_wait();
	RCU_TSAN_ACQUIRE();
}

static void readers_fork_prepare(void)
{
	urcu_bp_before_fork();
}

static void readers_fork_parent(void)
{
	urcu_bp_after_fork_parent();
}

static void readers_fork_child(void)
{
	urcu_bp_after_fork_child();
	rcu_guests_fork_child();
}
#endif

void rcu_synchronize(void)
{
	VM_WARN_ON(rcu_read_held());
	wait_for_readers();
}

/* rounds ------------------------------------------------------------------ */

static struct rcu_cb *take_queue(void)
{
	struct rcu_cb *newest = __atomic_exchange_n(&queue, NULL, __ATOMIC_SEQ_CST);
	struct rcu_cb *oldest = NULL;

	__atomic_store_n(&queued, 0, __ATOMIC_RELAXED);
	while (newest) {
		struct rcu_cb *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

/*
 * A lock is mostly taken again by the thread that released it. A worker that has much to do would
 * keep a fork(2) waiting for all of it; so rounds wait for the fork instead.
 */
static void round_begin(void)
{
	while (__atomic_load_n(&fork_waits, __ATOMIC_RELAXED))
		futex_wait(&fork_waits, 1, FUTEX_ANYONE, NULL);
	mutex_lock(&round_lock);
}

static void round_end(void)
{
	mutex_unlock(&round_lock);
}

/*
 * Do all that is queued now; false: there was nothing. Between round_begin() and round_end(), but
 * lets a fork in between two callbacks. What is ready stays in the list then, for any thread.
 */
static bool run_queue(void)
{
	unsigned long done = 0;

	if (!ready) {
		ready = take_queue();
		if (ready)
			rcu_synchronize();
	}
	while (ready) {
		struct rcu_cb *cb = ready;

		ready = cb->next;
		cb->fn(cb);
		done++;
		if (unlikely(__atomic_load_n(&fork_waits, __ATOMIC_RELAXED))) {
			round_end();
			round_begin();
		}
	}
	if (done)
		TRACE(rcu_round, done);
	return done;
}

static bool run_round(void)
{
	bool had_some;

	round_begin();
	had_some = run_queue();
	round_end();
	return had_some;
}

/* worker ------------------------------------------------------------------ */

static void worker_sleep(int how, const struct timespec *timeout)
{
	__atomic_store_n(&worker_word, how, __ATOMIC_SEQ_CST);
	if (how == WORKER_NAPS || !__atomic_load_n(&queue, __ATOMIC_SEQ_CST))
		futex_wait(&worker_word, how, FUTEX_ANYONE, timeout);
	__atomic_store_n(&worker_word, WORKER_BUSY, __ATOMIC_SEQ_CST);
}

static void *worker_main(void *arg)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };

	for (;;) {
		if (run_round())
			worker_sleep(WORKER_NAPS, &nap);
		else
			worker_sleep(WORKER_IDLE, NULL);
	}
	return arg;
}

static void worker_start(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	bool no = false;

	if (!__atomic_compare_exchange_n(&worker_started, &no, true, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return;
	fork_handlers_register();
	if (pthread_attr_init(&attr))
		goto failed;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!SAMARA_ASAN && !SAMARA_TSAN)
		pthread_attr_setstacksize(&attr, WORKER_STACK);
	/* Signals are the embedder's; its handlers shall not run on a thread it does not know. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, &attr, worker_main, NULL))
		no = true;
	else
		pthread_setname_np(thread, "samara-rcu");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (!no)
		return;
failed:
	smp_store_release(&worker_started, false);
}

void rcu_queue(struct rcu_cb *cb, void (*fn)(struct rcu_cb *cb))
{
	struct rcu_cb *head = READ_ONCE(queue);

	cb->fn = fn;
	do {
		cb->next = head;
	} while (!__atomic_compare_exchange_n(&queue, &head, cb, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	__atomic_add_fetch(&queued, 1, __ATOMIC_RELAXED);
}

void rcu_wake_worker(void)
{
	unsigned int word;

	if (!READ_ONCE(queue))
		return; /* nothing was queued, or the worker has taken it */
	if (unlikely(!smp_load_acquire(&worker_started)))
		worker_start();
	word = __atomic_load_n(&worker_word, __ATOMIC_SEQ_CST);
	if (READ_ONCE(queued) < QUEUE_LONG && word != WORKER_IDLE)
		return;
	if (word != WORKER_BUSY &&
	    __atomic_exchange_n(&worker_word, WORKER_BUSY, __ATOMIC_SEQ_CST) != WORKER_BUSY)
		futex_wake(&worker_word, 1, FUTEX_ANYONE);
}

void rcu_defer(struct rcu_cb *cb, void (*fn)(struct rcu_cb *cb))
{
	rcu_queue(cb, fn);
	rcu_wake_worker();
}

void rcu_barrier_flushes(void (*flush)(void))
{
	smp_store_release(&flush_deferred, flush);
}

void rcu_barrier(void)
{
	void (*const flush)(void) = smp_load_acquire(&flush_deferred);

	VM_WARN_ON(rcu_read_held());
	round_begin();
	if (flush)
		flush();
	run_queue(); /* what was ready before may be all that this does */
	run_queue();
	/* Objects that were deferred without a sheaf may have had to wait for a round to begin. */
	run_queue();
	round_end();
}

/* fork -------------------------------------------------------------------- */

/* No rank here: fork() may be called with any lock held, and the child must find ours free. */
void rcu_fork_prepare(void)
{
	__atomic_store_n(&fork_waits, 1, __ATOMIC_RELAXED);
	spin_acquire(&round_lock.lock);
	readers_fork_prepare();
}

void rcu_fork_parent(void)
{
	readers_fork_parent();
	spin_release(&round_lock.lock);
	__atomic_store_n(&fork_waits, 0, __ATOMIC_RELAXED);
	futex_wake(&fork_waits, FUTEX_ALL, FUTEX_ANYONE);
}

/* The worker is not in the child; the next rcu_defer() starts one there. */
void rcu_fork_child(void)
{
	readers_fork_child();
	worker_word = WORKER_BUSY;
	worker_started = false;
	fork_waits = 0;
	round_lock.lock.word = SPIN_FREE;
}

/* public ------------------------------------------------------------------ */

void samara_rcu_read_lock(void)
{
	rcu_read_lock();
}

void samara_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

void samara_rcu_synchronize(void)
{
	rcu_synchronize();
}
