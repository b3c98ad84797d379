/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of the host process: one pthread_atfork() registration for the whole library, so that
 * the order is written down once, and a mark that tells a child from its parent.
 */
#ifndef BASE_FORK_H
#define BASE_FORK_H

#include "base/compiler.h"

/* What another room does around a fork: its locks are taken before and released in both after. */
struct fork_hook {
	void (*prepare)(void); /* in the parent, before: take a lock */
	void (*parent)(void);  /* after, in each */
	void (*child)(void);
	struct fork_hook *next;
};

/* Idempotent; from any thread. */
void fork_handlers_register(void);

/* The same, and hook from now on. Again with the same hook: nothing. */
void fork_hook_add(struct fork_hook *hook);

/*
 * The calling process's mark: not 0, and different from those of its ancestors. 0 or -ENOMEM. It
 * does not depend on the handlers: the kernel zeroes the page that it is on in every child that
 * does not share the memory (MADV_WIPEONFORK).
 */
int fork_mark(unsigned long *mark) __must_check;

extern unsigned long *fork_mark_page;

static inline bool fork_mark_is_own(unsigned long mark)
{
	return READ_ONCE(*fork_mark_page) == mark;
}

#endif
