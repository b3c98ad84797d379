/* SPDX-License-Identifier: MIT */
/* Object caches (alloc/cache.h), odd sizes (alloc/mem.h), allocator hooks (samara/alloc.h). */
#include "support/at_locks.h"
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <samara/alloc.h>
#include <samara/inject.h>

#include "alloc/cache.h"
#include "alloc/mem.h"

#define MANY 5000

DEFINE_OBJ_CACHE(nodes, "test_node", 500, 64);
DEFINE_OBJ_CACHE(crumbs, "test_crumb", 24, 8);
static DEFINE_OBJ_CACHE(slabs, "test_big", 9000, 4096);
static DEFINE_OBJ_CACHE(lonely, "test_lonely", 80, 16);
static DEFINE_ALLOC_SITE(odd, "test_odd");

static void *objs[MANY];

static void alloc_many(struct obj_cache *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		objs[i] = cache_alloc(c);
		assert_non_null(objs[i]);
	}
}

static void free_many(struct obj_cache *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cache_free(c, objs[i]);
}

/* Every test ends as it began. */
static int nothing_lives(void **state)
{
	return samara_live_objects() != 0;
}

static void objects_are_aligned_apart_and_whole(void **state)
{
	struct obj_cache *const all[] = { &nodes, &crumbs, &slabs };

	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		struct obj_cache *c = all[k];

		alloc_many(c, 300);
		for (size_t i = 0; i < 300; i++) {
			assert_int_equal((uintptr_t)objs[i] % c->align, 0);
			memset(objs[i], (int)i % 100, c->size);
		}
		for (size_t i = 0; i < 300; i++) {
			const unsigned char *p = objs[i];

			assert_int_equal(p[0], i % 100);
			assert_memory_equal(p, p + 1, c->size - 1u);
		}
		assert_int_equal(cache_live(c), 300);
		free_many(c, 300);
		assert_int_equal(cache_live(c), 0);
	}
}

static void freed_object_is_reused_first(void **state)
{
	void *a = cache_alloc(&nodes), *b;

	assert_non_null(a);
	cache_free(&nodes, a);
	b = cache_alloc(&nodes);
	assert_ptr_equal(a, b);
	cache_free(&nodes, b);
}

static void bulk_gives_all_distinct(void **state)
{
	static const unsigned int sizes[] = { 0, 1, 7, 59, 60, 61, 123, 124, 1000 };

	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		unsigned int n = sizes[k];

		assert_true(cache_alloc_bulk(&nodes, n, objs));
		for (unsigned int i = 0; i < n; i++)
			*(unsigned int *)objs[i] = i;
		for (unsigned int i = 0; i < n; i++)
			assert_int_equal(*(unsigned int *)objs[i], i);
		assert_int_equal(samara_live_objects(), n);
		cache_free_bulk(&nodes, n, objs);
	}
}

static void live_count_follows_every_kind_of_free(void **state)
{
	void *p = mem_alloc(&odd, 1000);

	assert_non_null(p);
	alloc_many(&nodes, 400);
	assert_int_equal(samara_live_objects(), 401);
	for (size_t i = 0; i < 400; i++) {
		if (i % 2)
			cache_free_rcu(&nodes, objs[i]);
		else
			cache_free(&nodes, objs[i]);
	}
	assert_int_equal(samara_live_objects(), 1);
	mem_free(&odd, p);
	assert_int_equal(samara_live_objects(), 0);
}

/* threads ----------------------------------------------------------------- */

static void *free_range(void *arg)
{
	size_t from = *(size_t *)arg;

	for (size_t i = from; i < from + MANY / 4; i++) {
		if (i % 3)
			cache_free(&nodes, objs[i]);
		else
			cache_free_rcu(&nodes, objs[i]);
	}
	return NULL;
}

static void free_in_other_threads(void)
{
	pthread_t thread[4];
	size_t from[4];

	alloc_many(&nodes, MANY);
	for (size_t t = 0; t < 4; t++) {
		from[t] = t * (MANY / 4);
		assert_int_equal(pthread_create(&thread[t], NULL, free_range, &from[t]), 0);
	}
	for (size_t t = 0; t < 4; t++)
		pthread_join(thread[t], NULL);
}

static void objects_may_be_freed_by_other_threads(void **state)
{
	free_in_other_threads();
	assert_int_equal(samara_live_objects(), 0);
}

static void *warm_up(void *arg)
{
	void **kept = arg;

	*kept = cache_alloc(&slabs);
	if (*kept)
		cache_free(&slabs, *kept);
	return NULL;
}

/* What a thread had in its magazine is another's after it has ended. */
static void ended_thread_gives_its_objects_back(void **state)
{
	pthread_t thread;
	void *theirs;
	bool met = false;

	cache_shrink_all();
	assert_int_equal(pthread_create(&thread, NULL, warm_up, &theirs), 0);
	pthread_join(thread, NULL);
	assert_non_null(theirs);
	alloc_many(&slabs, 30);
	for (size_t i = 0; i < 30; i++)
		met |= objs[i] == theirs;
	free_many(&slabs, 30);
	assert_true(met);
}

