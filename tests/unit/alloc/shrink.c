/* SPDX-License-Identifier: MIT */
/* Giving memory back to the embedder (pool_shrink_all()). */
#include "support/cmocka_all.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_object_keeps_its_chunk_and_no_other),
		cmocka_unit_test(an_object_alone_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
