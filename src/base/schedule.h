/* SPDX-License-Identifier: MIT */
/*
 * What the deterministic scheduler does in place of the kernel and liburcu, in builds with
 * SAMARA_SCHEDULE (preset `schedule`, docs/concurrency.md). Everything else that orders threads is
 * an atomic operation, and the compiler calls the scheduler for those.
 */
#ifndef BASE_SCHEDULE_H
#define BASE_SCHEDULE_H

#ifdef SAMARA_SCHEDULE
#define SAMARA_SCHEDULED 1

#include <stdbool.h>
#include <time.h>

/* As in futex.h. A wait with a time-out may end at any time. */
void schedule_futex_wait(unsigned int *word, unsigned int expected, int who,
			 const struct timespec *timeout);
void schedule_futex_wake(unsigned int *word, int how_many, int who);

/* The other threads go first, if any can. */
void schedule_relax(void);

/* As in rcu.h. */
void schedule_rcu_read_lock(void);
void schedule_rcu_read_unlock(void);
bool schedule_rcu_read_held(void);
void schedule_rcu_synchronize(void);
#else
#define SAMARA_SCHEDULED 0
#endif

#endif
