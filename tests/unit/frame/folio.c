/* SPDX-License-Identifier: MIT */
/* The state word and the folio lock (frame/frame.h, folio.c). */
#include <pthread.h>
#include <unistd.h>

#include "fixture.h"
#include "support/forked.h"
#include "support/random.h"
#include "support/waits.h"

#include "base/lock.h"

static void references_and_maps_count_side_by_side(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED);

	folio_get(folio);
	assert_true(folio_try_map(folio));
	assert_true(folio_try_map(folio));
	assert_int_equal(folio_refs(folio), 2);
	assert_int_equal(folio_maps(folio), 2);
	assert_int_equal(folio_count(folio), 4);
	assert_true(folio_try_ref_to_map(folio));
	assert_int_equal(folio_refs(folio), 1);
	assert_int_equal(folio_maps(folio), 3);
	folio_put(ram, folio);
	assert_int_equal(folio_refs(folio), 0);
	assert_int_equal(unused(ram), FRAMES - 2); /* maps alone keep it */
	folio_unmap(ram, folio);
	folio_unmap(ram, folio);
	assert_int_equal(folio_maps(folio), 1);
	folio_unmap(ram, folio);
	assert_int_equal(unused(ram), FRAMES - 1);
	assert_int_equal(folio->state, 0);
}

static void a_new_folio_is_mapped_and_flagged_at_once(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 2, FOLIO_ZEROED);

	assert_true(folio_try_get(folio)); /* a mistaken lookup */
	folio_new_mapped(folio, FOLIO_ANON | FOLIO_EXCLUSIVE);
	assert_int_equal(folio_flags(folio), FOLIO_ANON | FOLIO_EXCLUSIVE);
	assert_int_equal(folio_order(ram, folio), 2);
	assert_int_equal(folio_maps(folio), 1);
	assert_int_equal(folio_refs(folio), 1);
	folio_put(ram, folio);
	folio_unmap(ram, folio);
}

static void flags_do_not_touch_the_counts(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED);

	assert_true(folio_try_map(folio));
	for (unsigned int bit = 1; bit < FOLIO_FLAGS; bit <<= 1) {
		if (bit & (FOLIO_LOCKED | FOLIO_WAITED | FOLIO_LRU | FOLIO_POISONED))
			continue;
		assert_false(folio_test(folio, bit));
		folio_set(folio, bit);
		assert_true(folio_test(folio, bit));
		assert_int_equal(folio_flags(folio), bit);
		assert_int_equal(folio_count(folio), 2);
		assert_true(folio_test_clear(folio, bit | FOLIO_SWAPCACHE));
		assert_false(folio_test_clear(folio, bit));
		assert_int_equal(folio_count(folio), 2);
	}
	folio_unmap(ram, folio);
	folio_put(ram, folio);
}

static void a_pin_is_many_references(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED);

	for (int i = 0; i < 500; i++)
		assert_true(folio_try_map(folio)); /* maps do not look like pins */
	assert_false(folio_maybe_pinned(folio));
	__atomic_fetch_add(&folio->state, FOLIO_PIN_BIAS * FOLIO_REF_ONE, __ATOMIC_RELAXED);
	assert_true(folio_maybe_pinned(folio));
	assert_int_equal(folio_maps(folio), 500);
	folio_put_many(ram, folio, FOLIO_PIN_BIAS);
	assert_false(folio_maybe_pinned(folio));
	for (int i = 0; i < 500; i++)
		folio_unmap(ram, folio);
	assert_int_equal(folio_count(folio), 1);
	folio_put(ram, folio);
}

static void what_has_no_reference_cannot_be_got(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED);

	assert_true(folio_try_get(folio));
	folio_put_many(ram, folio, 2);
	assert_false(folio_try_get(folio));
	assert_int_equal(folio->state, 0);
	folio = must_alloc(ram, 0, FOLIO_ZEROED);
	assert_true(folio_try_ref_to_map(folio));
	assert_true(folio_try_get(folio));
	folio_put(ram, folio);
	folio_unmap(ram, folio);
}

/* refs and maps as if others held as many. */
static void set_counts(struct folio *folio, unsigned long refs, unsigned long maps)
{
	__atomic_store_n(&folio->state, refs * FOLIO_REF_ONE + maps * FOLIO_MAP_ONE,
			 __ATOMIC_RELAXED);
}

