/* SPDX-License-Identifier: MIT */
/*
 * The slow half of the spinlock and all of the rwsem (lock.h).
 *
 * Spinlock: 0 free, 1 held, 2 held and perhaps somebody sleeps. Whoever has
 * slept takes it as 2, because it cannot know whether it was the only one;
 * the price is at most one wake-up that finds nobody.
 *
 * Rwsem: no wake-up is lost because
 *  1. a writer raises waiting_writers before it looks at state, and the last
 *     reader lowers state before it looks at waiting_writers (both in the one
 *     order of sequentially consistent operations);
 *  2. a reader sets RWSEM_SLEEPERS before it looks at waiting_writers again, and
 *     a writer lowers waiting_writers between taking and releasing: a reader
 *     that saw a waiting writer has its bit set before that writer's up_write();
 *  3. futex(2) compares the word once more under the kernel's lock.
 */
#include "base/lock.h"

#include "base/futex.h"

#define SPINS 200

void spin_lock_slow(struct samara_spinlock *lock)
{
	for (int i = 0; i < SPINS; i++) {
		unsigned int word = READ_ONCE(lock->word);

		if (word == SPIN_WAITED)
			break;
		if (word == SPIN_FREE &&
		    __atomic_compare_exchange_n(&lock->word, &word, SPIN_HELD, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
		cpu_relax();
	}
	while (__atomic_exchange_n(&lock->word, SPIN_WAITED, __ATOMIC_ACQUIRE) != SPIN_FREE)
		futex_wait(&lock->word, SPIN_WAITED, FUTEX_ANYONE, NULL);
}

void spin_unlock_wake(struct samara_spinlock *lock)
{
	futex_wake(&lock->word, 1, FUTEX_ANYONE);
}

/* rwsem ------------------------------------------------------------------- */

void rwsem_init(struct rwsem *sem, enum lock_rank rank)
{
	sem->state = 0;
	sem->waiting_writers = 0;
	sem->rank = rank;
}

static bool rwsem_cas(struct rwsem *sem, unsigned int *old, unsigned int new)
{
	return __atomic_compare_exchange_n(&sem->state, old, new, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static bool rwsem_writers_wait(struct rwsem *sem)
{
	return __atomic_load_n(&sem->waiting_writers, __ATOMIC_SEQ_CST) != 0;
}

/* One more reader, unless a writer holds it. */
static bool rwsem_enter_read(struct rwsem *sem)
{
	unsigned int state = READ_ONCE(sem->state);

	while (!(state & RWSEM_WRITER)) {
		BUG_ON((state & RWSEM_READERS) == RWSEM_READERS);
		if (rwsem_cas(sem, &state, state + 1))
			return true;
	}
	return false;
}

static bool rwsem_enter_write(struct rwsem *sem)
{
	unsigned int state = READ_ONCE(sem->state);

	while (!(state & (RWSEM_WRITER | RWSEM_READERS))) {
		if (rwsem_cas(sem, &state, state | RWSEM_WRITER))
			return true;
	}
	return false;
}

static void rwsem_sleep_reader(struct rwsem *sem)
{
	unsigned int state = __atomic_or_fetch(&sem->state, RWSEM_SLEEPERS, __ATOMIC_SEQ_CST);

	if ((state & RWSEM_WRITER) || rwsem_writers_wait(sem))
		futex_wait(&sem->state, state, FUTEX_READERS, NULL);
}

static void rwsem_read(struct rwsem *sem)
{
	for (int i = 0; i < SPINS; i++) {
		if (!READ_ONCE(sem->waiting_writers) && rwsem_enter_read(sem))
			return;
		cpu_relax();
	}
	/* After one sleep it is our turn: waiting writers no longer count. */
	do {
		rwsem_sleep_reader(sem);
	} while (!rwsem_enter_read(sem));
}

void down_read(struct rwsem *sem)
{
	lock_rank_acquire(sem, sem->rank, false);
	rwsem_read(sem);
}

void down_read_nested(struct rwsem *sem)
{
	lock_rank_acquire(sem, sem->rank, true);
	rwsem_read(sem);
}

bool down_read_trylock(struct rwsem *sem)
{
	if (READ_ONCE(sem->waiting_writers) || !rwsem_enter_read(sem))
		return false;
	lock_rank_try(sem, sem->rank);
	return true;
}

void up_read(struct rwsem *sem)
{
	unsigned int state;

	lock_rank_release(sem);
	state = __atomic_sub_fetch(&sem->state, 1, __ATOMIC_SEQ_CST);
	if (!(state & RWSEM_READERS) && rwsem_writers_wait(sem))
		futex_wake(&sem->state, 1, FUTEX_WRITERS);
}

static void rwsem_write(struct rwsem *sem)
{
	if (rwsem_enter_write(sem))
		return;
	__atomic_fetch_add(&sem->waiting_writers, 1, __ATOMIC_SEQ_CST);
	for (int i = 0;; i++) {
		unsigned int state = __atomic_load_n(&sem->state, __ATOMIC_SEQ_CST);

		if (rwsem_enter_write(sem))
			break;
		if (i < SPINS)
			cpu_relax();
		else if (state & (RWSEM_WRITER | RWSEM_READERS))
			futex_wait(&sem->state, state, FUTEX_WRITERS, NULL);
	}
	__atomic_fetch_sub(&sem->waiting_writers, 1, __ATOMIC_SEQ_CST);
}

void down_write(struct rwsem *sem)
{
	lock_rank_acquire(sem, sem->rank, false);
	rwsem_write(sem);
}

void down_write_nested(struct rwsem *sem)
{
	lock_rank_acquire(sem, sem->rank, true);
	rwsem_write(sem);
}

bool down_write_trylock(struct rwsem *sem)
{
	if (!rwsem_enter_write(sem))
		return false;
	lock_rank_try(sem, sem->rank);
	return true;
}

/* After RWSEM_WRITER has gone: everybody who may be let in now. */
static void rwsem_wake(struct rwsem *sem, unsigned int old, bool writers_too)
{
	if (old & RWSEM_SLEEPERS)
		futex_wake(&sem->state, FUTEX_ALL, FUTEX_READERS);
	if (writers_too && rwsem_writers_wait(sem))
		futex_wake(&sem->state, 1, FUTEX_WRITERS);
}

void up_write(struct rwsem *sem)
{
	unsigned int old;

	lock_rank_release(sem);
	old = __atomic_fetch_and(&sem->state, RWSEM_READERS, __ATOMIC_SEQ_CST);
	BUG_ON(!(old & RWSEM_WRITER));
	rwsem_wake(sem, old, true);
}

void downgrade_write(struct rwsem *sem)
{
	unsigned int old = __atomic_exchange_n(&sem->state, 1, __ATOMIC_SEQ_CST);

	BUG_ON(!(old & RWSEM_WRITER));
	rwsem_wake(sem, old, false);
}
