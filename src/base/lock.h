/* SPDX-License-Identifier: MIT */
/*
 * Locks. All of them are futex words, need no set-up but what is said below,
 * are built from __atomic operations (which ThreadSanitizer understands), spin
 * for a while and then sleep. None is recursive.
 *
 *   struct samara_spinlock   4 bytes, zero is unlocked; the rank is given when
 *                            it is taken (the word is part of public structs)
 *   struct mutex             the same with its rank stored, and its owner in
 *                            debug builds
 *   struct rwsem             readers or one writer, with a queue: neither kind
 *                            can keep the other out for ever
 *
 * Ranks (lock_rank.h) are checked in debug builds.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <samara/types.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/lock_rank.h"

/* rank checking ----------------------------------------------------------- */

#ifdef SAMARA_DEBUG
/*
 * For tests; NULL else. LOCK_TAKE: the calling thread is about to wait for lock, and does not hold
 * it yet. LOCK_RELEASE: it still holds lock, and is about to release it. A trylock only does the
 * second.
 */
enum lock_event { LOCK_TAKE, LOCK_RELEASE };
extern void (*lock_hook)(enum lock_event event, const void *lock);

void lock_rank_acquire(const void *lock, enum lock_rank rank, bool may_equal);
void lock_rank_try(const void *lock, enum lock_rank rank);
void lock_rank_release(const void *lock);
bool lock_rank_holds(const void *lock);
bool lock_rank_holds_any(void);
#else
static inline void lock_rank_acquire(const void *lock, enum lock_rank rank, bool may_equal)
{
	(void)lock, (void)rank, (void)may_equal;
}
static inline void lock_rank_try(const void *lock, enum lock_rank rank)
{
	(void)lock, (void)rank;
}
static inline void lock_rank_release(const void *lock) { (void)lock; }
static inline bool lock_rank_holds(const void *lock) { (void)lock; return true; }
static inline bool lock_rank_holds_any(void) { return false; }
#endif

const char *lock_rank_name(enum lock_rank rank);

/* spinlock ---------------------------------------------------------------- */

enum { SPIN_FREE = 0, SPIN_HELD = 1, SPIN_WAITED = 2 };

void spin_lock_slow(struct samara_spinlock *lock);
void spin_unlock_wake(struct samara_spinlock *lock);