static void counts_end_before_they_run_over(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED);
	uint64_t full;

	set_counts(folio, FOLIO_REFS_MAX - 1, FOLIO_MAPS_LIMIT - 2);
	assert_true(folio_try_map(folio));
	assert_true(folio_try_ref_to_map(folio));
	full = folio->state;
	assert_int_equal(folio_maps(folio), FOLIO_MAPS_LIMIT);
	assert_false(folio_try_map(folio));
	assert_false(folio_try_ref_to_map(folio));
	assert_int_equal(folio->state, full);
	assert_true(folio_try_get(folio));
	assert_true(folio_try_get(folio));
	assert_int_equal(folio_refs(folio), FOLIO_REFS_MAX);
	assert_false(folio_try_get(folio));
	assert_false(folio_try_pin(folio));
	assert_int_equal(folio_refs(folio), FOLIO_REFS_MAX);
	set_counts(folio, FOLIO_PIN_REFS_MAX - FOLIO_PIN_BIAS, 1);
	assert_true(folio_try_pin(folio));
	assert_false(folio_try_pin(folio));
	assert_int_equal(folio_refs(folio), FOLIO_PIN_REFS_MAX);
	assert_true(folio_try_get(folio));
	set_counts(folio, 1, 0);
	folio_put(ram, folio);
}

static void unmapping_many_frees_those_that_are_gone(void **state)
{
	struct ram *ram = *state;
	struct folio *folio[600], *kept[600 / 3];
	unsigned int keep = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(folio); i++) {
		folio[i] = must_alloc(ram, i % 100 ? 0 : 2, FOLIO_RAW);
		assert_true(folio_try_map(folio[i]));
		if (i % 4)
			lru_add(ram, folio[i]);
		if (i % 3)
			folio_unmap(ram, folio[i]);
		else
			kept[keep++] = folio[i];
		assert_true(folio_try_ref_to_map(folio[i]));
	}
	assert_int_equal(folio_unmap_many(ram, folio, ARRAY_SIZE(folio)), 0);
	assert_valid(ram);
	assert_int_equal(unused(ram), FRAMES - 1 - 198 - 2 * 4);
	for (unsigned int i = 0; i < keep; i++)
		assert_int_equal(folio_maps(kept[i]), 1);
	assert_int_equal(folio_unmap_many(ram, kept, keep), 0);
}

static void unmapping_many_tells_of_those_that_only_the_swap_cache_has(void **state)
{
	struct ram *ram = *state;
	struct folio *folio[30], *mapped = must_alloc(ram, 0, FOLIO_RAW);

	for (unsigned int i = 0; i < ARRAY_SIZE(folio); i++) {
		folio[i] = must_alloc(ram, 0, FOLIO_RAW);
		assert_true(folio_try_ref_to_map(folio[i]));
		if (i % 3)
			continue;
		folio_get(folio[i]); /* the cache's */
		folio_set(folio[i], FOLIO_SWAPCACHE);
	}
	folio_set(mapped, FOLIO_SWAPCACHE);
	assert_true(folio_try_map(mapped));
	assert_true(folio_try_map(mapped));
	folio_unmap(ram, folio[1]);
	folio[1] = mapped;
	assert_int_equal(folio_unmap_many(ram, folio, ARRAY_SIZE(folio)), 10);
	for (unsigned int i = 0; i < 10; i++) {
		assert_true(folio_test_clear(folio[i], FOLIO_SWAPCACHE));
		folio_put(ram, folio[i]);
	}
	assert_int_equal(folio_maps(mapped), 1);
	folio_unmap(ram, mapped);
	folio_test_clear(mapped, FOLIO_SWAPCACHE);
	folio_put(ram, mapped);
	assert_valid(ram);
}

/* lock -------------------------------------------------------------------------- */

#define THREADS 3

struct locker {
	pid_t tid; /* atomic */
	struct folio *folio;
	unsigned long rounds, *plain; /* only the lock makes the sum right */
};

