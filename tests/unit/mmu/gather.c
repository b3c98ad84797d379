/* SPDX-License-Identifier: MIT */
/*
 * mmu_gather: nothing is freed before the flush, nothing is lost when a batch cannot be had, and
 * what a delayed page is for.
 */
#include "space.h"

#include "mmu/gather.h"

#define AT (1UL << 40)
#define WRITABLE (PTE_WRITE | PTE_DIRTY)

struct zapper {
	struct space s;
	struct ram *ram;
	struct mmu_gather tlb;
	struct samara_cpu *cpu;
	unsigned long live;
};

static int up(void **state)
{
	static struct zapper z;
	const struct ram_config config = { .bytes = 16UL << 20, .page_shift = 12 };

	memset(&z, 0, sizeof(z));
	z.live = samara_live_objects();
	assert_int_equal(ram_create(&config, &z.ram), 0);
	space_up(&z.s, samara_geometry_x86_64());
	z.s.machine.ram = z.ram;
	assert_int_equal(samara_cpu_create(&z.s.machine, &z.cpu), 0);
	samara_cpu_run(z.cpu, z.s.mm);
	*state = &z;
	return 0;
}

static int down(void **state)
{
	struct zapper *z = *state;
	struct samara_report report = { 0 };
	struct ram_stats stats;

	samara_cpu_destroy(z->cpu);
	space_down(&z->s);
	ram_stats(z->ram, &stats);
	assert_int_equal(stats.free + stats.cached, stats.frames);
	assert_int_equal(ram_validate(z->ram, &report), 0);
	ram_destroy(z->ram);
	assert_int_equal(samara_live_objects(), z->live);
	return 0;
}

/* A new page at addr, which the CPU knows. */
static struct folio *map_page(struct zapper *z, unsigned long addr)
{
	struct folio *folio = folio_alloc(z->ram, 0, FOLIO_ZEROED);
	struct table *leaf = must_get(z->s.mm, addr);
	pte_t pte;

	assert_non_null(folio);
	assert_true(folio_try_ref_to_map(folio));
	pte = pte_with(mk_pte(folio_pfn(z->ram, folio), VM_READ | VM_WRITE), WRITABLE);
	table_lock(leaf);
	table_fill(leaf, table_pte(z->s.mm, leaf, addr), pte);
	tlb_fill(z->cpu, z->s.mm, addr, pte);
	table_unlock(leaf);
	return folio;
}

/* The entry goes to the gather. */
static bool zap_page(struct zapper *z, unsigned long addr, enum gather_when when)
{
	struct table *leaf = table_find(z->s.mm, addr);
	bool full;
	pte_t old;

	table_lock(leaf);
	old = table_clear(leaf, table_pte(z->s.mm, leaf, addr));
	full = tlb_remove_folio(&z->tlb, pfn_folio(z->ram, pte_pfn(old)), addr, when);
	tlb_flush_delayed(&z->tlb);
	table_unlock(leaf);
	return full;
}

static char *cpu_at(struct zapper *z, unsigned long addr)
{
	return samara_cpu_lookup(z->cpu, addr, SAMARA_ACCESS_WRITE);
}

/* What was flushed is not flushed again: a CPU may know other pages there by then. */
static void a_flush_takes_what_was_gathered_since_the_last(void **state)
{
	struct zapper *z = *state;

	map_page(z, AT);
	map_page(z, AT + 20 * PAGE);
	tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_RANGE);
	zap_page(z, AT, GATHER_LATER);
	tlb_flush_mmu(&z->tlb);
	map_page(z, AT);
	map_page(z, AT + 9 * PAGE);
	zap_page(z, AT + 20 * PAGE, GATHER_LATER);
	tlb_flush_mmu(&z->tlb);
	assert_non_null(cpu_at(z, AT));
	assert_non_null(cpu_at(z, AT + 9 * PAGE));
	assert_null(cpu_at(z, AT + 20 * PAGE));
	zap_page(z, AT + 9 * PAGE, GATHER_LATER);
	tlb_flush_mmu(&z->tlb);
	assert_non_null(cpu_at(z, AT));
	assert_null(cpu_at(z, AT + 9 * PAGE));
	zap_page(z, AT, GATHER_LATER);
	tlb_finish_mmu(&z->tlb);
}

