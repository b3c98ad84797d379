/* SPDX-License-Identifier: MIT */
/*
 * Which tables leave with a range, and which stay for a neighbour.
 *
 * The random test has its own idea of it: a table stays when some part of what it serves still
 * belongs to a VMA, or to nobody ever (below first_user_addr, from table_ceiling on); every other
 * goes.
 */
#include <stdio.h>

#include "space.h"

#include "support/random.h"

#define LEAF (512 * PAGE)
#define GIB (1UL << 30)
#define TIB (1UL << 40)

static unsigned long freed(struct samara_mm *mm, unsigned long start, unsigned long end,
			   unsigned long floor, unsigned long ceiling)
{
	struct table_list gone = { NULL };
	const unsigned long before = mm->tables.nr;
	unsigned long n = 0;

	table_free_range(mm, start, end, floor, ceiling, &gone);
	for (const struct table *table = gone.first; table; table = table->next)
		n++;
	assert_int_equal(mm->tables.nr, before - n);
	assert_int_equal(pgtable_validate(mm, NULL), 0);
	table_list_free(&gone);
	return n;
}

static void a_lone_range_takes_all_but_the_root(void **state)
{
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	must_get(s.mm, 5 * TIB + 3 * PAGE);
	assert_int_equal(freed(s.mm, 5 * TIB + 3 * PAGE, 5 * TIB + 4 * PAGE, 0, 0), 3);
	assert_int_equal(s.mm->tables.nr, 1);
	assert_int_equal(freed(s.mm, 5 * TIB, 5 * TIB + PAGE, 0, 0), 0);
	space_down(&s);

	space_up(&s, samara_geometry_x86_64_la57());
	must_get(s.mm, s.mm->geo->task_size - PAGE);
	assert_int_equal(freed(s.mm, s.mm->geo->task_size - PAGE, s.mm->geo->task_size, 0, 0), 4);
	space_down(&s);
}

/* One level: the root is the leaf, and goes with the mm only. */
static void what_is_no_table_of_the_range_stays(void **state)
{
	struct samara_geometry one = *samara_geometry_x86_64();
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	assert_int_equal(freed(s.mm, TIB, TIB + PAGE, 0, 0), 0);
	assert_int_equal(s.mm->tables.nr, 0);
	must_get(s.mm, TIB);
	assert_int_equal(freed(s.mm, TIB, TIB, 0, 0), 0);
	assert_int_equal(freed(s.mm, TIB, TIB + PAGE, 0, 0), 3);
	space_down(&s);

	one.levels = 1;
	one.task_size = one.map_window = one.low_start = one.low_end = LEAF;
	space_up(&s, &one);
	must_get(s.mm, 100 * PAGE);
	assert_int_equal(s.mm->tables.nr, 1);
	assert_int_equal(freed(s.mm, 100 * PAGE, 101 * PAGE, 0, 0), 0);
	space_down(&s);
}

static void tables_shared_with_a_neighbour_stay(void **state)
{
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	must_get(s.mm, TIB);
	/* In the same leaf, below and above. */
	assert_int_equal(freed(s.mm, TIB + 5 * PAGE, TIB + 9 * PAGE, TIB + 5 * PAGE, 0), 0);
	assert_int_equal(freed(s.mm, TIB, TIB + PAGE, 0, TIB + 9 * PAGE), 0);
	/* In the next leaf: the leaf goes, what is above it stays. */
	assert_int_equal(freed(s.mm, TIB, TIB + PAGE, 0, TIB + LEAF), 1);
	must_get(s.mm, TIB);
	/* In the next table of level 1. */
	assert_int_equal(freed(s.mm, TIB, TIB + PAGE, 0, TIB + GIB), 2);
	must_get(s.mm, TIB);
	assert_int_equal(freed(s.mm, TIB, TIB + PAGE, TIB - GIB, TIB + 512 * GIB - 1), 2);
	must_get(s.mm, TIB);
	assert_int_equal(freed(s.mm, TIB, TIB + PAGE, TIB, TIB + 512 * GIB), 3);
	space_down(&s);
}

static void a_range_over_many_tables_keeps_both_ends(void **state)
{
	struct space s;
	const unsigned long start = TIB + LEAF / 2, end = start + 4 * LEAF;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	for (unsigned long addr = start; addr < end; addr += PAGE)
		must_get(s.mm, addr);
	assert_int_equal(freed(s.mm, start, end, start, end), 3);
	assert_non_null(table_find(s.mm, start));
	assert_null(table_find(s.mm, start + LEAF));
	assert_non_null(table_find(s.mm, end - PAGE));
	space_down(&s);
}

