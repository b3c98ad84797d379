/* SPDX-License-Identifier: MIT */
/*
 * The end of a thread that has magazines: what another destructor of the thread then finds, and
 * the lock under which the magazines are given up.
 */
#include "support/cmocka_all.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include <samara/alloc.h>
#include <samara/inject.h>

#include "alloc/thread.h"
#include "base/lock.h"
#include "support/waits.h"

static DEFINE_OBJ_CACHE(things, "test_thread_end", 200, 8);

static void *our_alloc(void *ctx, size_t size, size_t align)
{
	return aligned_alloc(align < 16 ? 16 : align, (size + align - 1) & ~(align - 1));
}

/* What is looked at once more is not what it was. */
static void our_free(void *ctx, void *p, size_t size)
{
	memset(p, 0x5a, size);
	free(p);
}

static const struct samara_alloc_hooks ours = { .alloc = our_alloc, .free = our_free };

static unsigned int threads_known(void)
{
	unsigned int n = 0;

	spin_lock(&site_lock, RANK_CACHE_ALL);
	for (const struct thread_caches *own = thread_list; own; own = own->next)
		n++;
	spin_unlock(&site_lock);
	return n;
}

/* a destructor behind the library's ---------------------------------------------- */

static pthread_key_t late;

struct end {
	bool had_own, clean, got;
};

static void use_once_more(void *arg)
{
	struct end *end = arg;
	void *obj;

	end->clean = !cache_self.own && cache_self.hot == &cache_no_thread;
	obj = cache_alloc(&things);
	end->got = obj && cache_self.own && cache_self.hot == cache_self.own;
	if (obj)
		cache_free_rcu(&things, obj);
}

static void *use_and_end(void *arg)
{
	struct end *end = arg;
	void *a = cache_alloc(&things), *b = cache_alloc(&things);

	end->had_own = a && b && cache_self.own && cache_self.hot == cache_self.own;
	cache_free(&things, a);
	cache_free_rcu(&things, b);
	return pthread_setspecific(late, end) ? NULL : arg;
}

static void a_later_destructor_begins_anew(void **state)
{
	struct end end = { 0 };
	unsigned int known;
	pthread_t thread;
	void *set;

	assert_int_equal(samara_set_alloc_hooks(&ours), 0);
	cache_free(&things, cache_alloc(&things)); /* the library has its key */
	known = threads_known();
	/* The C library calls destructors in the order in which keys were made. */
	assert_int_equal(pthread_key_create(&late, use_once_more), 0);
	assert_int_equal(pthread_create(&thread, NULL, use_and_end, &end), 0);
	assert_int_equal(pthread_join(thread, &set), 0);
	pthread_key_delete(late);
	assert_ptr_equal(set, &end);
	assert_true(end.had_own);
	assert_true(end.clean);
	assert_true(end.got);
	assert_int_equal(threads_known(), known);
	assert_int_equal(samara_live_objects(), 0);
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
}

/* the lock ----------------------------------------------------------------------- */

struct ending {
	sem_t ready, go_on;
	struct thread_caches *own;
};

static void defer_and_end(void *arg)
{
	struct ending *e = arg;
	void *obj = cache_alloc(&things);

	if (obj)
		cache_free_rcu(&things, obj);
	e->own = cache_self.own;
	sem_post(&e->ready);
	sem_wait(&e->go_on);
}

/* rcu_barrier() looks for deferred objects in the magazines, with that lock held. */
static void what_was_deferred_stays_where_it_is_until_the_lock_is_had(void **state)
{
	struct ending e = { .own = NULL };
	struct waiting_call c = { .call = defer_and_end, .arg = &e };
	const struct magazine *m;
	bool waited, there;

	sem_init(&e.ready, 0, 0);
	sem_init(&e.go_on, 0, 0);
	assert_int_equal(pthread_create(&c.thread, NULL, waiting_call_thread, &c), 0);
	sem_wait(&e.ready);
	assert_non_null(e.own);
	m = (const struct magazine *)((const char *)e.own + things.slot);
	assert_non_null(m->batch);
	spin_acquire(&site_lock);
	sem_post(&e.go_on);
	while (!spinlock_waited(&site_lock))
		sched_yield();
	waited = true;
	there = READ_ONCE(m->batch);
	spin_release(&site_lock);
	assert_int_equal(pthread_join(c.thread, NULL), 0);
	assert_true(waited && there);
	assert_int_equal(samara_live_objects(), 0);
}

/* arming ------------------------------------------------------------------------- */

static void an_armed_thread_leaves_its_magazines(void **state)
{
	void *obj = cache_alloc(&things);

	assert_non_null(obj);
	assert_ptr_equal(cache_self.hot, cache_self.own);
	cache_free(&things, obj);
	cache_self.inject_left = 1;
	thread_update_hot();
	assert_ptr_equal(cache_self.hot, &cache_no_thread);
	assert_null(cache_alloc(&things));
	assert_int_equal(cache_self.inject_left, 0);
	assert_ptr_equal(cache_self.hot, cache_self.own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_later_destructor_begins_anew),
		cmocka_unit_test(what_was_deferred_stays_where_it_is_until_the_lock_is_had),
		cmocka_unit_test(an_armed_thread_leaves_its_magazines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
