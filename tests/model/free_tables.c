/* SPDX-License-Identifier: MIT */
/*
 * Which page tables a munmap takes along, on random maps: each table that a mapping outside the
 * range can still want stays, each other one that served the range goes. What is right is worked
 * out
 * anew from the list of mappings for every table there is.
 *
 * Small geometries, so that tables of all levels come and go: four and five levels, the ceiling 0
 * (x86) or the task size (ARM), which need not lie on the end of a table, and a first user address
 * that need not lie on the beginning of one.
 */
#include <stdio.h>

#include "support/cmocka_all.h"

#include "support/page_world.h"
#include "support/random.h"

#define MAPPINGS_MAX 64
#define TABLES_MAX 8192

struct mapping {
	unsigned long start, end; /* start == end: none */
};

struct known_table {
	unsigned int level;
	unsigned long base;
};

struct model {
	struct world *w;
	struct samara_mm *mm;
	struct rng rng;
	struct mapping map[MAPPINGS_MAX]; /* in no order, disjoint */
	unsigned int nr;
	struct known_table table[TABLES_MAX];
	unsigned int nr_tables;
};

static void broken(const struct known_table *t, const char *what)
{
	fprintf(stderr, "table of level %u at %#lx %s\n", t->level, t->base, what);
	test_replay(test_seed());
	fail();
}

/* All tables below the root. */
static void collect(struct model *m, struct table *table)
{
	for (unsigned int i = 0; table->level && i < 1U << m->mm->geo->level_bits; i++) {
		struct table *child = table_child(table, i);

		if (!child)
			continue;
		assert_in_range(m->nr_tables, 0, TABLES_MAX - 1);
		m->table[m->nr_tables++] = (struct known_table){ child->level, child->base };
		collect(m, child);
	}
}

static bool is_there(const struct model *m, const struct known_table *t)
{
	struct table *table = m->mm->tables.pgd;

	while (table && table->level > t->level)
		table = table_child(table, table_index(m->mm->geo, table->level, t->base));
	return table;
}

static bool mapped_in(const struct model *m, unsigned long start, unsigned long last)
{
	for (unsigned int i = 0; i < m->nr; i++)
		if (m->map[i].start < m->map[i].end && m->map[i].start <= last &&
		    m->map[i].end - 1 >= start)
			return true;
	return false;
}

/* After the mappings of [start, end) have gone from the list. */
static bool should_stay(const struct model *m, const struct known_table *t, unsigned long start,
			unsigned long end)
{
	const struct samara_geometry *geo = m->mm->geo;
	const unsigned long last = t->base + (1UL << level_shift(geo, t->level + 1)) - 1;

	return mapped_in(m, t->base, last) || last < start || t->base >= end ||
	       t->base < geo->first_user_addr || (geo->table_ceiling && last >= geo->table_ceiling);
}

/* Where a neighbour begins or ends; the mappings are few. */
static unsigned long floor_below(const struct model *m, unsigned long start)
{
	unsigned long floor = m->mm->geo->first_user_addr;

	for (unsigned int i = 0; i < m->nr; i++)
		if (m->map[i].start < m->map[i].end && m->map[i].end <= start)
			floor = max(floor, m->map[i].end);
	return floor;
}

static unsigned long ceiling_above(const struct model *m, unsigned long end)
{
	unsigned long ceiling = m->mm->geo->table_ceiling;

	for (unsigned int i = 0; i < m->nr; i++)
		if (m->map[i].start < m->map[i].end && m->map[i].start >= end)
			ceiling = min(ceiling - 1, m->map[i].start - 1) + 1;
	return ceiling;
}

static unsigned long random_page(struct model *m)
{
	const struct samara_geometry *geo = m->mm->geo;

	return geo->first_user_addr +
	       rng_below(&m->rng, (geo->task_size - geo->first_user_addr) / WORLD_PAGE) *
		       WORLD_PAGE;
}

static void add_mapping(struct model *m)
{
	const unsigned long task_size = m->mm->geo->task_size, start = random_page(m);
	unsigned long pages = 1 + rng_below(&m->rng, rng_one_in(&m->rng, 4) ? 600 : 20), end;

	pages = min(pages, (task_size - start) / WORLD_PAGE);
	if (rng_one_in(&m->rng, 8))
		pages = (task_size - start) / WORLD_PAGE; /* up to the very end */
	end = start + pages * WORLD_PAGE;
	if (m->nr == MAPPINGS_MAX || mapped_in(m, start, end - 1))
		return;
	m->map[m->nr++] = (struct mapping){ start, end };
	for (unsigned long i = 0; i < 1 + min(pages / 4, 150UL); i++) {
		const unsigned long addr = start + rng_below(&m->rng, pages) * WORLD_PAGE;
		struct table *leaf = table_find(m->mm, addr);

		if (!leaf || pte_none(pte_read(table_pte(m->mm, leaf, addr))))
			put_pte_at(m->mm, addr, pte_with(mk_pte(ZERO_FRAME, VM_RO), PTE_SPECIAL));
	}
}

