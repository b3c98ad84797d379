/* SPDX-License-Identifier: MIT */
/* Frames out and in: contents, exhaustion, coalescing, shards (buddy.c, shard.c, contents.c). */
#include <pthread.h>
#include <stdlib.h>

#include "fixture.h"
#include "support/forked.h"
#include "support/random.h"

static void a_new_folio_has_one_reference_and_nothing_else(void **state)
{
	struct ram *ram = *state;

	for (unsigned int order = 0; order < FRAME_ORDERS; order++) {
		struct folio *folio = must_alloc(ram, order, FOLIO_ZEROED);

		assert_int_equal(folio_refs(folio), 1);
		assert_int_equal(folio_maps(folio), 0);
		assert_int_equal(folio_order(ram, folio), order);
		assert_int_equal(folio_flags(folio), 0);
		assert_null(folio->mapping);
		assert_int_equal(folio->index, 0);
		assert_int_equal(folio_pfn(ram, folio) % (1UL << order), 0);
		assert_int_equal(unused(ram), FRAMES - 1 - (1UL << order));
		assert_valid(ram);
		folio->mapping = ram;
		folio->index = 7;
		folio_set(folio, FOLIO_DIRTY | FOLIO_ANON | FOLIO_EXCLUSIVE);
		folio_put(ram, folio);
		assert_valid(ram); /* free_state: all of that is gone */
	}
}

/* As a frame number in an entry or a pin has to do. */
static void every_frame_of_a_folio_leads_to_its_head(void **state)
{
	struct ram *ram = *state;
	struct folio *before = must_alloc(ram, 0, FOLIO_RAW), *folio[FRAME_ORDERS];

	for (unsigned int order = 0; order < FRAME_ORDERS; order++)
		folio[order] = must_alloc(ram, order, FOLIO_RAW);
	for (unsigned int order = 0; order < FRAME_ORDERS; order++) {
		const unsigned long pfn = folio_pfn(ram, folio[order]);

		for (unsigned long i = pfn; i < pfn + (1UL << order); i++) {
			assert_ptr_equal(pfn_folio(ram, i), folio[order]);
			assert_int_equal(pfn_order(ram, i), order);
		}
	}
	assert_ptr_equal(pfn_folio(ram, folio_pfn(ram, before)), before);
	for (unsigned int order = 0; order < FRAME_ORDERS; order++) {
		const unsigned long pfn = folio_pfn(ram, folio[order]);

		/* Once free, its frames are on their own, and may be of another order. */
		folio_put(ram, folio[order]);
		for (unsigned long i = pfn; i < pfn + (1UL << order); i++)
			assert_int_equal(pfn_order(ram, i), 0);
		assert_valid(ram);
	}
	folio_put(ram, before);
}

static void a_frame_forgets_the_order_it_had(void **state)
{
	struct ram *ram = *state;
	struct rng rng;

	rng_init(&rng, test_seed());
	for (int round = 0; round < 300; round++) {
		struct folio *folio[8];

		for (unsigned int i = 0; i < ARRAY_SIZE(folio); i++) {
			const unsigned int order = (unsigned int)rng_below(&rng, FRAME_ORDERS);
			unsigned long pfn;

			folio[i] = must_alloc(ram, order, FOLIO_RAW);
			pfn = folio_pfn(ram, folio[i]) + rng_below(&rng, 1UL << order);
			if (pfn_folio(ram, pfn) != folio[i]) {
				test_replay(test_seed());
				fail_msg("frame %lu, order %u", pfn, order);
			}
		}
		if (!(round % 32))
			assert_valid(ram);
		for (unsigned int i = 0; i < ARRAY_SIZE(folio); i++)
			folio_put(ram, folio[i]);
	}
}

static bool all_zero(const char *p, size_t size)
{
	return !p[0] && !memcmp(p, p + 1, size - 1);
}

static void zeroed_is_zero_first_time_and_recycled(void **state)
{
	struct ram *ram = *state;

	for (int round = 0; round < 3; round++) {
		for (unsigned int order = 0; order < FRAME_ORDERS; order++) {
			struct folio *folio = must_alloc(ram, order, FOLIO_ZEROED);

			assert_true(all_zero(folio_virt(ram, folio), PAGE << order));
			memset(folio_virt(ram, folio), 0xee, PAGE << order);
			folio_put(ram, folio);
		}
	}
}