static void *count_locked(void *arg)
{
	struct locker *l = arg;

	for (unsigned long i = 0; i < l->rounds; i++) {
		if (i % 4 || !folio_trylock(l->folio))
			folio_lock(l->folio);
		++*l->plain;
		folio_unlock(l->folio);
		if (i % 8 == 0) { /* the rest of the word changes meanwhile */
			assert_true(folio_try_map(l->folio));
			folio_set(l->folio, FOLIO_REFERENCED);
			__atomic_fetch_sub(&l->folio->state, FOLIO_MAP_ONE, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void the_lock_excludes(void **state)
{
	struct ram *ram = *state;
	unsigned long plain = 0;
	struct locker l = {
		.folio = must_alloc(ram, 0, FOLIO_ZEROED),
		.rounds = 100000 / test_slowdown(),
		.plain = &plain,
	};
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, count_locked, &l), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(plain, THREADS * l.rounds);
	assert_false(folio_test(l.folio, FOLIO_LOCKED | FOLIO_WAITED));
	assert_int_equal(folio_count(l.folio), 1);
	folio_put(ram, l.folio);
}

static void *lock_once(void *arg)
{
	struct locker *l = arg;

	__atomic_store_n(&l->tid, gettid(), __ATOMIC_RELEASE);
	folio_lock(l->folio);
	++*l->plain;
	folio_unlock(l->folio);
	return NULL;
}

static void who_waits_sleeps_and_is_woken(void **state)
{
	struct ram *ram = *state;
	unsigned long plain = 0;
	struct locker l = { .folio = must_alloc(ram, 0, FOLIO_ZEROED), .plain = &plain };
	pthread_t thread[THREADS];

	folio_lock(l.folio);
	assert_false(folio_trylock(l.folio));
	for (int i = 0; i < THREADS; i++) {
		l.tid = 0;
		assert_int_equal(pthread_create(&thread[i], NULL, lock_once, &l), 0);
		while (!__atomic_load_n(&l.tid, __ATOMIC_ACQUIRE))
			sched_yield();
		assert_true(comes_to_sleep(thread[i], l.tid));
	}
	assert_true(folio_test(l.folio, FOLIO_WAITED));
	assert_int_equal(plain, 0);
	folio_unlock(l.folio);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(plain, THREADS);
	assert_true(folio_trylock(l.folio));
	folio_unlock(l.folio);
	folio_put(ram, l.folio);
}

static void a_second_one_is_locked_nested(void **state)
{
	struct ram *ram = *state;
	struct folio *a = must_alloc(ram, 0, FOLIO_ZEROED), *b = must_alloc(ram, 0, FOLIO_ZEROED);

	folio_lock(a);
	folio_lock_nested(b);
	assert_true(folio_test(a, FOLIO_LOCKED) && folio_test(b, FOLIO_LOCKED));
	folio_unlock(a);
	folio_unlock(b);
	folio_put(ram, a);
	folio_put(ram, b);
}

#ifdef SAMARA_DEBUG
static void lock_two_in_one_rank(void *arg)
{
	struct folio **folio = arg;

	folio_lock(folio[0]);
	folio_lock(folio[1]);
}

static void lock_below_a_table(void *arg)
{
	static struct samara_spinlock table;
	struct folio **folio = arg;

	spin_lock(&table, RANK_PAGE_TABLE);
	folio_lock(folio[0]);
}

static void the_rank_of_folio_locks_is_checked(void **state)
{
	struct ram *ram = *state;
	struct folio *folio[2] = {
		must_alloc(ram, 0, FOLIO_ZEROED),
		must_alloc(ram, 0, FOLIO_ZEROED),
	};
	struct forked child;

	run_forked(lock_two_in_one_rank, folio, &child);
	assert_non_null(strstr(child.text, "folio lock taken while holding folio lock"));
	/* The frames' state is the child's own. */
	run_forked(lock_below_a_table, folio, &child);
	assert_non_null(strstr(child.text, "folio lock taken while holding page table"));
	folio_put(ram, folio[0]);
	folio_put(ram, folio[1]);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		ram_test(references_and_maps_count_side_by_side),
		ram_test(a_new_folio_is_mapped_and_flagged_at_once),
		ram_test(flags_do_not_touch_the_counts),
		ram_test(a_pin_is_many_references),
		ram_test(what_has_no_reference_cannot_be_got),
		ram_test(counts_end_before_they_run_over),
		ram_test(unmapping_many_frees_those_that_are_gone),
		ram_test(unmapping_many_tells_of_those_that_only_the_swap_cache_has),
		ram_test(the_lock_excludes),
		ram_test(who_waits_sleeps_and_is_woken),
		ram_test(a_second_one_is_locked_nested),
#ifdef SAMARA_DEBUG
		ram_test(the_rank_of_folio_locks_is_checked),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
