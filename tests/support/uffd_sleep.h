/* SPDX-License-Identifier: MIT */
/*
 * A thread that makes one access, which may sleep for a userfaultfd's handler. No time is involved:
 * a test waits until the thread is in the lists of the userfaultfd, or is over.
 */
#ifndef SAMARA_TEST_UFFD_SLEEP_H
#define SAMARA_TEST_UFFD_SLEEP_H

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "support/uffd_calls.h"
#include "uffd/uffd.h"

struct sleeping {
	long (*access)(void *arg);
	void *arg;
	pthread_t thread;
	unsigned int tid;
	long answer;
	bool done;
};

static inline void *sleeping_thread(void *arg)
{
	struct sleeping *s = arg;

	smp_store_release(&s->tid, (unsigned int)gettid());
	s->answer = s->access(s->arg);
	smp_store_release(&s->done, true);
	return NULL;
}

/* How many are in the lists of uffd. */
static inline unsigned int uffd_sleepers(struct samara_uffd *uffd)
{
	const struct uffd_sleeper *s;
	unsigned int n = 0;

	spin_lock(&uffd->q.lock, RANK_EVENT);
	list_for_each_entry(s, &uffd->q.pending, in)
		n += READ_ONCE(s->word) <= UFFD_ASLEEP;
	list_for_each_entry(s, &uffd->q.told, in)
		n += READ_ONCE(s->word) <= UFFD_ASLEEP;
	spin_unlock(&uffd->q.lock);
	return n;
}

/* Starts it, and waits until uffd has n sleepers; false: it is over instead. */
static inline bool sleeps(struct sleeping *s, struct samara_uffd *uffd, unsigned int n,
			  long (*access)(void *arg), void *arg)
{
	*s = (struct sleeping){ .access = access, .arg = arg };
	assert_int_equal(pthread_create(&s->thread, NULL, sleeping_thread, s), 0);
	while (!smp_load_acquire(&s->done)) {
		if (uffd_sleepers(uffd) == n)
			return true;
		sched_yield();
	}
	return false;
}

/* The access is over. What it answered. */
static inline long woken(struct sleeping *s)
{
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	return s->answer;
}

#endif