/* The pages of one mapping's part go. */
static void zap_part(struct model *m, struct mmu_gather *tlb, unsigned long start,
		     unsigned long end)
{
	struct vma *vma = world_vma_in(m->w, m->mm, start, end, VM_RO);

	zap_range(tlb, vma, start, end, ZAP_ALL);
	world_vma_gone(m->w, vma);
}

static void unmap(struct model *m, unsigned long start, unsigned long end)
{
	const unsigned int nr = m->nr;
	struct mmu_gather tlb;
	unsigned long gone = 0, before = m->mm->tables.nr;

	tlb_gather_mmu(&tlb, m->mm, GATHER_RANGE);
	for (unsigned int i = 0; i < nr; i++) {
		struct mapping *map = &m->map[i];
		const unsigned long from = max(start, map->start), to = min(end, map->end);

		if (from >= to)
			continue;
		zap_part(m, &tlb, from, to);
		if (to < map->end) {
			if (map->start < from)
				m->map[m->nr++] =
					(struct mapping){ to, map->end }; /* at most once */
			else
				*map = (struct mapping){ to, map->end };
		}
		if (map->start < from)
			map->end = from;
		else if (map->start < to)
			map->end = map->start;
	}
	m->nr_tables = 0;
	if (m->mm->tables.pgd)
		collect(m, m->mm->tables.pgd);
	free_pgtables(&(struct free_desc){ .tlb = &tlb,
					   .start = start,
					   .end = end,
					   .floor = floor_below(m, start),
					   .ceiling = ceiling_above(m, end) });
	tlb_finish_mmu(&tlb);
	for (unsigned int i = 0; i < m->nr_tables; i++) {
		const bool stay = should_stay(m, &m->table[i], start, end);

		if (stay != is_there(m, &m->table[i]))
			broken(&m->table[i], stay ? "is gone" : "is left");
		gone += !stay;
	}
	assert_int_equal(m->mm->tables.nr, before - gone);
}

static void drop_empty(struct model *m)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < m->nr; i++)
		if (m->map[i].start < m->map[i].end)
			m->map[kept++] = m->map[i];
	m->nr = kept;
}

static void run(const struct samara_geometry *geo, unsigned long rounds)
{
	static struct model m;
	void *state;

	assert_int_equal(world_up_geometry(&state, geo), 0);
	m.w = state;
	m.mm = m.w->mm[0];
	m.nr = 0;
	rng_init(&m.rng, test_seed());
	if (test_full())
		rounds *= 20;
	for (unsigned long i = 0; i < rounds; i++) {
		const unsigned long a = random_page(&m), b = random_page(&m);

		for (unsigned long n = rng_below(&m.rng, 8); n && m.nr < MAPPINGS_MAX - 2; n--)
			add_mapping(&m);
		if (rng_one_in(&m.rng, 3) && m.nr) { /* exactly one mapping */
			const struct mapping one = m.map[rng_below(&m.rng, m.nr)];

			unmap(&m, one.start, one.end);
		} else {
			unmap(&m, min(a, b), max(a, b) + WORLD_PAGE);
		}
		drop_empty(&m);
		if (i % 64 == 0)
			assert_world(m.w);
	}
	unmap(&m, geo->first_user_addr, geo->task_size);
	assert_int_equal(world_down(&state), 0);
}

/* A space of 2^(12 + levels * bits) bytes of which tenths are used. */
static struct samara_geometry small(unsigned int levels, unsigned int bits, unsigned long tenths)
{
	struct samara_geometry geo = *samara_geometry_x86_64();

	geo.levels = levels;
	geo.level_bits = bits;
	geo.huge_shift = geo.page_shift + bits;
	geo.task_size = (1UL << (12 + levels * bits)) / 10 * tenths & ~(WORLD_PAGE - 1);
	geo.map_window = geo.task_size;
	geo.first_user_addr = 0;
	geo.table_ceiling = 0;
	return geo;
}

static void four_levels_up_to_the_top(void **state)
{
	const struct samara_geometry geo = small(4, 3, 10);

	run(&geo, 6000 / test_slowdown());
}

static void five_levels_up_to_the_top(void **state)
{
	const struct samara_geometry geo = small(5, 3, 10);

	run(&geo, 2800 / test_slowdown());
}

static void four_levels_up_to_the_task_size(void **state)
{
	struct samara_geometry geo = small(4, 3, 7);

	geo.table_ceiling = geo.task_size;
	geo.first_user_addr = 3 * WORLD_PAGE;
	run(&geo, 6000 / test_slowdown());
}

static void five_levels_up_to_the_task_size(void **state)
{
	struct samara_geometry geo = small(5, 2, 9);

	geo.table_ceiling = geo.task_size;
	geo.first_user_addr = WORLD_PAGE;
	run(&geo, 6000 / test_slowdown());
}

static void a_wide_space_as_it_is(void **state)
{
	struct samara_geometry geo = *samara_geometry_x86_64_la57();

	run(&geo, 100 / test_slowdown());
	geo.table_ceiling = geo.task_size;
	run(&geo, 100 / test_slowdown());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_levels_up_to_the_top),
		cmocka_unit_test(five_levels_up_to_the_top),
		cmocka_unit_test(four_levels_up_to_the_task_size),
		cmocka_unit_test(five_levels_up_to_the_task_size),
		cmocka_unit_test(a_wide_space_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
