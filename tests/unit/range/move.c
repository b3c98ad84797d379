/* SPDX-License-Identifier: MIT */
/*
 * Entries at another place.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/page_world.h"
#include "support/random.h"

/* What mremap makes of from: the same pages of the family, at another place. */
static struct vma *moved(struct world *w, struct vma *from, unsigned long at)
{
	struct vma *to =
		world_vma_in(w, from->vm_mm, PG(at), PG(at) + vma_size(from), from->vm_flags);

	to->vm_pgoff = from->vm_pgoff;
	assert_int_equal(anon_vma_clone(to, from, NULL), 0);
	return to;
}

static void entries_arrive_as_they_were(void **state)
{
	struct world *w = *state;
	struct vma *from = world_vma(w, 100, 700, VM_RW, NULL), *to;
	struct folio *folio = put_anon(from, 511, 7);
	const unsigned long index = folio->index;
	struct move_desc d = { .from = from, .old_addr = PG(100), .len = 600 * WORLD_PAGE };
	pte_t before;

	put_anon(from, 512, 1);
	put_zero(from, 513);
	put_marker(from, 514, MARKER_GUARD);
	before = pte_of(w->mm[0], 511);
	to = d.to = moved(w, from, 2000);
	d.new_addr = PG(2000);
	assert_int_equal(move_prepare(&d), 0);
	move_page_tables(&d);
	assert_true(pte_same(pte_of(w->mm[0], 2411), pte_with(before, PTE_SOFT_DIRTY)));
	assert_true(pte_special(pte_of(w->mm[0], 2413)));
	assert_int_equal(pte_marker(pte_of(w->mm[0], 2414)), MARKER_GUARD);
	for (unsigned long n = 100; n < 700; n++)
		assert_true(pte_none(pte_of(w->mm[0], n)));
	/* The reverse mapping's arithmetic holds at the new place. */
	assert_int_equal(folio->index, index);
	assert_int_equal(to->vm_start + (index - to->vm_pgoff) * WORLD_PAGE, PG(2411));
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 2);
	assert_world(w);
}

static void a_move_within_one_leaf_takes_one_lock(void **state)
{
	struct world *w = *state;
	struct vma *from = world_vma(w, 0, 4, VM_RW, NULL);
	struct move_desc d = { .from = from, .old_addr = PG(0), .len = 4 * WORLD_PAGE };
	struct folio *folio = put_anon(from, 3, 7);

	d.to = moved(w, from, 100);
	d.new_addr = PG(100);
	assert_int_equal(move_prepare(&d), 0);
	move_page_tables(&d);
	assert_ptr_equal(folio_of(w->mm[0], 103), folio);
	assert_int_equal(w->mm[0]->tables.nr, 4);
	assert_world(w);
}

static void a_moved_page_is_flushed_from_the_old_place(void **state)
{
	struct world *w = *state;
	struct vma *from = world_vma(w, 0, 4, VM_RW, NULL);
	struct move_desc d = { .from = from, .old_addr = PG(0), .len = 4 * WORLD_PAGE };
	struct samara_cpu *cpu;
	struct table *leaf;

	put_anon(from, 1, 1);
	assert_int_equal(samara_cpu_create(&w->machine, &cpu), 0);
	samara_cpu_run(cpu, w->mm[0]);
	leaf = table_find(w->mm[0], PG(1));
	table_lock(leaf);
	tlb_fill(cpu, w->mm[0], PG(1), pte_of(w->mm[0], 1));
	table_unlock(leaf);
	d.to = moved(w, from, 600);
	d.new_addr = PG(600);
	assert_int_equal(move_prepare(&d), 0);
	assert_non_null(samara_cpu_lookup(cpu, PG(1), SAMARA_ACCESS_READ));
	move_page_tables(&d);
	assert_null(samara_cpu_lookup(cpu, PG(1), SAMARA_ACCESS_READ));
	samara_cpu_destroy(cpu);
}

/*
 * The second part's new place makes the table of the first part's old place, where nothing is, and
 * the first part's new place has no table. Another mapping's fault may come between the two steps.
 *
 *   leaf 0     leaf 1                                    leaf 2
 *                         other
 *                         610..620   700..1024 (old)     1024..1100 (old)
 *   200..512   512..600 (new)
 */
