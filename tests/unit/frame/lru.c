/* SPDX-License-Identifier: MIT */
/* The LRU lists: order, collected additions, leaving, isolation (frame/lru.c). */
#include <pthread.h>

#include "fixture.h"
#include "support/at_locks.h"
#include "support/random.h"

#define MANY 100 /* more than three batches */

static const unsigned int flags_of[LRU_LISTS] = {
	[LRU_INACTIVE_ANON] = FOLIO_SWAPBACKED,
	[LRU_ACTIVE_ANON] = FOLIO_SWAPBACKED | FOLIO_ACTIVE,
	[LRU_INACTIVE_FILE] = 0,
	[LRU_ACTIVE_FILE] = FOLIO_ACTIVE,
	[LRU_UNEVICTABLE] = FOLIO_SWAPBACKED | FOLIO_MLOCKED,
};

static struct folio *on_list(struct ram *ram, enum lru_list list)
{
	struct folio *folio = must_alloc(ram, 0, FOLIO_RAW);

	folio_set(folio, flags_of[list]);
	lru_add(ram, folio);
	assert_true(folio_test(folio, FOLIO_LRU));
	return folio;
}

static unsigned long listed(struct ram *ram, enum lru_list list)
{
	struct ram_stats stats;

	ram_stats(ram, &stats);
	return stats.lru[list];
}

static void flags_choose_the_list(void **state)
{
	struct ram *ram = *state;

	for (unsigned int list = 0; list < LRU_LISTS; list++) {
		struct folio *folio = on_list(ram, list);

		for (unsigned int i = 0; i < LRU_LISTS; i++)
			assert_int_equal(listed(ram, i), i == list);
		assert_valid(ram);
		lru_del(ram, folio);
		assert_false(folio_test(folio, FOLIO_LRU));
		assert_int_equal(listed(ram, list), 0);
		lru_del(ram, folio); /* it is on none */
		folio_put(ram, folio);
	}
}

static void isolation_takes_the_oldest_first(void **state)
{
	struct ram *ram = *state;
	struct folio *folio[MANY], *out[MANY + 1];
	unsigned int n = 0;

	for (int i = 0; i < MANY; i++)
		folio[i] = on_list(ram, LRU_INACTIVE_FILE);
	assert_int_equal(lru_isolate(ram, LRU_ACTIVE_FILE, 10, out), 0);
	n = lru_isolate(ram, LRU_INACTIVE_FILE, 10, out);
	assert_int_equal(n, 10);
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), MANY - 10);
	n += lru_isolate(ram, LRU_INACTIVE_FILE, MANY, out + n);
	assert_int_equal(n, MANY);
	assert_valid(ram);
	for (int i = 0; i < MANY; i++) {
		assert_ptr_equal(out[i], folio[i]);
		assert_int_equal(folio_refs(out[i]), 2);
		assert_false(folio_test(out[i], FOLIO_LRU));
	}
	for (int i = 0; i < 5; i++) /* a second chance: the youngest again */
		lru_add(ram, out[i]);
	assert_int_equal(lru_isolate(ram, LRU_INACTIVE_FILE, 1, &out[MANY]), 1);
	assert_ptr_equal(out[MANY], folio[0]);
	folio_put(ram, out[MANY]);
	for (int i = 0; i < MANY; i++)
		folio_put_many(ram, folio[i], 2);
}

static void leaving_from_the_ends_the_middle_and_the_batch(void **state)
{
	struct ram *ram = *state;
	const uint64_t seed = test_seed();
	struct folio *folio[MANY], *out[MANY];
	struct rng rng;

	rng_init(&rng, seed);
	for (int round = 0; round < 20; round++) {
		unsigned int n = MANY, left = 0;

		for (int i = 0; i < MANY; i++)
			folio[i] = on_list(ram, LRU_ACTIVE_ANON);
		if (round % 2)
			assert_int_equal(listed(ram, LRU_ACTIVE_ANON), MANY);
		for (int i = 0; i < MANY; i++) {
			if (rng_below(&rng, 3))
				continue;
			folio_put(ram, folio[i]); /* freeing takes it off, wherever it is */
			folio[i] = NULL;
			n--;
		}
		assert_valid(ram);
		assert_int_equal(lru_isolate(ram, LRU_ACTIVE_ANON, MANY, out), n);
		for (int i = 0; i < MANY; i++) {
			if (folio[i] && folio[i] != out[left++]) {
				test_replay(seed);
				fail_msg("out of order at %d", i);
			}
		}
		for (unsigned int i = 0; i < n; i++)
			folio_put_many(ram, out[i], 2);
	}
}