/* The word alone, no rank: for lock.c and for the rank checker's own use. */
static inline void spin_acquire(struct samara_spinlock *lock)
{
	unsigned int word = SPIN_FREE;

	if (unlikely(!__atomic_compare_exchange_n(&lock->word, &word, SPIN_HELD, false,
						  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
		spin_lock_slow(lock);
}

static inline void spin_release(struct samara_spinlock *lock)
{
	if (unlikely(__atomic_exchange_n(&lock->word, SPIN_FREE, __ATOMIC_RELEASE) == SPIN_WAITED))
		spin_unlock_wake(lock);
}

static inline void spin_lock(struct samara_spinlock *lock, enum lock_rank rank)
{
	lock_rank_acquire(lock, rank, false);
	spin_acquire(lock);
}

/*
 * As spin_lock(), for a second lock of a rank that is held already; the caller
 * says why it cannot deadlock.
 */
static inline void spin_lock_nested(struct samara_spinlock *lock, enum lock_rank rank)
{
	lock_rank_acquire(lock, rank, true);
	spin_acquire(lock);
}

/* Never waits, so any rank may be tried. */
static inline __must_check bool spin_trylock(struct samara_spinlock *lock, enum lock_rank rank)
{
	unsigned int word = SPIN_FREE;

	if (!__atomic_compare_exchange_n(&lock->word, &word, SPIN_HELD, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	lock_rank_try(lock, rank);
	return true;
}

static inline void spin_unlock(struct samara_spinlock *lock)
{
	lock_rank_release(lock);
	spin_release(lock);
}

/* By any thread. */
static inline bool spin_is_locked(const struct samara_spinlock *lock)
{
	return __atomic_load_n(&lock->word, __ATOMIC_RELAXED) != SPIN_FREE;
}

/* Debug builds: held by this thread. */
static inline void spin_assert_held(const struct samara_spinlock *lock)
{
	VM_WARN_ON(!spin_is_locked(lock) || !lock_rank_holds(lock));
}

/* mutex ------------------------------------------------------------------- */

struct mutex {
	struct samara_spinlock lock;
	enum lock_rank rank;
};

#define MUTEX_INIT(rank_) { .lock = { 0 }, .rank = (rank_) }

static inline void mutex_init(struct mutex *m, enum lock_rank rank)
{
	m->lock.word = SPIN_FREE;
	m->rank = rank;
}

static inline void mutex_lock(struct mutex *m) { spin_lock(&m->lock, m->rank); }
static inline void mutex_unlock(struct mutex *m) { spin_unlock(&m->lock); }
static inline bool mutex_is_locked(const struct mutex *m) { return spin_is_locked(&m->lock); }
static inline void mutex_assert_held(const struct mutex *m) { spin_assert_held(&m->lock); }

static inline __must_check bool mutex_trylock(struct mutex *m)
{
	return spin_trylock(&m->lock, m->rank);
}

/* rwsem ------------------------------------------------------------------- */

/*
 *   31       30        29         28 ............................ 0
 *  .--------.---------.----------.---------------------------------.
 *  | WRITER | WAITERS | HANDOFF  | readers that hold it            |
 *  | holds  | queued  | only the |                                 |
 *  | it     |         | first of |                                 |
 *  |        |         | them may |                                 |
 *  '--------'---------'----------'---------------------------------'
 *
 * The queue's entries are on the waiting threads' stacks. lock.c has the protocol.
 */
struct rwsem {
	unsigned int state;
	struct samara_spinlock queue_lock; /* a leaf, without a rank; for what follows */
	struct rwsem_waiter *first, *last;
	enum lock_rank rank;
};

#define RWSEM_WRITER 0x80000000u
#define RWSEM_WAITERS 0x40000000u
#define RWSEM_HANDOFF 0x20000000u
#define RWSEM_READERS 0x1fffffffu

#define RWSEM_INIT(rank_) { .state = 0, .rank = (rank_) }

void rwsem_init(struct rwsem *sem, enum lock_rank rank);

/*
 * A reader waits while a writer holds it or another thread waits. A writer waits while it is held,
 * or is kept for the first waiter. down_read_trylock() and down_write_trylock() fail where these
 * would wait.
 */
void down_read(struct rwsem *sem);
void down_read_nested(struct rwsem *sem);
__must_check bool down_read_trylock(struct rwsem *sem);
void up_read(struct rwsem *sem);
void down_write(struct rwsem *sem);
void down_write_nested(struct rwsem *sem);
__must_check bool down_write_trylock(struct rwsem *sem);
void up_write(struct rwsem *sem);

/* Held for writing becomes held for reading, with no writer in between. */
void downgrade_write(struct rwsem *sem);

/* By any thread. */
static inline bool rwsem_is_locked(const struct rwsem *sem)
{
	return READ_ONCE(sem->state) & (RWSEM_WRITER | RWSEM_READERS);
}

static inline bool rwsem_is_write_locked(const struct rwsem *sem)
{
	return READ_ONCE(sem->state) & RWSEM_WRITER;
}

/* Debug builds: this thread holds it, for writing in the second. */
static inline void rwsem_assert_held(const struct rwsem *sem)
{
	VM_WARN_ON(!rwsem_is_locked(sem) || !lock_rank_holds(sem));
}

static inline void rwsem_assert_held_write(const struct rwsem *sem)
{
	VM_WARN_ON(!rwsem_is_write_locked(sem) || !lock_rank_holds(sem));
}

#endif
