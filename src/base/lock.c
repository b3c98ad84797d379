/* SPDX-License-Identifier: MIT */
/*
 * The slow half of the spinlock (lock.h).
 *
 * The word is 0 free, 1 held, 2 held and perhaps a thread sleeps. A thread that was ready to sleep
 * takes the lock as 2, because it cannot know whether another thread sleeps too; the price is at
 * most one wake-up that finds no sleeper.
 *
 * No wake-up is lost: a thread sleeps only if it has stored 2, and only while the word is 2
 * (futex(2) compares under the kernel's lock). Only an unlock ends that: it exchanges 0 for the 2,
 * sees the 2, and wakes one sleeper. That sleeper stores 2 again before it returns or sleeps, so
 * the obligation to wake the others passes to the next holder.
 *
 * tests/model/locks.c tries all orders of a few threads on this file and on rwsem.c.
 */
#include "base/lock.h"

#include "base/futex.h"

#ifndef LOCK_SPINS
#define LOCK_SPINS 200
#endif

void spin_lock_slow(struct samara_spinlock *lock)
{
	for (int i = 0; i < LOCK_SPINS; i++) {
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
