/* SPDX-License-Identifier: MIT */
#include "support/at_locks.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "base/lock.h"

#ifdef SAMARA_DEBUG

#define MAX_GUARDS 64
#define MAX_BYTES 256

static struct guard {
	const void *lock, *bytes;
	size_t size;
	const char *name;
	char copy[MAX_BYTES];
} guards[MAX_GUARDS];
static unsigned int nr_guards;

static struct {
	const void *lock;
	unsigned int left; /* takings until then; 0: none is planned, or they have met */
	void (*act)(void *arg);
	void *arg;
	bool met;
	pthread_t thread;
	int done;           /* atomic */
	const void *wanted; /* atomic: what the acting thread is about to take */
} meeting;

static __thread bool acting, is_tests;

static void compare(const struct guard *g)
{
	if (memcmp(g->copy, g->bytes, g->size))
		fail_msg("%s changed while its lock was not held", g->name);
}

static void look_at_guards(enum lock_event event, const void *lock)
{
	for (unsigned int i = 0; i < nr_guards; i++) {
		if (guards[i].lock != lock)
			continue;
		if (event == LOCK_TAKE)
			compare(&guards[i]);
		else
			memcpy(guards[i].copy, guards[i].bytes, guards[i].size);
	}
}

static void *act(void *arg)
{
	acting = true;
	meeting.act(meeting.arg);
	__atomic_store_n(&meeting.done, 1, __ATOMIC_RELEASE);
	return arg;
}

static void run_meeting(void)
{
	meeting.met = true;
	meeting.done = 0;
	meeting.wanted = NULL;
	assert_int_equal(pthread_create(&meeting.thread, NULL, act, NULL), 0);
	while (!__atomic_load_n(&meeting.done, __ATOMIC_ACQUIRE)) {
		const void *wanted = __atomic_load_n(&meeting.wanted, __ATOMIC_ACQUIRE);

		if (wanted && lock_rank_holds(wanted))
			return;
		sched_yield();
	}
}

static void hook(enum lock_event event, const void *lock)
{
	if (acting)
		__atomic_store_n(&meeting.wanted, event == LOCK_TAKE ? lock : NULL,
				 __ATOMIC_RELEASE);
	if (!is_tests)
		return;
	look_at_guards(event, lock);
	if (event == LOCK_TAKE && meeting.left && (!meeting.lock || meeting.lock == lock) &&
	    !--meeting.left)
		run_meeting();
}

bool at_locks_available(void)
{
	return true;
}

void guard_add(const void *lock, const void *bytes, size_t size, const char *name)
{
	struct guard *g = &guards[nr_guards];

	assert_true(nr_guards < MAX_GUARDS && size <= MAX_BYTES);
	*g = (struct guard){ .lock = lock, .bytes = bytes, .size = size, .name = name };
	memcpy(g->copy, bytes, size);
	nr_guards++;
	is_tests = true;
	__atomic_store_n(&lock_hook, hook, __ATOMIC_RELEASE);
}

void guard_end(void)
{
	is_tests = false;
	for (unsigned int i = 0; i < nr_guards; i++)
		compare(&guards[i]);
	nr_guards = 0;
}

void meet_at(const void *lock, unsigned int nth, void (*what)(void *arg), void *arg)
{
	meeting.lock = lock;
	meeting.left = nth;
	meeting.act = what;
	meeting.arg = arg;
	meeting.met = false;
	is_tests = true;
	__atomic_store_n(&lock_hook, hook, __ATOMIC_RELEASE);
}

void meet_join(void)
{
	acting = true;
}

bool meet_end(void)
{
	is_tests = nr_guards;
	meeting.left = 0;
	if (meeting.met)
		assert_int_equal(pthread_join(meeting.thread, NULL), 0);
	return meeting.met;
}

#else

bool at_locks_available(void)
{
	return false;
}

void guard_add(const void *lock, const void *bytes, size_t size, const char *name)
{
	(void)lock, (void)bytes, (void)size, (void)name;
}

void guard_end(void) {}

void meet_at(const void *lock, unsigned int nth, void (*act)(void *arg), void *arg)
{
	(void)lock, (void)nth, (void)act, (void)arg;
}

void meet_join(void) {}

bool meet_end(void)
{
	return false;
}

#endif
