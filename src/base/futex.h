/* SPDX-License-Identifier: MIT */
/*
 * The two futex(2) calls that the locks and the deferral worker sleep with.
 * Both keep errno, because a caller may be between a failure and its report.
 */
#ifndef BASE_FUTEX_H
#define BASE_FUTEX_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/schedule.h"

#define FUTEX_ALL INT_MAX

/* Who sleeps on a word, where there are two kinds of sleepers. */
enum { FUTEX_READERS = 1, FUTEX_WRITERS = 2, FUTEX_ANYONE = -1 };

/*
 * Sleep while *word is expected, until woken with a common bit of who, or until
 * timeout (relative, NULL: none) has passed. May return early for no reason.
 */
static inline void futex_wait(unsigned int *word, unsigned int expected, int who,
			      const struct timespec *timeout)
{
#if SAMARA_SCHEDULED
	schedule_futex_wait(word, expected, who, timeout);
#else
	int saved = errno;

	if (timeout) /* FUTEX_WAIT takes a relative time, FUTEX_WAIT_BITSET an absolute one */
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0);
	else
		syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, NULL, NULL, who);
	errno = saved;
#endif
}

static inline void futex_wake(unsigned int *word, int how_many, int who)
{
#if SAMARA_SCHEDULED
	schedule_futex_wake(word, how_many, who);
#else
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, how_many, NULL, NULL, who);
	errno = saved;
#endif
}

#endif
