/* SPDX-License-Identifier: MIT */
/*
 * Where objects lie (alloc/slab.h): as many in a slab as fit, fresh ones in the order of addresses,
 * freed ones as they were freed; and how large the chunks are that the allocator is asked for.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>

#include <samara/alloc.h>

#include "alloc/cache.h"
#include "alloc/pool.h"
#include "alloc/slab.h"
#include "alloc/thread.h"

#define MANY 40000
#define REFILL (MAGAZINE_OBJS / 2)
#define HUGE (2UL << 20)

static DEFINE_OBJ_CACHE(odd, "test_slab_odd", 200, 8);
static DEFINE_OBJ_CACHE(lines, "test_slab_lines", 192, 64);
static DEFINE_OBJ_CACHE(words, "test_slab_words", 16, 16);
static DEFINE_OBJ_CACHE(pages, "test_slab_pages", 4096, 64);
static struct obj_cache *const caches[] = { &odd, &lines, &words, &pages };

static void *objs[MANY];

static void take(struct obj_cache *c, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		objs[i] = cache_alloc(c);
		assert_non_null(objs[i]);
	}
}

static void give_back(struct obj_cache *c, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		cache_free(c, objs[i]);
	thread_drain();
}

static void nothing_is_left(void)
{
	thread_drain();
	assert_true(pool_shrink_all());
	for (size_t i = 0; i < ARRAY_SIZE(caches); i++)
		assert_null(caches[i]->chunks.first);
}

/* Links for n objects, and behind them the objects. */
static size_t room(const struct obj_cache *c, unsigned int n)
{
	return ALIGN_UP(sizeof(struct slab) + n * sizeof(void *), (size_t)c->align) +
	       n * (size_t)c->size;
}

static void a_slab_holds_as_many_as_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
		struct obj_cache *c = caches[i];
		const struct slab *slab;

		take(c, 1);
		slab = slab_of(objs[0]);
		assert_true(room(c, slab->count) <= SLAB_SIZE);
		assert_true(room(c, slab->count + 1) > SLAB_SIZE);
		assert_int_equal(slab->first % c->align, 0);
		assert_ptr_equal(objs[0], (const char *)slab + slab->first);
		give_back(c, 1);
		nothing_is_left();
	}
}

/* Within a slab without a gap; the next slab of a chunk lies behind the last. */
static void fresh_objects_ascend(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
		struct obj_cache *c = caches[i];
		const unsigned int n = 1000;

		take(c, n);
		for (unsigned int k = 1; k < n; k++) {
			const struct slab *before = slab_of(objs[k - 1]), *slab = slab_of(objs[k]);

			if (slab == before)
				assert_ptr_equal(objs[k], (char *)objs[k - 1] + c->size);
			else if (slab->chunk == before->chunk)
				assert_ptr_equal(slab, (const char *)before + SLAB_SIZE);
			else
				assert_ptr_equal(slab, slab->chunk);
		}
		give_back(c, n);
		nothing_is_left();
	}
}

static void freed_objects_come_again_as_they_were_freed(void **state)
{
	static void *freed[REFILL];

	(void)state;
	take(&odd, REFILL); /* and none more waits in the magazine */
	for (unsigned int i = 0; i < REFILL; i++) {
		freed[i] = objs[i * 7 % REFILL];
		cache_free(&odd, freed[i]);
	}
	thread_drain();
	take(&odd, REFILL);
	for (unsigned int i = 0; i < REFILL; i++)
		assert_ptr_equal(objs[i], freed[i]);
	give_back(&odd, REFILL);
	nothing_is_left();
}

/* sizes of chunks ------------------------------------------------------------------ */

static size_t most = HUGE; /* what the allocator can give */
static size_t asked[64];   /* in turn, for slabs */
static unsigned int nr_asked;

static void *note_alloc(void *ctx, size_t size, size_t align)
{
	(void)ctx;
	if (align >= SLAB_SIZE) {
		assert_int_equal(align, size == HUGE ? HUGE : SLAB_SIZE);
		assert_true(nr_asked < ARRAY_SIZE(asked));
		asked[nr_asked++] = size;
		if (size > most)
			return NULL;
	}
	return aligned_alloc(align < 16 ? 16 : align, ALIGN_UP(size, align < 16 ? 16 : align));
}

static void note_free(void *ctx, void *p, size_t size)
{
	(void)ctx, (void)size;
	free(p);
}

static const struct samara_alloc_hooks noting = { .alloc = note_alloc, .free = note_free };

/* Objects that fill some chunks of 2 MiB. */
static void fill(void)
{
	nr_asked = 0;
	take(&odd, MANY);
}

static void chunks_double_up_to_a_huge_page(void **state)
{
	(void)state;
	assert_int_equal(samara_set_alloc_hooks(&noting), 0);
	for (int round = 0; round < 2; round++) { /* small again once all had gone */
		size_t want = SLAB_SIZE;

		fill();
		assert_true(nr_asked > 7);
		for (unsigned int i = 0; i < nr_asked; i++) {
			assert_int_equal(asked[i], want);
			want = min(2 * want, HUGE);
		}
		give_back(&odd, MANY);
		nothing_is_left();
	}
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
}

/* Half as much is asked for until there is some; the next begins from there. */
static void smaller_chunks_will_do(void **state)
{
	(void)state;
	assert_int_equal(samara_set_alloc_hooks(&noting), 0);
	most = 4 * SLAB_SIZE;
	nr_asked = 0;
	take(&odd, 5000);
	assert_true(nr_asked > 5);
	for (unsigned int i = 0, want = 1; i < nr_asked; i++) {
		assert_int_equal(asked[i], want * SLAB_SIZE);
		want = want == 8 ? 4 : 2 * want;
	}
	give_back(&odd, 5000);
	nothing_is_left();
	most = HUGE;
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slab_holds_as_many_as_fit),
		cmocka_unit_test(fresh_objects_ascend),
		cmocka_unit_test(freed_objects_come_again_as_they_were_freed),
		cmocka_unit_test(chunks_double_up_to_a_huge_page),
		cmocka_unit_test(smaller_chunks_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
