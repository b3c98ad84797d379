/* SPDX-License-Identifier: MIT */
/* RCU: grace periods and callbacks (base/rcu.h). */
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/random.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <samara/maple_tree.h>

#include "base/lock.h"
#include "base/rcu.h"

/* Two threads in step, with nothing that orders their memory: relaxed only. */
static unsigned int step;

static void step_reach(unsigned int n)
{
	WRITE_ONCE(step, n);
}

static void step_wait(unsigned int n)
{
	while (READ_ONCE(step) < n)
		sched_yield();
}

/* grace periods ----------------------------------------------------------- */

struct grace {
	unsigned long over, over_inside;
};

/* Reads until the writer waits, and some more; the wait must not end meanwhile. */
static void *slow_reader(void *arg)
{
	struct grace *grace = arg;

	rcu_read_lock();
	rcu_read_lock();
	step_reach(1);
	step_wait(2);
	for (int i = 0; i < 2000; i++) {
		grace->over_inside |= READ_ONCE(grace->over);
		sched_yield();
		if (i == 1000)
			rcu_read_unlock(); /* the inner one: still a reader */
	}
	rcu_read_unlock();
	return NULL;
}

static void check_synchronize_waits_for(void *(*reads)(void *arg))
{
	struct grace grace = { 0 };
	pthread_t reader;

	step_reach(0);
	assert_int_equal(pthread_create(&reader, NULL, reads, &grace), 0);
	step_wait(1);
	step_reach(2);
	rcu_synchronize();
	WRITE_ONCE(grace.over, 1);
	pthread_join(reader, NULL);
	assert_int_equal(grace.over_inside, 0);
}

static void synchronize_waits_for_readers(void **state)
{
	check_synchronize_waits_for(slow_reader);
}

static __thread bool no_memory;
static unsigned int refused; /* mappings of the reader that has no memory */

/* ThreadSanitizer has an mmap() of its own, which must see every mapping. */
#if !SAMARA_TSAN
void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (no_memory) {
		refused++;
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, addr, size, prot, flags, fd, offset);
}
#endif

static void *slow_guest(void *arg)
{
	no_memory = true;
	slow_reader(arg);
	no_memory = false;
	return NULL;
}

/* Readers for which liburcu could get no memory (rcu_guest.c): one is counted on each side. */
static void synchronize_waits_for_guests(void **state)
{
	if (SAMARA_TSAN)
		skip();
	for (int side = 0; side < 2; side++) {
		refused = 0;
		check_synchronize_waits_for(slow_guest);
		assert_true(refused);
	}
}

struct grace_cb {
	struct grace grace;
	struct rcu_cb cb;
};

static void grace_is_over(struct rcu_cb *cb)
{
	WRITE_ONCE(container_of(cb, struct grace_cb, cb)->grace.over, 1);
}

static void callbacks_wait_for_readers(void **state)
{
	struct grace_cb grace = { 0 };
	pthread_t reader;

	step_reach(0);
	assert_int_equal(pthread_create(&reader, NULL, slow_reader, &grace.grace), 0);
	step_wait(1);
	rcu_defer(&grace.cb, grace_is_over);
	step_reach(2);
	rcu_barrier();
	assert_int_equal(READ_ONCE(grace.grace.over), 1);
	pthread_join(reader, NULL);
	assert_int_equal(grace.grace.over_inside, 0);
}

static void public_calls_do_the_same(void **state)
{
	assert_false(rcu_read_held());
	samara_rcu_read_lock();
	assert_true(rcu_read_held());
	samara_rcu_read_lock();
	samara_rcu_read_unlock();
	assert_true(rcu_read_held());
	samara_rcu_read_unlock();
	assert_false(rcu_read_held());
	samara_rcu_synchronize();
}

/* callbacks --------------------------------------------------------------- */

#define CALLBACKS 1000

struct numbered {
	struct rcu_cb cb;
	unsigned int number;
};

static struct numbered numbered[CALLBACKS];
static unsigned int called, out_of_order;

static void note_order(struct rcu_cb *cb)
{
	if (container_of(cb, struct numbered, cb)->number != called++)
		out_of_order++;
}

static void callbacks_run_in_the_order_they_were_deferred(void **state)
{
	called = out_of_order = 0;
	for (unsigned int i = 0; i < CALLBACKS; i++) {
		numbered[i].number = i;
		rcu_defer(&numbered[i].cb, note_order);
		if (i % 100 == 0)
			sched_yield(); /* several rounds, perhaps */
	}
	rcu_barrier();
	assert_int_equal(called, CALLBACKS);
	assert_int_equal(out_of_order, 0);
}

