/* SPDX-License-Identifier: MIT */
/*
 * Pages in the swap cache move and keep their slot; a bad frame is found by swap entries, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include <samara/reclaim.h>

#include "frame/pfn.h"
#include "support/cmocka_all.h"
#include "support/paged_out.h"

PAGED_FIXTURE(m, p, 1UL << 20, 64);

/* The folio of a swap entry, which is in the cache. */
static struct folio *cached(struct samara_mm *mm, unsigned long addr)
{
	const struct mem o = { .machine = m.machine, .mm = mm };
	struct folio *folio = swap_cache_find(m.machine->store, pte_swap_entry(mem_pte(&o, addr)));

	assert_non_null(folio);
	folio_put(m.machine->ram, folio);
	return folio;
}

static void moves(struct folio *folio)
{
	struct ram *ram = m.machine->ram;
	struct folio *to = folio_alloc(ram, 0, FOLIO_RAW);
	const bool listed = lru_isolate_folio(ram, folio);

	(void)listed;
	assert_non_null(to);
	folio_get(folio);
	assert_int_equal(folio_migrate(m.machine->store, folio, to), 0);
	lru_add(ram, to);
	folio_put(ram, to);
	folio_put(ram, folio);
}

static void a_page_that_nothing_maps_moves_in_the_cache(void **state)
{
	const unsigned long a = paged_out(&p, 7, PAGED_KEEP);
	struct folio *folio = cached(m.mm, a);

	(void)state;
	moves(folio);
	assert_ptr_not_equal(cached(m.mm, a), folio);
	assert_int_equal(paged_get(m.mm, a), 7);
	paged_put(m.mm, a, 8);
	assert_int_equal(page_out(&p, a, PAGED_DROP), 0);
	assert_int_equal(paged_get(m.mm, a), 8);
}

/* One process has read it in, the other one's entry names the slot still. */
static void a_page_that_some_map_moves_for_all(void **state)
{
	const unsigned long a = paged_new(&p, 7);
	struct samara_mm *child;
	struct folio *folio;

	(void)state;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(page_out(&p, a, PAGED_KEEP), 0);
	assert_int_equal(paged_get(m.mm, a), 7);
	folio = mem_folio(&m, a);
	assert_true(folio_test(folio, FOLIO_SWAPCACHE));
	assert_ptr_equal(cached(child, a), folio);
	moves(folio);
	assert_ptr_not_equal(mem_folio(&m, a), folio);
	assert_ptr_equal(cached(child, a), mem_folio(&m, a));
	assert_int_equal(paged_get(child, a), 7);
	paged_put(child, a, 9);
	assert_int_equal(paged_get(m.mm, a), 7);
	assert_int_equal(paged_get(child, a), 9);
	samara_mm_exit(child);
}

static void assert_lost(struct samara_mm *mm, unsigned long addr)
{
	struct samara_fault fault;
	char c;

	assert_int_equal(samara_read(mm, addr, &c, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(fault.code, BUS_MCEERR_AR);
}

static void a_bad_page_is_lost_to_swap_entries(void **state)
{
	const unsigned long a = paged_new(&p, 7);
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(page_out(&p, a, PAGED_KEEP), 0);
	assert_int_equal(paged_get(m.mm, a), 7);
	assert_int_equal(samara_memory_failure(m.machine,
					       folio_pfn(m.machine->ram, mem_folio(&m, a)), 0),
			 0);
	assert_lost(m.mm, a);
	assert_lost(child, a);
	samara_mm_exit(child);
	assert_int_equal(paged_used(&p), 0);
}

static void a_bad_page_whose_slot_has_its_bytes_is_read_again(void **state)
{
	const unsigned long a = paged_out(&p, 7, PAGED_KEEP);
	const unsigned long pfn = folio_pfn(m.machine->ram, cached(m.mm, a));

	(void)state;
	assert_int_equal(samara_memory_failure(m.machine, pfn, 0), 0);
	assert_true(ram_is_poisoned(m.machine->ram, pfn));
	assert_int_equal(paged_get(m.mm, a), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_page_that_nothing_maps_moves_in_the_cache),
		TEST(a_page_that_some_map_moves_for_all),
		TEST(a_bad_page_is_lost_to_swap_entries),
		TEST(a_bad_page_whose_slot_has_its_bytes_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
