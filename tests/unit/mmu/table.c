/* SPDX-License-Identifier: MIT */
/*
 * Growing page tables and finding what is there, in every geometry.
 */
#include <errno.h>

#include "space.h"

#include "support/random.h"

static struct samara_geometry geometries[4];

static int make_geometries(void **state)
{
	(void)state;
	geometries[0] = *samara_geometry_x86_64();
	geometries[1] = *samara_geometry_x86_64_la57();
	geometries[2] = geometry_ceiling();
	geometries[3] = geometries[0]; /* one level only: the root is the leaf */
	geometries[3].levels = 1;
	geometries[3].task_size = geometries[3].map_window = geometries[3].low_end = 512 * PAGE;
	geometries[3].low_start = geometries[3].low_end;
	return 0;
}

#define for_each_geometry(geo) \
	for (const struct samara_geometry *geo = geometries; geo < geometries + 4; geo++)

static void a_path_has_a_table_of_each_level(void **state)
{
	(void)state;
	for_each_geometry(geo)
	{
		const unsigned long addr = geo->task_size - PAGE;
		struct table *leaf;
		struct space s;

		space_up(&s, geo);
		assert_null(table_find(s.mm, addr));
		leaf = must_get(s.mm, addr);
		assert_int_equal(leaf->level, 0);
		assert_int_equal(s.mm->tables.pgd->level, geo->levels - 1);
		assert_int_equal(s.mm->tables.nr, geo->levels);
		assert_ptr_equal(table_find(s.mm, addr), leaf);
		assert_ptr_equal(must_get(s.mm, addr), leaf);
		assert_int_equal(s.mm->tables.nr, geo->levels);
		assert_int_equal(leaf->base, addr & ~(512 * PAGE - 1));
		space_down(&s);
	}
}

/* Address that shares the tables of all levels above level with address 0, and no other. */
static unsigned long away_at(const struct samara_geometry *geo, unsigned int level)
{
	return 1UL << level_shift(geo, level);
}

static void only_what_is_missing_is_made(void **state)
{
	(void)state;
	for_each_geometry(geo)
	{
		struct space s;

		space_up(&s, geo);
		must_get(s.mm, 0);
		for (unsigned int level = 1; level < geo->levels; level++) {
			const unsigned long before = s.mm->tables.nr;

			assert_null(table_find(s.mm, away_at(geo, level)));
			must_get(s.mm, away_at(geo, level));
			assert_int_equal(s.mm->tables.nr, before + level);
			assert_int_equal(pgtable_validate(s.mm, NULL), 0);
		}
		space_down(&s);
	}
}

static void a_refused_allocation_at_any_level_changes_nothing(void **state)
{
	(void)state;
	for_each_geometry(geo)
	{
		/* Level geo->levels: there is no root yet. */
		for (unsigned int missing = 1; missing <= geo->levels; missing++) {
			for (unsigned int nth = 1; nth <= missing; nth++) {
				const unsigned long addr =
					missing == geo->levels ? 0 : away_at(geo, missing);
				struct table *leaf = NULL;
				unsigned long tables, live;
				struct space s;

				space_up(&s, geo);
				if (missing < geo->levels)
					must_get(s.mm, 0);
				tables = s.mm->tables.nr;
				live = samara_live_objects();
				samara_inject_nth(nth);
				assert_int_equal(table_get(s.mm, addr, &leaf), -ENOMEM);
				samara_inject_nth(0);
				assert_null(leaf);
				assert_null(table_find(s.mm, addr));
				assert_int_equal(s.mm->tables.nr, tables);
				assert_int_equal(samara_live_objects(), live);
				assert_int_equal(pgtable_validate(s.mm, NULL), 0);
				assert_non_null(must_get(s.mm, addr));
				space_down(&s);
			}
		}
	}
}

