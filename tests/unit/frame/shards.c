/* SPDX-License-Identifier: MIT */
/* Frames that wait in the shards are found before there is none (frame/shard.c). */
#include <pthread.h>

#include "fixture.h"
#include "support/at_locks.h"

/* Takes all there is, one by one, and leaves it in this thread's shard and the buddy. */
static void *fill_own_shard(void *arg)
{
	struct folio *folio[100];

	for (int i = 0; i < 100; i++)
		folio[i] = must_alloc(arg, 0, FOLIO_RAW);
	for (int i = 0; i < 100; i++)
		folio_put(arg, folio[i]);
	return NULL;
}

static void other_threads_shards_are_drained_before_there_is_none(void **state)
{
	struct ram *ram = ram_of(128);
	struct ram_stats stats;
	struct folio *folio[128];
	unsigned long n = 0;

	for (int i = 0; i < 3; i++) { /* three threads, three shards */
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, fill_own_shard, ram), 0);
		pthread_join(thread, NULL);
	}
	ram_stats(ram, &stats);
	assert_true(stats.cached >= 64);
	folio[0] = must_alloc(ram, 6, FOLIO_RAW); /* needs cached frames to become a block */
	folio_put(ram, folio[0]);
	while (n < 128 && (folio[n] = folio_alloc(ram, 0, FOLIO_RAW)))
		n++;
	assert_int_equal(n, 127);
	assert_valid(ram);
	while (n--)
		folio_put(ram, folio[n]);
	ram_destroy(ram);
	assert_int_equal(samara_live_objects(), 0);
}

static struct ram *drained;

static void free_it(void *arg)
{
	folio_put(drained, arg);
}

/* The last frame comes back just before the shards are drained: it is found. */
static void a_frame_that_is_freed_beside_a_drain_is_found(void **state)
{
	struct ram *ram = drained = ram_of(64);
	struct folio *folio[64];
	unsigned long n = 0;

	(void)state;
	if (!at_locks_available()) {
		ram_destroy(ram);
		skip();
	}
	while (n < 64 && (folio[n] = folio_alloc(ram, 0, FOLIO_RAW)))
		n++;
	/*
	 * New threads get the shards in turn: one of these frees into the first that is drained.
	 * That one's lock is taken twice where it is this thread's own.
	 */
	for (unsigned int i = 0; i < 2 * RAM_SHARDS; i++) {
		struct folio *again;

		meet_at(&ram->shard[0].lock, shard_number() ? 1 : 2, free_it, folio[0]);
		again = folio_alloc(ram, 0, FOLIO_RAW);
		assert_true(meet_end());
		assert_non_null(again);
		folio[0] = again;
	}
	while (n--)
		folio_put(ram, folio[n]);
	ram_destroy(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_threads_shards_are_drained_before_there_is_none),
		cmocka_unit_test(a_frame_that_is_freed_beside_a_drain_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
