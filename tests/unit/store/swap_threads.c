/* SPDX-License-Identifier: MIT */
/*
 * Threads at one area: owners make pages, change them and take them away again, readers look at
 * entries that may be stale, a writer takes pages out of memory, and the area goes off and on.
 */
#include <errno.h>
#include <pthread.h>

#include "base/atomic.h"

#include "support/cmocka_all.h"

#include "support/random.h"
#include "support/swap_box.h"

#define OWNERS 2
#define PER_OWNER 40
#define SHOWN (OWNERS * PER_OWNER)

struct race {
	struct store_box *box;
	struct samara_swap *area;
	uint64_t shown[SHOWN]; /* atomic; entries, for readers */
	unsigned long rounds;
	int done; /* atomic: owners that are */
	uint64_t seed;
};

struct racer {
	struct race *race;
	unsigned int id;
};

static bool running(struct race *race)
{
	return smp_load_acquire(&race->done) < OWNERS;
}

/* An owner's own page; nobody else puts its entry. */
struct own {
	swp_entry_t entry;
	unsigned long stamp;
};

static void make(struct race *race, struct own *own, unsigned long stamp)
{
	struct folio *folio = swap_new_page(race->box, stamp);

	folio_lock(folio);
	if (!swap_cache_add(race->box->store, folio)) {
		own->entry = folio_swap(folio);
		own->stamp = stamp;
		assert_true(swap_dup(race->box->store, own->entry));
	}
	folio_unlock_cached(race->box->store, folio);
	folio_put(race->box->ram, folio);
}

static void look(struct race *race, const struct own *own)
{
	struct folio *folio;
	bool major = false;

	for (;;) {
		assert_int_equal(swap_read(race->box->store, own->entry, NULL, &folio, &major), 0);
		folio_lock(folio);
		if (swap_cache_is(folio, own->entry))
			break;
		folio_unlock_unseen(folio);
		folio_put(race->box->ram, folio);
	}
	assert_int_equal(swap_stamp(race->box, folio), own->stamp);
	/* As if it was written to, so that it has to be written again. */
	folio_set(folio, FOLIO_DIRTY);
	folio_unlock_cached(race->box->store, folio);
	folio_put(race->box->ram, folio);
}

static void *owner(void *arg)
{
	const struct racer *self = arg;
	struct race *race = self->race;
	struct own own[PER_OWNER] = { 0 };
	unsigned long stamp = self->id;
	struct rng rng;

	rng_init(&rng, race->seed + self->id);
	for (unsigned long i = 0; i < race->rounds; i++) {
		const unsigned long at = rng_below(&rng, PER_OWNER);
		struct own *page = &own[at];

		stamp += OWNERS;
		if (swp_none(page->entry)) {
			make(race, page, stamp);
		} else if (rng_one_in(&rng, 3)) {
			swap_put(race->box->store, page->entry);
			page->entry.v = 0;
		} else {
			look(race, page);
		}
		WRITE_ONCE(race->shown[self->id * PER_OWNER + at], page->entry.v);
	}
	for (unsigned int i = 0; i < PER_OWNER; i++)
		if (!swp_none(own[i].entry))
			swap_put(race->box->store, own[i].entry);
	(void)atomic_fetch_add_acq_rel(&race->done, 1);
	return NULL;
}

static void *reader(void *arg)
{
	const struct racer *self = arg;
	struct race *race = self->race;
	struct rng rng;

	rng_init(&rng, race->seed + self->id);
	while (running(race)) {
		const swp_entry_t entry = { READ_ONCE(race->shown[rng_below(&rng, SHOWN)]) };
		struct folio *folio;
		bool major = false;

		if (swp_none(entry) || swap_read(race->box->store, entry, NULL, &folio, &major))
			continue;
		/* Of one stamp, whatever the entry names by now. */
		swap_stamp(race->box, folio);
		folio_put(race->box->ram, folio);
	}
	return NULL;
}

static void *writer(void *arg)
{
	const struct racer *self = arg;
	struct race *race = self->race;
	struct rng rng;

	rng_init(&rng, race->seed + self->id);
	while (running(race)) {
		const swp_entry_t entry = { READ_ONCE(race->shown[rng_below(&rng, SHOWN)]) };
		struct folio *folio =
			swp_none(entry) ? NULL : swap_cache_find(race->box->store, entry);

		if (!folio)
			continue;
		folio_lock(folio);
		if (swap_cache_is(folio, entry) && !swap_write(race->box->store, folio) &&
		    folio_try_freeze(folio, 2)) {
			swap_cache_del(race->box->store, folio);
			folio_unfreeze(folio);
		}
		folio_unlock_cached(race->box->store, folio);
		folio_put(race->box->ram, folio);
	}
	return NULL;
}

static void *switcher(void *arg)
{
	const struct racer *self = arg;
	struct race *race = self->race;

	while (running(race)) {
		assert_int_equal(swap_area_stop(race->area), 0);
		swap_area_resume(race->area);
		for (unsigned long slot = 0; swap_area_next(race->area, &slot); slot++)
			;
	}
	return NULL;
}

/* Folios that only the cache has any more: their last entry went while they were locked. */
static void drop_orphans(struct race *race)
{
	for (unsigned long slot = 0; swap_area_next(race->area, &slot); slot++) {
		const swp_entry_t entry = mk_swp_entry(swap_area_number(race->area), slot);
		struct folio *folio = swap_cache_find(race->box->store, entry);

		assert_non_null(folio);
		folio_lock(folio);
		assert_true(swap_cache_free(race->box->store, folio));
		folio_unlock_unseen(folio);
		folio_put(race->box->ram, folio);
	}
}

static void nothing_is_lost_between_threads(void **state)
{
	static void *(*const fns[])(void *) = { owner, owner, reader, writer, switcher };
	struct race race = {
		.box = *state,
		.rounds = (test_full() ? 300000 : 12000) / test_slowdown(),
		.seed = test_seed(),
	};
	struct racer racer[5];
	pthread_t thread[5];
	struct swap_disk disk;

	test_replay(race.seed);
	race.area = swap_disk_on(race.box, &disk, SHOWN + 20, 0);
	for (unsigned int i = 0; i < 5; i++) {
		racer[i] = (struct racer){ .race = &race, .id = i };
		assert_int_equal(pthread_create(&thread[i], NULL, fns[i], &racer[i]), 0);
	}
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	swap_check(race.box);
	drop_orphans(&race);
	assert_int_equal(box_frames(race.box), 0);
	swap_check(race.box);
	swap_disk_off(race.area, &disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_lost_between_threads, store_box_up,
						store_box_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