static void next_steps_from_leaf_to_leaf(void **state)
{
	const unsigned long leaf_size = 512 * PAGE, gib = 1UL << 30, tib = 1UL << 40;
	const unsigned long places[] = { 5 * PAGE, leaf_size,     3 * gib + 7 * PAGE,
					 tib,      tib + 2 * gib, (1UL << 47) - 2 * PAGE };
	struct space s;
	unsigned long addr = 0, end;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	end = s.mm->geo->task_size;
	assert_null(table_next(s.mm, &addr, end));
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++)
		must_get(s.mm, places[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		struct table *leaf = table_next(s.mm, &addr, end);

		assert_ptr_equal(leaf, table_find(s.mm, places[i]));
		assert_int_equal(addr, leaf->base);
		addr += leaf_size;
	}
	assert_true(addr >= end || !table_next(s.mm, &addr, end));
	/* From the middle of a leaf, and up to just before the next. */
	addr = places[2];
	assert_ptr_equal(table_next(s.mm, &addr, end), table_find(s.mm, places[2]));
	assert_int_equal(addr, places[2]);
	addr = 2 * gib;
	assert_null(table_next(s.mm, &addr, 3 * gib));
	addr = 2 * gib;
	assert_ptr_equal(table_next(s.mm, &addr, 3 * gib + PAGE), table_find(s.mm, places[2]));
	assert_int_equal(addr, 3 * gib);
	space_down(&s);
}

static void next_finds_the_leaves_that_a_scan_finds(void **state)
{
	struct samara_geometry geo = *samara_geometry_x86_64();
	struct rng rng;

	(void)state;
	geo.level_bits = 2;
	geo.levels = 5;
	geo.task_size = geo.map_window = geo.low_start = geo.low_end = 1024 * PAGE;
	rng_init(&rng, test_seed());
	for (int round = 0; round < 50; round++) {
		unsigned long addr, end, page;
		struct space s;

		space_up(&s, &geo);
		for (int i = 0; i < 20; i++)
			must_get(s.mm, rng_below(&rng, 1024) * PAGE);
		for (int i = 0; i < 50; i++) {
			struct table *leaf, *expected = NULL;

			addr = rng_below(&rng, 1024) * PAGE;
			end = rng_between(&rng, addr / PAGE + 1, 1024) * PAGE;
			for (page = addr; page < end && !expected; page += PAGE)
				expected = table_find(s.mm, page);
			leaf = table_next(s.mm, &addr, end);
			if (leaf != expected || (leaf && addr != page - PAGE)) {
				test_replay(test_seed());
				fail_msg("up to %#lx: at %#lx", end, addr);
			}
		}
		space_down(&s);
	}
}

/* two threads ------------------------------------------------------------------ */

#define GROWN 64

struct grower {
	struct samara_mm *mm;
	pthread_barrier_t *barrier;
	uint64_t seed;
	struct table *leaf[GROWN];
};

static void *grow(void *arg)
{
	struct grower *g = arg;
	struct rng rng;

	rng_init(&rng, g->seed);
	pthread_barrier_wait(g->barrier);
	for (int i = 0; i < GROWN; i++) {
		const unsigned long addr = rng_next(&rng) % g->mm->geo->task_size;

		if (table_get(g->mm, addr, &g->leaf[i]) || table_find(g->mm, addr) != g->leaf[i])
			g->leaf[i] = NULL;
	}
	return NULL;
}

static void two_threads_that_grow_get_the_same_tables(void **state)
{
	const unsigned long rounds = 200 / test_slowdown() + 10;

	(void)state;
	for (unsigned long round = 0; round < rounds; round++) {
		struct grower g[2];
		pthread_barrier_t barrier;
		pthread_t thread;
		struct space s;

		space_up(&s, &geometries[round % 3]);
		pthread_barrier_init(&barrier, NULL, 2);
		for (int i = 0; i < 2; i++)
			g[i] = (struct grower){ .mm = s.mm, .barrier = &barrier, .seed = round };
		assert_int_equal(pthread_create(&thread, NULL, grow, &g[1]), 0);
		grow(&g[0]);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&barrier);
		for (int i = 0; i < GROWN; i++) {
			assert_non_null(g[0].leaf[i]);
			assert_ptr_equal(g[0].leaf[i], g[1].leaf[i]);
		}
		/* Counts agree, and what the loser made is free: the mm and the tables are left. */
		assert_int_equal(pgtable_validate(s.mm, NULL), 0);
		assert_int_equal(samara_live_objects(), live_before + 1 + s.mm->tables.nr);
		space_down(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_has_a_table_of_each_level),
		cmocka_unit_test(only_what_is_missing_is_made),
		cmocka_unit_test(a_refused_allocation_at_any_level_changes_nothing),
		cmocka_unit_test(next_steps_from_leaf_to_leaf),
		cmocka_unit_test(next_finds_the_leaves_that_a_scan_finds),
		cmocka_unit_test(two_threads_that_grow_get_the_same_tables),
	};

	return cmocka_run_group_tests(tests, make_geometries, NULL);
}