struct churn {
	uint64_t seed;
	unsigned long rounds;
	bool ok;
};

static void *churn(void *arg)
{
	struct churn *job = arg;
	unsigned long *held[64] = { NULL };
	struct rng rng;

	rng_init(&rng, job->seed);
	job->ok = true;
	for (unsigned long r = 0; r < job->rounds; r++) {
		unsigned long i = rng_below(&rng, 64);

		if (!held[i]) {
			held[i] = cache_alloc(&nodes);
			if (held[i])
				held[i][0] = held[i][50] = job->seed + i;
			continue;
		}
		job->ok &= held[i][0] == job->seed + i && held[i][50] == job->seed + i;
		if (rng_one_in(&rng, 2))
			cache_free(&nodes, held[i]);
		else
			cache_free_rcu(&nodes, held[i]);
		held[i] = NULL;
	}
	for (size_t i = 0; i < 64; i++) {
		if (held[i])
			cache_free(&nodes, held[i]);
	}
	return NULL;
}

static void no_object_is_given_to_two_threads(void **state)
{
	struct churn job[3];
	pthread_t thread[3];

	for (size_t t = 0; t < 3; t++) {
		job[t].seed = test_seed() + 1000 * t;
		job[t].rounds = (test_full() ? 20 : 1) * 200000 / test_slowdown();
		assert_int_equal(pthread_create(&thread[t], NULL, churn, &job[t]), 0);
	}
	for (int i = 0; i < 20; i++) {
		(void)samara_live_objects();
		cache_shrink_all();
	}
	for (size_t t = 0; t < 3; t++) {
		pthread_join(thread[t], NULL);
		if (!job[t].ok)
			test_replay(test_seed());
		assert_true(job[t].ok);
	}
	assert_int_equal(samara_live_objects(), 0);
}

/* hooks ------------------------------------------------------------------- */

struct meter {
	unsigned long blocks, bytes, allocs, refuse_from;
};

static void *metered_alloc(void *ctx, size_t size, size_t align)
{
	struct meter *m = ctx;
	void *p;

	if (__atomic_add_fetch(&m->allocs, 1, __ATOMIC_RELAXED) >= m->refuse_from && m->refuse_from)
		return NULL;
	if (posix_memalign(&p, max(align, sizeof(void *)), size))
		return NULL;
	memset(p, 0xa5, size);
	__atomic_add_fetch(&m->blocks, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&m->bytes, size, __ATOMIC_RELAXED);
	return p;
}

static void metered_free(void *ctx, void *p, size_t size)
{
	struct meter *m = ctx;

	__atomic_sub_fetch(&m->blocks, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&m->bytes, size, __ATOMIC_RELAXED);
	memset(p, 0x5a, size);
	free(p);
}

static void hooks_get_back_all_they_gave(void **state)
{
	struct meter meter = { 0 };
	struct samara_alloc_hooks hooks = { metered_alloc, metered_free, &meter };
	void *p;

	assert_int_equal(samara_set_alloc_hooks(&hooks), 0);
	p = mem_zalloc(&odd, 100);
	assert_non_null(p);
	assert_int_equal(((char *)p)[99], 0);
	free_in_other_threads();
	alloc_many(&crumbs, MANY);
	assert_true(meter.bytes > MANY * 500UL);
	free_many(&crumbs, MANY);
	mem_free(&odd, p);
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
	assert_int_equal(meter.blocks, 0);
	assert_int_equal(meter.bytes, 0);
}

static void incomplete_hooks_are_refused(void **state)
{
	struct samara_alloc_hooks hooks = { .alloc = metered_alloc };

	assert_int_equal(samara_set_alloc_hooks(&hooks), -EINVAL);
	hooks = (struct samara_alloc_hooks){ .free = metered_free };
	assert_int_equal(samara_set_alloc_hooks(&hooks), -EINVAL);
}

static void busy_until_the_last_object_is_free(void **state)
{
	void *p = cache_alloc(&crumbs);

	assert_non_null(p);
	assert_int_equal(samara_set_alloc_hooks(NULL), -EBUSY);
	cache_free_rcu(&crumbs, p);
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
	p = mem_alloc(&odd, 1);
	assert_non_null(p);
	assert_int_equal(samara_set_alloc_hooks(NULL), -EBUSY);
	mem_free(&odd, p);
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
}