/* Half of a block used before, the other half never: both must read as zeros. */
static void a_block_of_used_and_unused_frames_is_zeroed(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 8, FOLIO_RAW); /* 256 */
	const unsigned long pfn = folio_pfn(ram, folio);

	assert_int_equal(pfn, 256);
	folio_put(ram, folio);
	folio = must_alloc(ram, 0, FOLIO_RAW);
	memset(folio_virt(ram, folio), 0xee, PAGE);
	folio_put(ram, folio);
	for (int i = 0; i < 3; i++) {
		folio = must_alloc(ram, 9, FOLIO_ZEROED);
		assert_true(all_zero(folio_virt(ram, folio), PAGE << 9));
		memset((char *)folio_virt(ram, folio) + 100 * PAGE * (unsigned long)i, 0xee, PAGE);
		folio_put(ram, folio);
	}
}

/* All frames, each marked with its number; then back in another order. */
static void exhaustion_and_recovery(void **state)
{
	struct ram *ram = *state;
	struct folio **folio = calloc(FRAMES, sizeof(struct folio *));
	unsigned long n;

	for (int round = 0; round < 3; round++) {
		for (n = 0; (folio[n] = folio_alloc(ram, 0, FOLIO_RAW)); n++)
			*(unsigned long *)folio_virt(ram, folio[n]) = folio_pfn(ram, folio[n]);
		assert_int_equal(n, FRAMES - 1);
		assert_int_equal(unused(ram), 0);
		assert_null(folio_alloc(ram, 0, FOLIO_ZEROED));
		assert_null(folio_alloc(ram, 5, FOLIO_ZEROED));
		assert_valid(ram);
		for (unsigned long i = 0; i < n; i++) {
			struct folio *f =
				folio[(i * 11) % n]; /* 11 and FRAMES - 1 share no factor */

			assert_int_equal(*(unsigned long *)folio_virt(ram, f), folio_pfn(ram, f));
			folio_put(ram, f);
		}
		assert_int_equal(unused(ram), FRAMES - 1);
		assert_valid(ram);
	}
	free(folio);
}

/* How many blocks of order 9 there are. */
static unsigned long largest_blocks(struct ram *ram)
{
	struct folio *folio[FRAMES / 512];
	unsigned long n = 0, got;

	while ((folio[n] = folio_alloc(ram, 9, FOLIO_RAW)))
		n++;
	got = n;
	while (n--)
		folio_put(ram, folio[n]);
	return got;
}

static void valid_or_replay(struct ram *ram, uint64_t seed)
{
	if (ram_validate(ram, NULL))
		test_replay(seed);
	assert_valid(ram);
}

static void random_frees_join_to_order_9(void **state)
{
	struct ram *ram = *state;
	const uint64_t seed = test_seed();
	struct folio *held[600];
	unsigned long n = 0;
	struct rng rng;

	rng_init(&rng, seed);
	for (unsigned long step = 0; step < 20000 / test_slowdown(); step++) {
		if (n < ARRAY_SIZE(held) && rng_below(&rng, 2)) {
			const unsigned int order = (unsigned int)rng_below(&rng, 5);

			held[n] = folio_alloc(ram, rng_one_in(&rng, 50) ? 9 : order, FOLIO_RAW);
			n += held[n] != NULL;
		} else if (n) {
			const unsigned long i = rng_below(&rng, n);

			folio_put(ram, held[i]);
			held[i] = held[--n];
		}
		if (step % 2000 == 0)
			valid_or_replay(ram, seed);
	}
	while (n)
		folio_put(ram, held[--n]);
	valid_or_replay(ram, seed);
	n = largest_blocks(ram);
	if (n != FRAMES / 512 - 1) /* all but the chunk of the zero frame */
		test_replay(seed);
	assert_int_equal(n, FRAMES / 512 - 1);
}

static void a_ram_of_odd_size_uses_all_of_it(void **state)
{
	struct ram *ram = ram_of(512 * 2 + 77);
	struct folio *folio[512 * 2 + 77];
	unsigned long n = 0;

	while ((folio[n] = folio_alloc(ram, 0, FOLIO_ZEROED)))
		n++;
	assert_int_equal(n, 512 * 2 + 76);
	assert_valid(ram);
	while (n--)
		folio_put(ram, folio[n]);
	assert_valid(ram);
	folio[0] = must_alloc(ram, 9, FOLIO_RAW);
	assert_int_equal(folio_pfn(ram, folio[0]), 512);
	assert_null(folio_alloc(ram, 9, FOLIO_RAW));
	folio[1] = must_alloc(ram, 6, FOLIO_RAW);
	folio_put(ram, folio[1]);
	folio_put(ram, folio[0]);
	ram_destroy(ram);
	assert_int_equal(samara_live_objects(), 0);
}

