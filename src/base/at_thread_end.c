/* SPDX-License-Identifier: MIT */
/*
 * Ends of threads: one key of pthread_key_create(3) for each struct thread_end, made when the first
 * thread arms it.
 *
 * Two threads may make one at once. The first exchange wins and the other key is given back, so no
 * lock is needed, and a fork(2) beside this leaves none held in the child.
 */
#include "base/at_thread_end.h"

#include <pthread.h>

#include "base/atomic.h"

static bool make_key(struct thread_end *end)
{
	unsigned long none = 0;
	pthread_key_t key;

	if (pthread_key_create(&key, end->at_end))
		return false;
	if (!try_cmpxchg_acq_rel(&end->key, &none, key + 1UL))
		pthread_key_delete(key);
	return true;
}

bool thread_end_arm(struct thread_end *end, void *arg)
{
	if (unlikely(!smp_load_acquire(&end->key)) && !make_key(end))
		return false;
	return !pthread_setspecific((pthread_key_t)(smp_load_acquire(&end->key) - 1), arg);
}