static void a_ceiling_at_the_task_size_is_as_good_as_0(void **state)
{
	const struct samara_geometry geo = geometry_ceiling();
	struct space s;

	(void)state;
	space_up(&s, &geo);
	/* The last page, as every exit has it. */
	must_get(s.mm, geo.task_size - PAGE);
	assert_int_equal(freed(s.mm, geo.task_size - PAGE, geo.task_size, geo.first_user_addr,
			       geo.table_ceiling),
			 2);
	/* A table that begins below the first user address stays until the end of the mm. */
	must_get(s.mm, geo.first_user_addr);
	must_get(s.mm, LEAF);
	assert_int_equal(freed(s.mm, geo.first_user_addr, 2 * LEAF, geo.first_user_addr,
			       geo.table_ceiling),
			 1);
	assert_int_equal(s.mm->tables.nr, 3);
	space_down(&s);
	/* The x86 task size is in the middle of a leaf, which then stays. */
	space_up(&s, samara_geometry_x86_64());
	must_get(s.mm, s.mm->geo->task_size - PAGE);
	assert_int_equal(freed(s.mm, s.mm->geo->task_size - PAGE, s.mm->geo->task_size, 0,
			       s.mm->geo->task_size),
			 0);
	assert_int_equal(freed(s.mm, s.mm->geo->task_size - PAGE, s.mm->geo->task_size, 0, 0), 3);
	space_down(&s);
}

static void a_ceiling_within_the_first_table_keeps_it(void **state)
{
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	must_get(s.mm, 16 * PAGE);
	assert_int_equal(freed(s.mm, 16 * PAGE, 17 * PAGE, 0, 20 * PAGE), 0);
	/* Below the range's end, too: nothing fires, the table stays. */
	assert_int_equal(freed(s.mm, 16 * PAGE, 17 * PAGE, 0, 10 * PAGE), 0);
	assert_int_equal(freed(s.mm, 16 * PAGE, 17 * PAGE, 0, 0), 3);
	space_down(&s);
}

/* random layouts ------------------------------------------------------------------ */

#define VMAS 12 /* at first; each step may split one */
#define VMAS_MAX 200
#define TABLES 512

struct place {
	unsigned int level;
	unsigned long base, last;
};

struct layout {
	struct space s;
	unsigned int vmas, tables;
	struct {
		unsigned long start, end;
	} vma[VMAS_MAX];
	struct place table[TABLES];
	char text[200]; /* the last step */
};

static void list_tables(const struct samara_geometry *geo, struct table *table, struct place *out,
			unsigned int *n)
{
	if (!table->level)
		return;
	for (unsigned int i = 0; i < 1U << geo->level_bits; i++) {
		struct table *child = table_child(table, i);

		if (!child)
			continue;
		assert_true(*n < TABLES);
		out[*n].level = child->level;
		out[*n].base = child->base;
		out[*n].last = child->base + (1UL << level_shift(geo, child->level + 1)) - 1;
		(*n)++;
		list_tables(geo, child, out, n);
	}
}

static bool still_wanted(const struct layout *l, const struct place *table)
{
	const struct samara_geometry *geo = &l->s.machine.geo;

	if (table->base < geo->first_user_addr)
		return true;
	if (geo->table_ceiling && table->last >= geo->table_ceiling)
		return true;
	for (unsigned int i = 0; i < l->vmas; i++) {
		if (table->base < l->vma[i].end && table->last >= l->vma[i].start)
			return true;
	}
	return false;
}

static void map_some(struct layout *l, struct rng *rng)
{
	const struct samara_geometry *geo = &l->s.machine.geo;
	unsigned long at = geo->first_user_addr / PAGE, pages = geo->task_size / PAGE;

	l->vmas = 0;
	while (l->vmas < VMAS) {
		unsigned long start = at + (rng_one_in(rng, 3) ? 0 : rng_below(rng, pages / 8));
		unsigned long end = start + rng_between(rng, 1, pages / 6);

		if (rng_one_in(rng, 8))
			end = pages; /* the last page of all */
		if (start >= pages)
			break;
		end = min(end, pages);
		l->vma[l->vmas].start = start * PAGE;
		l->vma[l->vmas++].end = end * PAGE;
		for (unsigned long page = start; page < end; page++) {
			if (!rng_one_in(rng, 3))
				must_get(l->s.mm, page * PAGE);
		}
		at = end;
	}
}