static void flags_may_change_while_it_is_listed(void **state)
{
	struct ram *ram = *state;
	struct folio *a = on_list(ram, LRU_INACTIVE_ANON), *b = on_list(ram, LRU_INACTIVE_ANON);

	assert_int_equal(listed(ram, LRU_INACTIVE_ANON), 2);
	folio_test_clear(a, FOLIO_SWAPBACKED);
	folio_set(b, FOLIO_ACTIVE);
	assert_valid(ram);
	lru_del(ram, a);
	lru_add(ram, a);
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 1);
	assert_int_equal(listed(ram, LRU_INACTIVE_ANON), 1);
	folio_put(ram, a);
	folio_put(ram, b);
}

static void moving_follows_the_flags(void **state)
{
	struct ram *ram = *state;
	struct folio *a = on_list(ram, LRU_INACTIVE_ANON), *b = on_list(ram, LRU_INACTIVE_FILE);
	struct folio *out[2];

	folio_test_clear(a, FOLIO_SWAPBACKED);
	lru_move(ram, a); /* it waits: the flags count when it gets on a list */
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 2);
	folio_set(b, FOLIO_ACTIVE);
	lru_move(ram, b);
	assert_valid(ram);
	assert_int_equal(listed(ram, LRU_ACTIVE_FILE), 1);
	assert_int_equal(lru_isolate(ram, LRU_INACTIVE_FILE, 2, out), 1);
	assert_ptr_equal(out[0], a);
	lru_move(ram, a); /* it is on none, and stays so */
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 0);
	folio_put_many(ram, a, 2);
	folio_put(ram, b);
}

static void one_is_isolated_and_put_back(void **state)
{
	struct ram *ram = *state;
	struct folio *folio[3], *out[3];

	for (int i = 0; i < 3; i++)
		folio[i] = on_list(ram, LRU_INACTIVE_FILE);
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 3);
	folio_get(folio[0]);
	assert_true(lru_isolate_folio(ram, folio[0]));
	assert_false(lru_isolate_folio(ram, folio[0])); /* it is on none */
	assert_int_equal(lru_size(ram, LRU_INACTIVE_FILE), 2);
	folio_set(folio[0], FOLIO_ACTIVE);
	lru_putback(ram, folio, 1);
	assert_int_equal(folio_refs(folio[0]), 1);
	assert_int_equal(listed(ram, LRU_ACTIVE_FILE), 1);
	assert_int_equal(lru_isolate(ram, LRU_INACTIVE_FILE, 3, out), 2);
	assert_ptr_equal(out[0], folio[1]);
	lru_putback(ram, out, 2);
	assert_valid(ram);
	for (int i = 0; i < 3; i++)
		folio_put(ram, folio[i]);
	/* The isolated one's last reference may be what is put. */
	folio[0] = on_list(ram, LRU_INACTIVE_FILE);
	assert_int_equal(lru_isolate(ram, LRU_INACTIVE_FILE, 3, out), 1);
	folio_put(ram, folio[0]);
	lru_putback(ram, out, 1);
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 0);
}

static void the_second_access_activates(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = on_list(ram, LRU_INACTIVE_FILE);

	folio_mark_accessed(ram, folio);
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 1);
	folio_mark_accessed(ram, folio);
	assert_int_equal(listed(ram, LRU_ACTIVE_FILE), 1);
	assert_int_equal(folio_flags(folio) & (FOLIO_ACTIVE | FOLIO_REFERENCED), FOLIO_ACTIVE);
	folio_mark_accessed(ram, folio);
	folio_mark_accessed(ram, folio);
	assert_int_equal(listed(ram, LRU_ACTIVE_FILE), 1);
	folio_put(ram, folio);
}

static void isolation_leaves_what_has_no_reference(void **state)
{
	struct ram *ram = *state;
	struct folio *dying = on_list(ram, LRU_INACTIVE_FILE), *out;

	/* As between the last folio_put() and the freer's look at the list. */
	__atomic_fetch_sub(&dying->state, FOLIO_REF_ONE, __ATOMIC_RELAXED);
	assert_int_equal(lru_isolate(ram, LRU_INACTIVE_FILE, 1, &out), 0);
	assert_true(folio_test(dying, FOLIO_LRU));
	folio_free(ram, dying);
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 0);
}

/* Between a look at where a folio waits and the batch's lock, the batch gets on the lists. */
static void list_all(void *arg)
{
	listed(arg, LRU_INACTIVE_FILE);
}

