/* SPDX-License-Identifier: MIT */
/* Giving memory back to the embedder (pool_shrink_all()). */
#include "support/at_locks.h"
#include "support/cmocka_all.h"

#include <pthread.h>
#include <string.h>

#include "alloc/cache.h"
#include "alloc/pool.h"
#include "alloc/slab.h"
#include "alloc/thread.h"

#define MANY 2000

static DEFINE_OBJ_CACHE(things, "test_shrink", 200, 8);

static void one_object_keeps_its_chunk_and_no_other(void **state)
{
	static void *objs[MANY];

	for (size_t i = 0; i < MANY; i++) {
		objs[i] = cache_alloc(&things);
		assert_non_null(objs[i]);
	}
	assert_true(things.chunks.first && things.chunks.first->next);
	/* A chunk is used up before there is another one. */
	for (const struct slab *chunk = things.chunks.first->next; chunk; chunk = chunk->next)
		assert_int_equal(chunk->slabs, chunk->chunk_size / SLAB_SIZE);
	assert_true(things.chunks.first->chunk_size > SLAB_SIZE);
	for (size_t i = 1; i < MANY; i++)
		cache_free(&things, objs[i]);
	thread_drain();
	assert_false(pool_shrink_all());
	assert_true(things.chunks.first && !things.chunks.first->next);
	memset(objs[0], 1, 200);
	assert_int_equal(cache_live(&things), 1);
	cache_free(&things, objs[0]);
	thread_drain();
	assert_true(pool_shrink_all());
	assert_null(things.chunks.first);
	assert_int_equal(cache_live(&things), 0);
}

/* Nothing of the pool is free, so there is no sheaf either. */
static void an_object_alone_is_enough(void **state)
{
	void *obj;

	assert_true(pool_shrink_all());
	assert_int_equal(pool_get(&things, &obj, 1), 1);
	assert_false(pool_shrink_all());
	pool_put(&things, &obj, 1);
	assert_true(pool_shrink_all());
}

#define FREE 5 /* in the magazine */

/* A magazine with some in it. Returns an object that lives on. */
static void *fill_magazine(void)
{
	void *objs[1 + FREE];

	for (size_t i = 0; i < 1 + FREE; i++) {
		objs[i] = cache_alloc(&things);
		assert_non_null(objs[i]);
	}
	for (size_t i = 1; i < 1 + FREE; i++)
		cache_free(&things, objs[i]);
	return objs[0];
}

static void count_live(void *arg)
{
	*(unsigned long *)arg = cache_live(&things);
}

/* At each lock that a thread takes meanwhile: free objects are in the magazine or in the pool. */
static void live_objects_are_told_while_a_magazine_is_emptied(void **state)
{
	unsigned int nth = 1;
	bool met = true;

	if (!at_locks_available())
		skip();
	for (; met; nth++) {
		unsigned long live = 1;
		void *obj = fill_magazine();

		meet_at(NULL, nth, count_live, &live);
		thread_drain();
		met = meet_end();
		assert_int_equal(live, 1);
		cache_free(&things, obj);
	}
	assert_true(nth > 3); /* locks of sites and of the pool, at least */
}

struct ending {
	unsigned int nth;
	unsigned long live;
	void *obj;
};

static void *fill_and_end(void *arg)
{
	struct ending *e = arg;

	e->obj = fill_magazine();
	meet_at(NULL, e->nth, count_live, &e->live);
	return NULL;
}

static void live_objects_are_told_while_a_thread_ends(void **state)
{
	unsigned int nth = 1;
	bool met = true;

	if (!at_locks_available())
		skip();
	for (; met; nth++) {
		struct ending e = { .nth = nth, .live = 1 };
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, fill_and_end, &e), 0);
		pthread_join(thread, NULL);
		met = meet_end();
		assert_int_equal(e.live, 1);
		cache_free(&things, e.obj);
	}
	assert_true(nth > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_object_keeps_its_chunk_and_no_other),
		cmocka_unit_test(an_object_alone_is_enough),
		cmocka_unit_test(live_objects_are_told_while_a_magazine_is_emptied),
		cmocka_unit_test(live_objects_are_told_while_a_thread_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
