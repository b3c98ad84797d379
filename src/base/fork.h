/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of the host process: one pthread_atfork() registration for the whole library, so that
 * the order is written down once, and a mark that tells a child from its parent.
 */
#ifndef BASE_FORK_H
#define BASE_FORK_H

#include <sys/types.h>

#include <samara/types.h>

#include "base/compiler.h"

/*
 * The order of the hooks: prepare() runs from the first to the last, parent() and child() from the
 * last to the first. Locks are thus taken and released in the order in which they nest.
 */
enum fork_order {
	FORK_ROOMS,   /* locks of rooms above the allocator; no two are taken together elsewhere */
	FORK_OBJECTS, /* no lock; a child adopts other threads' objects, by RCU and the pools */
	FORK_RCU,     /* the round of callbacks, liburcu's locks */
	FORK_POOLS,   /* the allocator's: the registry, then every pool */
	FORK_ORDERS
};

/*
 * What a room does around a fork: its locks are taken before and released in both after. Static,
 * for the life of the process. Each but order may be NULL.
 */
struct fork_hook {
	enum fork_order order;
	struct samara_spinlock *lock; /* held from prepare() until behind parent() or child() */
	void (*prepare)(void);        /* in the parent, before: take other locks */
	void (*parent)(void);         /* after, in each */
	void (*child)(void);
	struct fork_hook *next;
	bool added; /* set once; what fork_hook_add() has done */
};

/* Idempotent; from any thread. */
void fork_handlers_register(void);

void fork_hook_add_slow(struct fork_hook *hook);

/*
 * fork_handlers_register(), and hook from now on. Again with the same hook: nothing.
 *
 * A room adds its hook each time before it takes the lock that the hook is about, or before the
 * first time. So a thread holds such a lock only while every fork(2) waits for it: the handlers are
 * registered first, and what they take first is the lock of the list of hooks. Nothing depends on
 * constructors, whose order is the linker's, and a process that only loads the library pays
 * nothing when it forks.
 *
 * Called with no lock held that a hook takes.
 */
static inline void fork_hook_add(struct fork_hook *hook)
{
	if (unlikely(!smp_load_acquire(&hook->added)))
		fork_hook_add_slow(hook);
}

/*
 * The calling process's mark: not 0, and different from those of its ancestors. 0 or -ENOMEM. It
 * does not depend on the handlers: the kernel zeroes the page that it is on in every child that
 * does not share the memory (MADV_WIPEONFORK).
 */
int fork_mark(unsigned long *mark) __must_check;

/* getpid(2), which is a system call: once in a process that has a mark. */
pid_t fork_pid(void);

extern unsigned long *fork_mark_page;

static inline bool fork_mark_is_own(unsigned long mark)
{
	return READ_ONCE(*fork_mark_page) == mark;
}

#endif
