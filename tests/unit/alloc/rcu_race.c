/* SPDX-License-Identifier: MIT */
/*
 * What the sanitizers say of programs that use RCU: nothing of correct ones, a
 * report of one that frees without waiting.
 *
 * The program runs itself with the name of a scenario and looks at the exit
 * status and at stderr. In a scenario a reader and a writer take turns, in a
 * fixed order of time, but with relaxed accesses only, so that the sanitizer
 * knows of no order between them but what RCU gives. Without a sanitizer the
 * correct scenarios run and the wrong one is left out.
 */
#include "support/cmocka_all.h"
#include "support/forked.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/cache.h"

struct thing {
	unsigned long value;
	struct rcu_cb cb;
	char rest[104];
};

DEFINE_OBJ_CACHE(things, "test_thing", sizeof(struct thing), 64);

static struct thing *shared;
static unsigned int step;

static void step_wait(unsigned int n)
{
	while (READ_ONCE(step) < n)
		sched_yield();
}

static struct thing *thing_new(unsigned long value)
{
	struct thing *thing = cache_alloc(&things);

	if (!thing)
		_exit(99);
	thing->value = value;
	return thing;
}

/* Gets the thing, lets the writer free it in its way, and looks at it once more. */
static void *reader(void *arg)
{
	struct thing *thing;
	unsigned long sum;

	rcu_read_lock();
	thing = rcu_dereference(shared);
	sum = thing->value;
	WRITE_ONCE(step, 1);
	step_wait(2);
	sum += thing->value;
	rcu_read_unlock();
	step_wait(3); /* liburcu takes a mutex when a thread ends; that would order things too */
	*(unsigned long *)arg = sum;
	return NULL;
}

static void free_at_once(struct thing *thing)
{
	thing->value = 0;
	cache_free(&things, thing);
	WRITE_ONCE(step, 2);
}

static void free_deferred(struct thing *thing)
{
	cache_free_rcu(&things, thing);
	WRITE_ONCE(step, 2);
	rcu_barrier();
}

static void free_after_synchronize(struct thing *thing)
{
	WRITE_ONCE(step, 2);
	rcu_synchronize();
	thing->value = 0;
	cache_free(&things, thing);
}

static unsigned int done;

static void worker_free(struct rcu_cb *cb)
{
	struct thing *thing = container_of(cb, struct thing, cb);

	thing->value = 0;
	cache_free(&things, thing);
	smp_store_release(&done, 1);
}

/* The worker frees; nobody calls rcu_barrier(). */
static void free_by_callback(struct thing *thing)
{
	rcu_defer(&thing->cb, worker_free);
	WRITE_ONCE(step, 2);
	while (!smp_load_acquire(&done))
		sched_yield();
}

static const struct {
	const char *name;
	void (*free)(struct thing *thing);
} scenarios[] = {
	{ "deferred", free_deferred },
	{ "synchronize", free_after_synchronize },
	{ "callback", free_by_callback },
	{ "at_once", free_at_once },
};

static int run_scenario(const char *name)
{
	unsigned long sum = 0;
	pthread_t thread;

	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		struct thing *old;

		if (strcmp(scenarios[i].name, name))
			continue;
		shared = thing_new(21);
		if (pthread_create(&thread, NULL, reader, &sum))
			return 98;
		step_wait(1);
		old = shared;
		rcu_assign_pointer(shared, thing_new(1));
		scenarios[i].free(old);
		WRITE_ONCE(step, 3);
		pthread_join(thread, NULL);
		return sum == 42 ? 0 : 1;
	}
	return 97;
}

static void run_self(void *arg)
{
	char self[] = "/proc/self/exe";

	execl(self, self, (char *)arg, (char *)NULL);
	_exit(96);
}

static void expect_quiet(const char *name)
{
	struct forked child;

	run_forked(run_self, (void *)name, &child);
	assert_string_equal(child.text, "");
	assert_int_equal(child.signal, 0);
	assert_int_equal(child.status, 0);
}

static void deferred_free_is_quiet(void **state)
{
	expect_quiet("deferred");
}

static void free_after_synchronize_is_quiet(void **state)
{
	expect_quiet("synchronize");
}

static void free_by_callback_is_quiet(void **state)
{
	expect_quiet("callback");
}

static void free_without_waiting_is_reported(void **state)
{
#if SAMARA_TSAN || SAMARA_ASAN
	struct forked child;

	run_forked(run_self, "at_once", &child);
	assert_true(child.signal || child.status);
	assert_non_null(strstr(child.text, SAMARA_TSAN ? "data race" : "use-after-poison"));
	assert_non_null(strstr(child.text, "reader"));
#else
	skip();
#endif
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deferred_free_is_quiet),
		cmocka_unit_test(free_after_synchronize_is_quiet),
		cmocka_unit_test(free_by_callback_is_quiet),
		cmocka_unit_test(free_without_waiting_is_reported),
	};

	if (argc > 1)
		return run_scenario(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
