/* SPDX-License-Identifier: MIT */
/* What another thread reads of a magazine whose owner is just moving objects. */
#include "support/cmocka_all.h"

#include <stdlib.h>

#include <samara/inject.h>

#include "alloc/thread.h"
#include "base/lock.h"
#include "support/waits.h"

static DEFINE_OBJ_CACHE(things, "test_magazine", 200, 8);

struct giver {
	struct magazine *magazine;
	unsigned int full, go_on;
};

/* Until the magazine is full, and one more, for which half of them go to the pool. */
static void give_back(void *arg)
{
	struct giver *g = arg;
	void *objs[MAGAZINE_OBJS + 1];

	if (!cache_alloc_bulk(&things, ARRAY_SIZE(objs), objs))
		abort();
	for (size_t i = 0; i < MAGAZINE_OBJS; i++)
		cache_free(&things, objs[i]);
	g->magazine = thread_magazine(&things);
	__atomic_store_n(&g->full, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&g->go_on, __ATOMIC_ACQUIRE))
		sched_yield();
	cache_free(&things, objs[MAGAZINE_OBJS]);
}

/* One that counted twice would hide an object that lives. */
static void an_object_on_its_way_to_the_pool_is_not_in_the_magazine(void **state)
{
	struct giver g = { .magazine = NULL };
	struct waiting_call c = { .call = give_back, .arg = &g };
	unsigned int before, meanwhile;

	assert_int_equal(pthread_create(&c.thread, NULL, waiting_call_thread, &c), 0);
	while (!__atomic_load_n(&g.full, __ATOMIC_ACQUIRE))
		sched_yield();
	before = g.magazine->count;
	spin_acquire(&things.lock);
	__atomic_store_n(&g.go_on, 1, __ATOMIC_RELEASE);
	while (!spinlock_waited(&things.lock) && !__atomic_load_n(&c.done, __ATOMIC_ACQUIRE))
		sched_yield();
	meanwhile = READ_ONCE(g.magazine->count);
	spin_release(&things.lock);
	call_returns(&c);
	assert_int_equal(before, MAGAZINE_OBJS);
	assert_int_equal(meanwhile, 0);
	assert_int_equal(samara_live_objects(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_on_its_way_to_the_pool_is_not_in_the_magazine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
