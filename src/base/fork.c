/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of the host process. An embedder may fork at any time but inside a
 * read-side section; the child has the forking thread only, whole pools, and
 * what the other threads had in their magazines and batches.
 *
 *   prepare   round_lock and liburcu's locks come between the hooks of other rooms (fork.h):
 *             FORK_ROOMS, FORK_OBJECTS, FORK_RCU, FORK_POOLS
 *   parent    the same backwards
 *   child     the same backwards; FORK_OBJECTS is where the other threads' objects are adopted
 *
 * The locks of FORK_ROOMS come first, and no two of them are taken together elsewhere. hooks_lock
 * and mark_lock are around all: a hook that is added meanwhile waits for the fork.
 *
 * The mark: a page with one word, which the kernel zeroes in a child. A machine keeps the word that
 * it was made under. The first machine that a child makes gives the page a new word there.
 *
 * The handlers speak for liburcu-bp too (urcu_bp_before_fork() and so on): an
 * embedder that uses it as well need not call them.
 */
#include "base/fork.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/rcu.h"

static struct fork_hook rcu_hook = {
	.order = FORK_RCU,
	.prepare = rcu_fork_prepare,
	.parent = rcu_fork_parent,
	.child = rcu_fork_child,
	.added = true,
};
static struct fork_hook *hooks[FORK_ORDERS] = { [FORK_RCU] = &rcu_hook };
static struct samara_spinlock hooks_lock, mark_lock;

static void prepare(void)
{
	spin_acquire(&hooks_lock);
	spin_acquire(&mark_lock);
	for (int order = 0; order < FORK_ORDERS; order++) {
		for (struct fork_hook *hook = hooks[order]; hook; hook = hook->next) {
			if (hook->lock)
				spin_acquire(hook->lock);
			if (hook->prepare)
				hook->prepare();
		}
	}
}

enum side { PARENT, CHILD };

static void after(enum side side)
{
	for (int order = FORK_ORDERS; order-- > 0;) {
		for (struct fork_hook *hook = hooks[order]; hook; hook = hook->next) {
			void (*const fn)(void) = side == PARENT ? hook->parent : hook->child;

			if (fn)
				fn();
			if (hook->lock)
				spin_release(hook->lock);
		}
	}
	spin_release(&mark_lock);
	spin_release(&hooks_lock);
}

static void parent(void)
{
	after(PARENT);
}

static void child(void)
{
	after(CHILD);
}

static void register_once(void)
{
	(void)pthread_atfork(prepare, parent, child); /* ENOMEM: as if the process never forked */
}

void fork_handlers_register(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_once);
}

void fork_hook_add_slow(struct fork_hook *hook)
{
	fork_handlers_register();
	spin_acquire(&hooks_lock);
	if (!hook->added) {
		hook->next = hooks[hook->order];
		hooks[hook->order] = hook;
		smp_store_release(&hook->added, true);
	}
	spin_release(&hooks_lock);
}

/* the mark ---------------------------------------------------------------- */

static unsigned long no_page; /* before there is a page no machine is there to ask */
unsigned long *fork_mark_page = &no_page;
static pid_t marked_pid;        /* of the process whose mark is set */
static unsigned long last_mark; /* of the process, or of its nearest ancestor that had one */

static int make_page(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -ENOMEM;
	if (madvise(page, 4096, MADV_WIPEONFORK)) {
		munmap(page, 4096);
		return -ENOMEM;
	}
	fork_mark_page = page;
	return 0;
}

pid_t fork_pid(void)
{
	return smp_load_acquire(fork_mark_page) ? marked_pid : getpid();
}

int fork_mark(unsigned long *mark)
{
	int err = 0;

	spin_acquire(&mark_lock);
	if (fork_mark_page == &no_page)
		err = make_page();
	if (!err && !*fork_mark_page) {
		marked_pid = getpid();
		smp_store_release(fork_mark_page, ++last_mark);
	}
	*mark = *fork_mark_page;
	spin_release(&mark_lock);
	return err;
}