/* threads ---------------------------------------------------------------------- */

struct worker {
	struct ram *ram;
	unsigned long rounds;
	uint64_t seed;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct folio *held[200] = { NULL };
	struct rng rng;

	rng_init(&rng, w->seed);
	for (unsigned long i = 0; i < w->rounds; i++) {
		struct folio **f = &held[rng_below(&rng, ARRAY_SIZE(held))];

		if (*f) {
			unsigned long *word = folio_virt(w->ram, *f);

			if (*word != (unsigned long)f)
				return "somebody else had this frame";
			folio_put(w->ram, *f);
			*f = NULL;
			continue;
		}
		*f = folio_alloc(w->ram, rng_one_in(&rng, 20) ? 2 : 0, FOLIO_ZEROED);
		if (!*f)
			continue;
		if (*(unsigned long *)folio_virt(w->ram, *f))
			return "not zero";
		*(unsigned long *)folio_virt(w->ram, *f) = (unsigned long)f;
		if (rng_below(&rng, 2))
			lru_add(w->ram, *f);
	}
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		if (held[i])
			folio_put(w->ram, held[i]);
	}
	return NULL;
}

/* 200 frames each from 512: there is not always one left. */
static void threads_share_a_ram(void **state)
{
	struct ram *ram = ram_of(512);
	const uint64_t seed = test_seed();
	struct worker w[3];
	pthread_t thread[3];
	void *complaint;

	for (unsigned int i = 0; i < 3; i++) {
		w[i] = (struct worker){
			.ram = ram,
			.rounds = 60000 / test_slowdown(),
			.seed = seed + i,
		};
		assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], &complaint);
		if (complaint) {
			test_replay(seed);
			fail_msg("%s", (const char *)complaint);
		}
	}
	valid_or_replay(ram, seed);
	assert_int_equal(unused(ram), 511);
	ram_destroy(ram);
	assert_int_equal(samara_live_objects(), 0);
}

/* misuse ----------------------------------------------------------------------- */

#ifdef SAMARA_DEBUG
__attribute__((no_sanitize_address)) static void write_after_free(void *arg)
{
	struct ram *ram = ram_of(64);
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED);
	volatile char *p = folio_virt(ram, folio);

	folio_put(ram, folio);
	p[100] = 1;
	(void)!folio_alloc(ram, 0, FOLIO_ZEROED);
}

static void a_store_to_a_free_frame_is_noticed(void **state)
{
	struct forked child;

	run_forked(write_after_free, NULL, &child);
	assert_true(child.signal || child.status);
	assert_non_null(strstr(child.text, "written after it was freed"));
}
#endif

#if SAMARA_ASAN
static void read_after_free(void *arg)
{
	struct ram *ram = ram_of(64);
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED);
	volatile char *p = folio_virt(ram, folio);

	folio_put(ram, folio);
	(void)p[100];
}

static void asan_reports_the_use_of_a_free_frame(void **state)
{
	struct forked child;

	run_forked(read_after_free, NULL, &child);
	assert_true(child.signal || child.status);
	assert_non_null(strstr(child.text, "use-after-poison"));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		ram_test(a_new_folio_has_one_reference_and_nothing_else),
		ram_test(every_frame_of_a_folio_leads_to_its_head),
		ram_test(a_frame_forgets_the_order_it_had),
		ram_test(zeroed_is_zero_first_time_and_recycled),
		ram_test(a_block_of_used_and_unused_frames_is_zeroed),
		ram_test(exhaustion_and_recovery),
		ram_test(random_frees_join_to_order_9),
		cmocka_unit_test(a_ram_of_odd_size_uses_all_of_it),
		cmocka_unit_test(threads_share_a_ram),
#ifdef SAMARA_DEBUG
		cmocka_unit_test(a_store_to_a_free_frame_is_noticed),
#endif
#if SAMARA_ASAN
		cmocka_unit_test(asan_reports_the_use_of_a_free_frame),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
