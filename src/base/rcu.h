/* SPDX-License-Identifier: MIT */
/*
 * Read-copy-update: readers that never wait, memory that is freed only when no
 * reader can hold it any more. The grace periods are liburcu-bp's (any thread
 * may read, without registration); callbacks are run by a worker of our own.
 *
 *   reader                         writer
 *   rcu_read_lock();               rcu_assign_pointer(head, new);
 *   p = rcu_dereference(head);     cache_free_rcu(&cache, old);
 *   ... *p stays valid ...            or rcu_defer(&old->cb, fn)
 *   rcu_read_unlock();                or rcu_synchronize(); free(old);
 *
 * Ordering, and what ThreadSanitizer is told of it:
 *  1. What a writer stored before rcu_assign_pointer() is seen by a reader that
 *     got the pointer from rcu_dereference() (release, acquire).
 *  2. What a reader did in a section that began before a grace period happens
 *     before the end of that grace period: rcu_read_unlock() releases
 *     rcu_grace_period, a waiter acquires it. liburcu orders the two with
 *     membarrier(2) in code that the sanitizer does not see, hence the
 *     annotations. There is none for freeing without waiting, so that a
 *     program which does is still reported.
 *
 * rcu_read_lock() is liburcu's _urcu_bp_read_lock(): its header states that the
 * function is short enough for the LGPL's ten-line clause and meant to be
 * inlined by code under another license. Nothing else of liburcu is inlined.
 * Sanitizer builds call the library's function instead: liburcu 0.13 places its
 * reader records at addresses that their type does not allow, which is harmless
 * but reported.
 */
#ifndef BASE_RCU_H
#define BASE_RCU_H

#include "base/compiler.h"

#if !SAMARA_SCHEDULED
#include <urcu/static/urcu-bp.h>
#undef rcu_dereference
#undef rcu_assign_pointer
#endif

/* Two words in one's own object, for rcu_defer(). */
struct rcu_cb {
	struct rcu_cb *next;
	void (*fn)(struct rcu_cb *cb);
};

#if SAMARA_SCHEDULED
static inline void rcu_read_lock(void)
{
	schedule_rcu_read_lock();
}

static inline void rcu_read_unlock(void)
{
	schedule_rcu_read_unlock();
}

static inline bool rcu_read_held(void)
{
	return schedule_rcu_read_held();
}
#else
/*
 * The reader word of liburcu lives in its own shared library; without this the
 * compiler calls __tls_get_addr() for each access from position-independent
 * code, which costs more than the whole lock.
 */
extern __thread struct urcu_bp_reader *urcu_bp_reader __attribute__((tls_model("initial-exec")));

#if SAMARA_TSAN
extern char rcu_grace_period;
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define RCU_TSAN_RELEASE() __tsan_release(&rcu_grace_period)
#define RCU_TSAN_ACQUIRE() __tsan_acquire(&rcu_grace_period)
#else
#define RCU_TSAN_RELEASE() ((void)0)
#define RCU_TSAN_ACQUIRE() ((void)0)
#endif

#if SAMARA_ASAN || SAMARA_TSAN || SAMARA_UBSAN
void urcu_bp_read_lock(void);
void urcu_bp_read_unlock(void);
int urcu_bp_read_ongoing(void);
#define RCU_LIBURCU(what) urcu_bp_##what()
#else
#define RCU_LIBURCU(what) _urcu_bp_##what()
#endif

/*
 * Sections of threads for which there was no memory (rcu_guest.c). rcu_first_section() registers
 * the calling thread with liburcu and says true, or begins such a section.
 */
extern __thread unsigned int rcu_guest_depth __attribute__((tls_model("initial-exec")));
bool rcu_first_section(void);
void rcu_guest_unlock(void);
void rcu_guests_wait(void);
void rcu_guests_fork_child(void);

/* A read-side critical section. Nests. No waiting for a grace period and no fork inside. */
static inline void rcu_read_lock(void)
{
	if (unlikely(!urcu_bp_reader) && !rcu_first_section())
		return;
	RCU_LIBURCU(read_lock);
}

static inline void rcu_read_unlock(void)
{
	RCU_TSAN_RELEASE();
	/* The embedder may have registered the thread inside a guest's section. */
	if (unlikely(!urcu_bp_reader || !RCU_LIBURCU(read_ongoing)))
		rcu_guest_unlock();
	else
		RCU_LIBURCU(read_unlock);
}

/* Whether this thread is inside a read-side critical section. */
static inline bool rcu_read_held(void)
{
	return (urcu_bp_reader && RCU_LIBURCU(read_ongoing)) || rcu_guest_depth;
}
#endif

/* Acquire costs nothing on x86, and unlike consume every compiler and sanitizer knows it. */
#define rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)

/* Wait until all read-side sections that have begun are over. No lock held, not in a section. */
void rcu_synchronize(void);

/*
 * Call fn(cb) after a grace period, from any thread but one at a time and in
 * the order of the rcu_defer() calls of one thread. Never fails, never waits;
 * allowed anywhere, also inside a section and with locks held.
 */
void rcu_defer(struct rcu_cb *cb, void (*fn)(struct rcu_cb *cb));

/*
 * The halves of rcu_defer(), for a caller that must queue inside a section. It calls
 * rcu_wake_worker() behind the section: the worker may preempt the thread that wakes it, and would
 * then wait 10 ms for the section to end.
 */
void rcu_queue(struct rcu_cb *cb, void (*fn)(struct rcu_cb *cb));
void rcu_wake_worker(void);

/*
 * Wait until everything deferred before this call has been done, objects given
 * to cache_free_rcu() included. Callbacks may run in the calling thread.
 * Holding no lock, outside any section, and not from a callback.
 */
void rcu_barrier(void);

/*
 * flush() queues what the allocator above has deferred by itself, of all threads. rcu_barrier()
 * calls it first, with the round lock held. Always the same function: the allocator says so before
 * it defers anything, and may say it again, from any thread.
 */
void rcu_barrier_flushes(void (*flush)(void));

/* fork(2) handling; called by fork.c only. */
void rcu_fork_prepare(void);
void rcu_fork_parent(void);
void rcu_fork_child(void);

#endif