static void a_part_without_pages_whose_table_is_new(void **state)
{
	struct world *w = *state;
	struct vma *from = world_vma(w, 700, 1100, VM_RW, NULL);
	struct vma *other = world_vma(w, 610, 620, VM_RW, NULL);
	struct move_desc d = { .from = from, .old_addr = PG(700), .len = 400 * WORLD_PAGE };
	struct folio *folio = put_anon(from, 1099, 7), *beside;

	assert_null(table_find(w->mm[0], PG(700)));
	d.to = moved(w, from, 200);
	d.new_addr = PG(200);
	assert_int_equal(move_prepare(&d), 0);
	assert_non_null(table_find(w->mm[0], PG(700)));
	assert_null(table_find(w->mm[0], PG(200)));
	beside = put_anon(other, 612, 8);
	move_page_tables(&d);
	assert_ptr_equal(folio_of(w->mm[0], 599), folio);
	assert_ptr_equal(folio_of(w->mm[0], 612), beside);
	assert_world(w);
}

#define RANDOM_PAGES 3000UL

static void random_moves_lose_nothing(void **state)
{
	struct world *w = *state;
	struct rng rng;

	rng_init(&rng, test_seed());
	for (int round = 0; round < 30; round++) {
		const unsigned long from_page = rng_below(&rng, 2000);
		const unsigned long len = 1 + rng_below(&rng, RANDOM_PAGES);
		const unsigned long to_page = 6000 + rng_below(&rng, 2000);
		struct vma *from = world_vma(w, from_page, from_page + len, VM_RW, NULL), *to;
		struct move_desc d = { .from = from };
		unsigned long pages = 0;

		world_anon_vma(from);
		to = d.to = moved(w, from, to_page);
		d.old_addr = PG(from_page);
		d.new_addr = PG(to_page);
		d.len = len * WORLD_PAGE;
		for (unsigned long n = 0; n < len; n += 1 + rng_below(&rng, 400), pages++)
			put_anon(from, from_page + n, (int)n);
		assert_int_equal(move_prepare(&d), 0);
		move_page_tables(&d);
		for (unsigned long n = 0; n < len; n++) {
			const pte_t pte = pte_of(w->mm[0], to_page + n);

			assert_true(pte_none(pte_of(w->mm[0], from_page + n)));
			if (pte_none(pte))
				continue;
			pages--;
			assert_int_equal(*(unsigned char *)pfn_to_virt(w->ram, pte_pfn(pte)),
					 n & 0xff);
		}
		if (pages)
			test_replay(test_seed());
		assert_int_equal(pages, 0);
		assert_world(w);
		world_vma_gone(w, from);
		world_vma_gone(w, to);
	}
}

/* Empty tables between two places where nothing else is. */
static void drop_tables(struct world *w, unsigned long from, unsigned long to)
{
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, w->mm[0], GATHER_RANGE);
	free_pgtables(&(struct free_desc){
		.tlb = &tlb, .start = PG(from), .end = PG(to), .floor = PG(512), .ceiling = 0 });
	tlb_finish_mmu(&tlb);
}

static void a_refusal_moves_nothing(void **state)
{
	struct world *w = *state;
	struct vma *from = world_vma(w, 0, 1500, VM_RW, NULL);
	struct move_desc d = { .from = from, .old_addr = PG(0), .len = 1500 * WORLD_PAGE };
	unsigned long tables, nth;

	for (unsigned long n = 0; n < 1500; n += 100)
		put_anon(from, n, 1);
	tables = w->mm[0]->tables.nr;
	d.new_addr = PG(300000) + 1024 * WORLD_PAGE;
	d.to = moved(w, from, 301024);
	for (nth = 1;; nth++) {
		int err;

		samara_inject_nth(nth);
		err = move_prepare(&d);
		samara_inject_nth(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_true(pte_present(pte_of(w->mm[0], 1400)));
		assert_world(w);
		/* What mremap does next: the new mapping goes, and its tables with it. */
		drop_tables(w, 301024, 302524);
		assert_int_equal(w->mm[0]->tables.nr, tables);
	}
	assert_true(nth > 3);
	move_page_tables(&d);
	assert_true(pte_present(pte_of(w->mm[0], 302424)));
	assert_world(w);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(entries_arrive_as_they_were),
		test(a_move_within_one_leaf_takes_one_lock),
		test(a_part_without_pages_whose_table_is_new),
		test(a_moved_page_is_flushed_from_the_old_place),
		test(random_moves_lose_nothing),
		test(a_refusal_moves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