static void a_page_is_freed_after_the_flush(void **state)
{
	struct zapper *z = *state;
	struct folio *a = map_page(z, AT), *b = map_page(z, AT + 7 * PAGE);

	folio_get(b); /* somebody else's */
	map_page(z, AT + 9 * PAGE);
	tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_RANGE);
	assert_false(zap_page(z, AT, GATHER_LATER));
	assert_false(zap_page(z, AT + 7 * PAGE, GATHER_LATER));
	assert_int_equal(folio_maps(a), 1);
	assert_non_null(cpu_at(z, AT));
	tlb_flush_mmu(&z->tlb);
	assert_int_equal(folio_count(a), 0);
	assert_int_equal(folio_refs(b), 1);
	assert_int_equal(folio_maps(b), 0);
	assert_null(cpu_at(z, AT));
	assert_null(cpu_at(z, AT + 7 * PAGE));
	assert_non_null(cpu_at(z, AT + 9 * PAGE)); /* out of the range */
	folio_put(z->ram, b);
	/* The gather goes on. */
	assert_false(zap_page(z, AT + 9 * PAGE, GATHER_LATER));
	assert_non_null(cpu_at(z, AT + 9 * PAGE));
	tlb_finish_mmu(&z->tlb);
	assert_null(cpu_at(z, AT + 9 * PAGE));
}

static void an_entry_without_a_folio_is_flushed_too(void **state)
{
	struct zapper *z = *state;
	struct table *leaf = must_get(z->s.mm, AT);
	const pte_t zero = pte_with(mk_pte(ZERO_FRAME, VM_READ), PTE_SPECIAL);

	set_entry(z->s.mm, AT, zero);
	table_lock(leaf);
	tlb_fill(z->cpu, z->s.mm, AT, zero);
	table_unlock(leaf);
	set_entry(z->s.mm, AT, pte_empty());
	tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_RANGE);
	tlb_remove_entry(&z->tlb, AT, PAGE);
	assert_non_null(samara_cpu_lookup(z->cpu, AT, SAMARA_ACCESS_READ));
	tlb_finish_mmu(&z->tlb);
	assert_null(samara_cpu_lookup(z->cpu, AT, SAMARA_ACCESS_READ));
}

static void tables_go_with_the_pages(void **state)
{
	struct zapper *z = *state;

	map_page(z, AT);
	tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_RANGE);
	assert_false(zap_page(z, AT, GATHER_LATER));
	table_free_range(z->s.mm, AT, AT + PAGE, 0, 0, &z->tlb.tables);
	assert_null(table_find(z->s.mm, AT));
	assert_non_null(z->tlb.tables.first);
	tlb_finish_mmu(&z->tlb);
	assert_null(z->tlb.tables.first);
}

/* One folio as often as wanted. */
static unsigned long add_until_full(struct zapper *z, struct folio *folio, unsigned long most)
{
	unsigned long n = 0;
	bool full = false;

	while (!full && n < most) {
		assert_true(folio_try_map(folio));
		full = tlb_remove_folio(&z->tlb, folio, AT, GATHER_LATER);
		n++;
	}
	return n;
}

static void a_gather_takes_no_more_than_its_limit(void **state)
{
	struct zapper *z = *state;
	struct folio *folio = folio_alloc(z->ram, 0, FOLIO_ZEROED);

	assert_non_null(folio);
	tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_RANGE);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(add_until_full(z, folio, 2 * GATHER_MAX), GATHER_MAX);
		assert_int_equal(folio_maps(folio), GATHER_MAX);
		tlb_flush_mmu(&z->tlb);
		assert_int_equal(folio_maps(folio), 0);
		/* The second time the batches are there already. */
		samara_inject_from(1);
	}
	samara_inject_from(0);
	tlb_finish_mmu(&z->tlb);
	folio_put(z->ram, folio);
}

static void a_refused_batch_makes_the_flush_earlier(void **state)
{
	struct zapper *z = *state;
	struct folio *folio = folio_alloc(z->ram, 0, FOLIO_ZEROED);

	assert_non_null(folio);
	for (unsigned long nth = 1; nth <= 5; nth++) {
		const unsigned long room = GATHER_LOCAL + (nth - 1) * GATHER_BATCH;

		tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_RANGE);
		assert_int_equal(samara_inject_site("gather_batch", nth), 0);
		assert_int_equal(add_until_full(z, folio, GATHER_MAX), room);
		assert_int_equal(folio_maps(folio), room);
		tlb_flush_mmu(&z->tlb);
		assert_int_equal(folio_maps(folio), 0);
		/* Memory is back. */
		assert_int_equal(add_until_full(z, folio, room + 1), room + 1);
		tlb_finish_mmu(&z->tlb);
		assert_int_equal(folio_maps(folio), 0);
	}
	assert_int_equal(samara_inject_site("gather_batch", 0), 0);
	folio_put(z->ram, folio);
}