/* What goes: some pages of VMAs that follow each other. The rest of the first and last stays. */
static void unmap_some(struct layout *l, struct rng *rng)
{
	const unsigned int first = (unsigned int)rng_below(rng, l->vmas);
	const unsigned int last = (unsigned int)rng_between(rng, first, l->vmas - 1);
	const struct samara_geometry *geo = &l->s.machine.geo;
	const unsigned long old_start = l->vma[first].start, old_end = l->vma[last].end;
	unsigned long start = old_start, end = old_end, floor, ceiling;
	struct table_list gone = { NULL };
	struct layout before;

	if (rng_one_in(rng, 3))
		start += rng_below(rng, (l->vma[first].end - start) / PAGE) * PAGE;
	if (rng_one_in(rng, 3))
		end -= rng_below(rng, (end - max(start, l->vma[last].start)) / PAGE) * PAGE;
	floor = start > old_start ? start : first ? l->vma[first - 1].end : geo->first_user_addr;
	ceiling = end < old_end      ? end :
		  last + 1 < l->vmas ? l->vma[last + 1].start :
				       geo->table_ceiling;
	snprintf(l->text, sizeof(l->text), "free [%#lx, %#lx), floor %#lx, ceiling %#lx", start,
		 end, floor, ceiling);
	before = *l;
	/* Rebuild the list of VMAs without the range. */
	l->vmas = first;
	if (start > old_start) {
		l->vma[l->vmas].start = old_start;
		l->vma[l->vmas++].end = start;
	}
	if (end < old_end) {
		l->vma[l->vmas].start = end;
		l->vma[l->vmas++].end = old_end;
	}
	assert_true(before.vmas < VMAS_MAX);
	for (unsigned int i = last + 1; i < before.vmas; i++)
		l->vma[l->vmas++] = before.vma[i];
	table_free_range(l->s.mm, start, end, floor, ceiling, &gone);
	table_list_free(&gone);
}

static void compare(struct layout *l, uint64_t seed)
{
	struct place now[TABLES];
	unsigned int n = 0, i = 0;

	list_tables(&l->s.machine.geo, l->s.mm->tables.pgd, now, &n);
	for (unsigned int k = 0; k < l->tables; k++) {
		const struct place *was = &l->table[k];
		const bool is = i < n && now[i].level == was->level && now[i].base == was->base;

		if (is != still_wanted(l, was)) {
			test_replay(seed);
			fail_msg("%s: level %u at %#lx %s", l->text, was->level, was->base,
				 is ? "stays, and nobody wants it" : "is gone, and is wanted");
		}
		i += is;
	}
	assert_int_equal(i, n);
	assert_int_equal(pgtable_validate(l->s.mm, NULL), 0);
}

static void random_layouts(const struct samara_geometry *geo, struct rng *rng)
{
	const uint64_t seed = test_seed();
	struct layout l = { .vmas = 0 };

	space_up(&l.s, geo);
	map_some(&l, rng);
	must_get(l.s.mm, l.vma[0].start);
	while (l.vmas) {
		l.tables = 0;
		list_tables(geo, l.s.mm->tables.pgd, l.table, &l.tables);
		unmap_some(&l, rng);
		compare(&l, seed);
	}
	space_down(&l.s);
}

static void every_table_with_a_live_neighbour_stays_and_no_other(void **state)
{
	/* level_bits, levels, pages of the task, first user page, pages to the ceiling or 0 */
	static const unsigned int shape[][5] = {
		{ 2, 3, 64, 0, 0 },    { 2, 4, 255, 0, 0 },   { 1, 6, 64, 0, 0 },
		{ 2, 3, 64, 2, 64 },   { 2, 4, 240, 5, 240 }, { 3, 3, 511, 0, 0 },
		{ 2, 4, 250, 1, 250 }, { 1, 5, 31, 3, 31 },
	};
	const unsigned long rounds = 4000 / test_slowdown() + 10;
	struct rng rng;

	(void)state;
	rng_init(&rng, test_seed());
	for (unsigned long round = 0; round < rounds * (test_full() ? 50 : 1); round++) {
		const unsigned int *is = shape[round % ARRAY_SIZE(shape)];
		struct samara_geometry geo = *samara_geometry_x86_64();

		geo.level_bits = is[0];
		geo.levels = is[1];
		geo.task_size = geo.map_window = geo.low_start = geo.low_end = is[2] * PAGE;
		geo.first_user_addr = geo.map_min_addr = is[3] * PAGE;
		geo.table_ceiling = is[4] * PAGE;
		random_layouts(&geo, &rng);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lone_range_takes_all_but_the_root),
		cmocka_unit_test(what_is_no_table_of_the_range_stays),
		cmocka_unit_test(tables_shared_with_a_neighbour_stay),
		cmocka_unit_test(a_range_over_many_tables_keeps_both_ends),
		cmocka_unit_test(a_ceiling_at_the_task_size_is_as_good_as_0),
		cmocka_unit_test(a_ceiling_within_the_first_table_keeps_it),
		cmocka_unit_test(every_table_with_a_live_neighbour_stays_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