static void a_batch_that_goes_on_the_lists_meanwhile(void **state)
{
	struct ram *ram = *state;
	struct lru_batch *batch = &ram->lru.batch[shard_number()];
	struct folio *folio[3];

	if (!at_locks_available())
		skip();
	for (int i = 0; i < 3; i++)
		folio[i] = on_list(ram, LRU_INACTIVE_FILE);
	assert_int_equal(batch->nr, 3);
	meet_at(&batch->lock, 1, list_all, ram);
	lru_del(ram, folio[1]);
	assert_true(meet_end());
	assert_int_equal(batch->nr, 0);
	assert_valid(ram);
	assert_false(folio_test(folio[1], FOLIO_LRU));
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 2);
	for (int i = 0; i < 3; i++)
		folio_put(ram, folio[i]);
}

/* Between a look at the lists and their lock, another thread has taken the folio off. */
static void isolate_one(void *arg)
{
	struct folio *out;

	if (lru_isolate(arg, LRU_INACTIVE_FILE, 1, &out) == 1)
		folio_put(arg, out);
}

static void a_folio_that_leaves_its_list_meanwhile(void **state)
{
	struct ram *ram = *state;
	struct folio *folio[2];

	if (!at_locks_available())
		skip();
	for (int i = 0; i < 2; i++)
		folio[i] = on_list(ram, LRU_INACTIVE_FILE);
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 2);
	meet_at(&ram->lru.lock, 1, isolate_one, ram);
	lru_del(ram, folio[0]);
	assert_true(meet_end());
	assert_valid(ram);
	assert_int_equal(listed(ram, LRU_INACTIVE_FILE), 1);
	for (int i = 0; i < 2; i++)
		folio_put(ram, folio[i]);
}

/* threads ------------------------------------------------------------------------ */

struct worker {
	struct ram *ram;
	struct folio **slot; /* shared: folios that the other thread made */
	unsigned long rounds;
	uint64_t seed;
};

#define SLOTS 64

/* Adds, and frees what either thread has added; the slots' exchange hands them over. */
static void *add_and_free(void *arg)
{
	struct worker *w = arg;
	struct rng rng;

	rng_init(&rng, w->seed);
	for (unsigned long i = 0; i < w->rounds; i++) {
		struct folio **slot = &w->slot[rng_below(&rng, SLOTS)], *old;
		struct folio *folio = folio_alloc(w->ram, 0, FOLIO_RAW);

		if (folio) {
			folio_set(folio, flags_of[rng_below(&rng, LRU_LISTS)]);
			lru_add(w->ram, folio);
		}
		old = __atomic_exchange_n(slot, folio, __ATOMIC_ACQ_REL);
		if (!old)
			continue;
		if (i % 3 == 0)
			lru_del(w->ram, old);
		if (i % 3 == 1 && folio_test_clear(old, FOLIO_ACTIVE))
			lru_move(w->ram, old);
		folio_put(w->ram, old);
	}
	return NULL;
}

static void *isolate_and_put_back(void *arg)
{
	struct worker *w = arg;
	struct folio *out[16];

	for (unsigned long i = 0; i < w->rounds / 8; i++) {
		unsigned int n = lru_isolate(w->ram, i % LRU_LISTS, ARRAY_SIZE(out), out);

		if (i % 2)
			lru_putback(w->ram, out, n);
		else
			while (n--)
				folio_put(w->ram, out[n]); /* perhaps the last one */
	}
	return NULL;
}

static void adding_freeing_and_isolating_at_once(void **state)
{
	struct ram *ram = *state;
	struct folio *slot[SLOTS] = { NULL };
	struct worker w[3];
	pthread_t thread[3];

	for (unsigned int i = 0; i < 3; i++) {
		w[i] = (struct worker){
			.ram = ram,
			.slot = slot,
			.rounds = 60000 / test_slowdown(),
			.seed = i + 1,
		};
		assert_int_equal(pthread_create(&thread[i], NULL,
						i < 2 ? add_and_free : isolate_and_put_back, &w[i]),
				 0);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	assert_valid(ram);
	for (int i = 0; i < SLOTS; i++) {
		if (slot[i])
			folio_put(ram, slot[i]);
	}
	for (unsigned int i = 0; i < LRU_LISTS; i++)
		assert_int_equal(listed(ram, i), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ram_test(flags_choose_the_list),
		ram_test(isolation_takes_the_oldest_first),
		ram_test(leaving_from_the_ends_the_middle_and_the_batch),
		ram_test(flags_may_change_while_it_is_listed),
		ram_test(moving_follows_the_flags),
		ram_test(one_is_isolated_and_put_back),
		ram_test(the_second_access_activates),
		ram_test(isolation_leaves_what_has_no_reference),
		ram_test(a_batch_that_goes_on_the_lists_meanwhile),
		ram_test(a_folio_that_leaves_its_list_meanwhile),
		ram_test(adding_freeing_and_isolating_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