static void a_dying_mm_needs_no_flush(void **state)
{
	struct zapper *z = *state;
	struct folio *folio = map_page(z, AT);
	unsigned long flushes;

	tlb_mm_exit(z->s.mm);
	flushes = z->cpu->flushes;
	tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_FULLMM);
	assert_false(zap_page(z, AT, GATHER_DELAYED));
	tlb_finish_mmu(&z->tlb);
	assert_int_equal(folio_count(folio), 0);
	assert_int_equal(z->cpu->flushes, flushes);
}

/*
 * A shared dirty page of a file is unmapped; write-back comes between the table's lock and the
 * gather's flush, and cleans the page; then a CPU stores through what its TLB remembers. Returns
 * whether the store is in memory only, with nothing left that says so.
 */
static bool store_is_lost(struct zapper *z)
{
	struct folio *folio = map_page(z, AT);
	char disk, *p;
	bool lost;

	folio_get(folio); /* the page cache's */
	tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_RANGE);
	folio_set(folio, FOLIO_DIRTY); /* from the entry */
	(void)zap_page(z, AT, GATHER_DELAYED);

	assert_true(folio_test_clear(folio, FOLIO_DIRTY));
	disk = *(char *)folio_virt(z->ram, folio);

	samara_cpu_enter(z->cpu);
	p = cpu_at(z, AT);
	if (p)
		*p = 'x';
	samara_cpu_exit(z->cpu);

	tlb_finish_mmu(&z->tlb);
	lost = disk != *(char *)folio_virt(z->ram, folio) && !folio_test(folio, FOLIO_DIRTY);
	folio_put(z->ram, folio);
	return lost;
}

static void a_store_between_unmapping_and_flush_is_lost_but_for_the_delay(void **state)
{
	assert_false(store_is_lost(*state));
#ifdef SAMARA_DEBUG
	bool without;

	gather_no_delay = true;
	without = store_is_lost(*state);
	gather_no_delay = false;
	assert_true(without);
#endif
}

/* A CPU that is inside keeps its page: frees come after the wait. */
struct visitor {
	struct zapper *z;
	struct folio *folio;
	unsigned long maps; /* when the entry had gone from the TLB */
	int inside;
};

static void *visit(void *arg)
{
	struct visitor *v = arg;

	samara_cpu_run(v->z->cpu, v->z->s.mm); /* takes it over */
	samara_cpu_enter(v->z->cpu);
	smp_store_release(&v->inside, 1);
	while (cpu_at(v->z, AT))
		cpu_relax();
	for (int i = 0; i < 20000; i++)
		cpu_relax();
	v->maps = folio_maps(v->folio);
	samara_cpu_exit(v->z->cpu);
	return NULL;
}

static void a_page_in_use_inside_a_section_is_not_freed(void **state)
{
	struct zapper *z = *state;
	struct visitor v = { .z = z };
	pthread_t thread;

	v.folio = map_page(z, AT);
	assert_int_equal(pthread_create(&thread, NULL, visit, &v), 0);
	while (!smp_load_acquire(&v.inside))
		cpu_relax();
	tlb_gather_mmu(&z->tlb, z->s.mm, GATHER_RANGE);
	assert_false(zap_page(z, AT, GATHER_LATER));
	tlb_finish_mmu(&z->tlb);
	assert_int_equal(folio_count(v.folio), 0);
	pthread_join(thread, NULL);
	assert_int_equal(v.maps, 1);
	samara_cpu_run(z->cpu, z->s.mm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_flush_takes_what_was_gathered_since_the_last, up,
						down),
		cmocka_unit_test_setup_teardown(a_page_is_freed_after_the_flush, up, down),
		cmocka_unit_test_setup_teardown(an_entry_without_a_folio_is_flushed_too, up, down),
		cmocka_unit_test_setup_teardown(tables_go_with_the_pages, up, down),
		cmocka_unit_test_setup_teardown(a_gather_takes_no_more_than_its_limit, up, down),
		cmocka_unit_test_setup_teardown(a_refused_batch_makes_the_flush_earlier, up, down),
		cmocka_unit_test_setup_teardown(a_dying_mm_needs_no_flush, up, down),
		cmocka_unit_test_setup_teardown(
			a_store_between_unmapping_and_flush_is_lost_but_for_the_delay, up, down),
		cmocka_unit_test_setup_teardown(a_page_in_use_inside_a_section_is_not_freed, up,
						down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