static void shrinking_gives_free_chunks_back(void **state)
{
	struct meter meter = { 0 };
	struct samara_alloc_hooks hooks = { metered_alloc, metered_free, &meter };
	unsigned long before, full, after;

	assert_int_equal(samara_set_alloc_hooks(&hooks), 0);
	alloc_many(&nodes, 1);
	before = meter.bytes;
	for (size_t i = 1; i < MANY; i++)
		assert_non_null(objs[i] = cache_alloc(&nodes));
	full = meter.bytes;
	for (size_t i = 1; i < MANY; i++)
		cache_free_rcu(&nodes, objs[i]);
	cache_shrink_all();
	after = meter.bytes;
	assert_true(full > before + 500UL * MANY);
	/* objs[0] holds its chunk, and its neighbours in the pool hold a sheaf. */
	assert_true(after <= before + (64UL << 10));
	cache_free(&nodes, objs[0]);
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
	assert_int_equal(meter.blocks, 0);
	assert_int_equal(meter.bytes, 0);
}

/* From whichever point on the hooks refuse: NULL or an object, and freeing works. */
static void refusing_hooks_refuse_objects_and_nothing_else(void **state)
{
	for (unsigned long from = 1; from < 6; from++) {
		struct meter meter = { .refuse_from = from };
		struct samara_alloc_hooks hooks = { metered_alloc, metered_free, &meter };
		size_t n = 0;

		assert_int_equal(samara_set_alloc_hooks(&hooks), 0);
		while (n < MANY && (objs[n] = cache_alloc(&nodes)))
			n++;
		assert_true(n < MANY);
		assert_null(mem_alloc(&odd, 10));
		assert_false(cache_alloc_bulk(&nodes, 1, objs + n));
		assert_int_equal(samara_live_objects(), n);
		for (size_t i = 0; i < n; i++) {
			if (i % 2)
				cache_free_rcu(&nodes, objs[i]);
			else
				cache_free(&nodes, objs[i]);
		}
		assert_int_equal(samara_live_objects(), 0);
		assert_int_equal(samara_set_alloc_hooks(NULL), 0);
		assert_int_equal(meter.blocks, 0);
	}
}

/* misuse ------------------------------------------------------------------ */

static void write_after_free(void *arg)
{
	char *volatile p = cache_alloc(&nodes);

	if (!p)
		_Exit(77);
	cache_free(&nodes, p);
	p[8] = 1;
	p = cache_alloc(&nodes);
}

static void free_twice(void *arg)
{
	void *volatile p = cache_alloc(&nodes);

	if (!p)
		_Exit(77);
	*(long *)p = 1;
	cache_free(&nodes, p);
	cache_free(&nodes, p);
}

/* A cache that no other thread uses: what its lock protects changes under it. */
static void the_pool_changes_under_its_lock(void **state)
{
	if (!at_locks_available())
		skip();
	alloc_many(&lonely, MANY);
	free_many(&lonely, MANY);
	guard_add(&lonely.lock, &lonely.free, sizeof(lonely.free), "the pool");
	guard_add(&lonely.lock, &lonely.chunks, sizeof(lonely.chunks), "the pool's chunks");
	for (int round = 0; round < 3; round++) {
		alloc_many(&lonely, MANY);
		free_many(&lonely, MANY);
		assert_true(cache_alloc_bulk(&lonely, MANY, objs));
		cache_free_bulk(&lonely, MANY, objs);
		cache_shrink_all();
	}
	guard_end();
}

static void debug_builds_catch_misuse(void **state)
{
#if defined(SAMARA_DEBUG) || SAMARA_ASAN
	struct forked child;

	run_forked(write_after_free, NULL, &child);
	assert_true(child.signal || child.status);
	assert_non_null(strstr(child.text, SAMARA_ASAN ? "use-after-poison" : "written after"));
	run_forked(free_twice, NULL, &child);
	assert_true(child.signal || child.status);
	assert_non_null(strstr(child.text, "freed twice"));
#else
	(void)write_after_free, (void)free_twice;
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(objects_are_aligned_apart_and_whole, nothing_lives),
		cmocka_unit_test_teardown(freed_object_is_reused_first, nothing_lives),
		cmocka_unit_test_teardown(bulk_gives_all_distinct, nothing_lives),
		cmocka_unit_test_teardown(live_count_follows_every_kind_of_free, nothing_lives),
		cmocka_unit_test_teardown(objects_may_be_freed_by_other_threads, nothing_lives),
		cmocka_unit_test_teardown(ended_thread_gives_its_objects_back, nothing_lives),
		cmocka_unit_test_teardown(no_object_is_given_to_two_threads, nothing_lives),
		cmocka_unit_test_teardown(hooks_get_back_all_they_gave, nothing_lives),
		cmocka_unit_test_teardown(incomplete_hooks_are_refused, nothing_lives),
		cmocka_unit_test_teardown(busy_until_the_last_object_is_free, nothing_lives),
		cmocka_unit_test_teardown(shrinking_gives_free_chunks_back, nothing_lives),
		cmocka_unit_test_teardown(refusing_hooks_refuse_objects_and_nothing_else,
					  nothing_lives),
		cmocka_unit_test_teardown(the_pool_changes_under_its_lock, nothing_lives),
		cmocka_unit_test_teardown(debug_builds_catch_misuse, nothing_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
