/* SPDX-License-Identifier: MIT */
/*
 * What happens where locks are taken, by lock_hook (base/lock.h): debug builds only, and for one
 * thread, the test's.
 *
 * guard: what a lock protects changes only while the lock is held. The bytes are copied at each
 * release and compared at each taking, so that a store outside is seen although no second thread
 * comes between:
 *
 *   release      ...nothing may change...      take
 *      |-- copy                        compare --|
 *
 * meet: another thread comes exactly when the test's thread is about to take a lock, whatever that
 * holds already. It acts until it is done, or wants a lock that the test's thread holds; then the
 * test's thread goes on, and the other with it as soon as it can. No time is involved.
 */
#ifndef SAMARA_TEST_AT_LOCKS_H
#define SAMARA_TEST_AT_LOCKS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether this build can tell. */
bool at_locks_available(void);

/* From now on: size bytes at bytes belong to lock, which is not held. name is kept. */
void guard_add(const void *lock, const void *bytes, size_t size, const char *name);
/* Compare all once more, and forget them: their memory may go. Fails the running test. */
void guard_end(void);

/*
 * The calling thread meets act(arg) when it is about to take a lock for the nth time from now (1:
 * the next). lock NULL: any.
 */
void meet_at(const void *lock, unsigned int nth, void (*act)(void *arg), void *arg);
/* The calling thread belongs to act(), which may wait for it. */
void meet_join(void);
/* Whether they met; act() has returned. */
bool meet_end(void);

#endif