static void defer_again(struct rcu_cb *cb)
{
	struct numbered *n = container_of(cb, struct numbered, cb);

	WRITE_ONCE(n->number, n->number - 1);
	if (n->number)
		rcu_defer(cb, defer_again);
}

static void callback_may_defer_itself(void **state)
{
	numbered[0].number = 5;
	rcu_defer(&numbered[0].cb, defer_again);
	for (int i = 0; i < 5; i++)
		rcu_barrier();
	assert_int_equal(READ_ONCE(numbered[0].number), 0);
}

#ifdef SAMARA_DEBUG
static const void *round_lock; /* the first that a barrier takes */

static void note_first(enum lock_event event, const void *lock)
{
	if (event == LOCK_TAKE && !round_lock)
		round_lock = lock;
}

struct link {
	struct rcu_cb cb;
	struct link *next;
	bool called, excluded;
};

static void call_next(struct rcu_cb *cb)
{
	struct link *link = container_of(cb, struct link, cb);

	link->excluded = lock_rank_holds(round_lock);
	WRITE_ONCE(link->called, true);
	if (link->next)
		rcu_queue(&link->next->cb, call_next);
}
#endif

/* What a callback defers, and what that defers, is still the barrier's. */
static void rounds_exclude_each_other(void **state)
{
#ifdef SAMARA_DEBUG
	struct link link[3] = { { .next = &link[1] }, { .next = &link[2] }, { .next = NULL } };

	__atomic_store_n(&lock_hook, note_first, __ATOMIC_RELEASE);
	rcu_barrier();
	__atomic_store_n(&lock_hook, NULL, __ATOMIC_RELEASE);
	assert_non_null(round_lock);
	rcu_queue(&link[0].cb, call_next);
	rcu_barrier();
	for (size_t i = 0; i < ARRAY_SIZE(link); i++) {
		assert_true(READ_ONCE(link[i].called));
		assert_true(link[i].excluded);
	}
#else
	skip();
#endif
}

struct worker {
	struct rcu_cb cb;
	size_t stack;
	char name[16];
	int detached;
	bool hears; /* of a signal */
	bool seen;
};

static void look_at_worker(struct rcu_cb *cb)
{
	struct worker *w = container_of(cb, struct worker, cb);
	pthread_attr_t attr;
	sigset_t blocked;

	assert_int_equal(pthread_getattr_np(pthread_self(), &attr), 0);
	assert_int_equal(pthread_attr_getstacksize(&attr, &w->stack), 0);
	assert_int_equal(pthread_attr_getdetachstate(&attr, &w->detached), 0);
	pthread_attr_destroy(&attr);
	assert_int_equal(pthread_getname_np(pthread_self(), w->name, sizeof(w->name)), 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
	w->hears = !sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGUSR1);
	smp_store_release(&w->seen, true);
}

/* It costs the embedder little, and takes none of its signals. */
static void the_worker_is_a_small_quiet_thread(void **state)
{
	struct worker w = { .seen = false };

	rcu_defer(&w.cb, look_at_worker);
	while (!smp_load_acquire(&w.seen))
		sched_yield();
	rcu_barrier(); /* the callback has returned */
	if (!SAMARA_ASAN && !SAMARA_TSAN)
		assert_in_range(w.stack, 1, 256 << 10);
	assert_string_equal(w.name, "samara-rcu");
	assert_int_equal(w.detached, PTHREAD_CREATE_DETACHED);
	assert_false(w.hears);
}

static void worker_needs_no_barrier(void **state)
{
	struct grace_cb grace = { 0 };

	rcu_defer(&grace.cb, grace_is_over);
	while (!READ_ONCE(grace.grace.over)) /* ends if the worker works */
		sched_yield();
	rcu_barrier(); /* the callback has returned */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synchronize_waits_for_readers),
		cmocka_unit_test(synchronize_waits_for_guests),
		cmocka_unit_test(callbacks_wait_for_readers),
		cmocka_unit_test(public_calls_do_the_same),
		cmocka_unit_test(callbacks_run_in_the_order_they_were_deferred),
		cmocka_unit_test(callback_may_defer_itself),
		cmocka_unit_test(rounds_exclude_each_other),
		cmocka_unit_test(the_worker_is_a_small_quiet_thread),
		cmocka_unit_test(worker_needs_no_barrier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
