/* SPDX-License-Identifier: MIT */
/*
 * Pages that come back from a swap area.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include <samara/cpu.h>

#include "support/advice.h"
#include "support/cmocka_all.h"

#include "frame/vm_event.h"
#include "support/paged_out.h"

#define RW (PROT_READ | PROT_WRITE)
#define RAM (4UL << 20)
#define SLOTS 4096UL

PAGED_FIXTURE(m, p, RAM, SLOTS);

static unsigned long long major_faults(void)
{
	return vm_event_sum(m.machine->ram, PGMAJFAULT);
}

static void a_page_comes_back_with_its_bytes(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);

	(void)state;
	assert_true(swp_value(mem_pte(&m, addr)) & SWP_EXCLUSIVE);
	assert_int_equal(paged_swap_ents(m.mm), 1);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 0);
	assert_int_equal(paged_get(m.mm, addr), 7);
	assert_int_equal(major_faults(), 1);
	assert_int_equal(paged_swap_ents(m.mm), 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	/* It is this process's alone, so it is writable at once; and clean, so its slot is kept. */
	assert_true(pte_write(mem_pte(&m, addr)) && !pte_dirty(mem_pte(&m, addr)));
	assert_true(folio_test(mem_folio(&m, addr), FOLIO_EXCLUSIVE));
	assert_true(folio_test(mem_folio(&m, addr), FOLIO_SWAPCACHE));
	assert_int_equal(paged_used(&p), 1);
	/* Out again: nothing has to be written. */
	assert_int_equal(p.disk.writes, 1);
	assert_int_equal(page_out(&p, addr, PAGED_DROP), 0);
	assert_int_equal(p.disk.writes, 1);
	assert_int_equal(paged_get(m.mm, addr), 7);
	/* Written to through the entry: it has to be. */
	paged_put(m.mm, addr, 8);
	assert_int_equal(page_out(&p, addr, PAGED_DROP), 0);
	assert_int_equal(p.disk.writes, 2);
	assert_int_equal(paged_get(m.mm, addr), 8);
}

static void a_page_in_the_cache_is_no_major_fault(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_KEEP);
	unsigned char there = 2;

	(void)state;
	assert_int_equal(samara_mincore(m.mm, addr, MEM_PAGE, &there), 0);
	assert_int_equal(there, 1);
	assert_int_equal(paged_get(m.mm, addr), 7);
	assert_int_equal(major_faults(), 0);
	assert_int_equal(page_out(&p, addr, PAGED_DROP), 0);
	assert_int_equal(samara_mincore(m.mm, addr, MEM_PAGE, &there), 0);
	assert_int_equal(there, 0);
}

static void a_write_gives_the_slot_back(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);

	(void)state;
	paged_put(m.mm, addr + 1, 8);
	assert_int_equal(paged_get(m.mm, addr), 7);
	assert_false(folio_test(mem_folio(&m, addr), FOLIO_SWAPCACHE));
	assert_true(folio_test(mem_folio(&m, addr), FOLIO_DIRTY));
	assert_int_equal(paged_used(&p), 0);
}

static void a_slot_is_given_back_once_half_are_used(void **state)
{
	unsigned long addr = mem_map(&m, SLOTS / 2 + 2, RW, MAP_PRIVATE, NULL);

	(void)state;
	for (unsigned long i = 0; i < SLOTS / 2 + 2; i++) {
		paged_put(m.mm, addr + i * MEM_PAGE, (unsigned char)i);
		assert_int_equal(page_out(&p, addr + i * MEM_PAGE, PAGED_DROP), 0);
	}
	assert_int_equal(paged_get(m.mm, addr + 9 * MEM_PAGE), 9);
	assert_false(folio_test(mem_folio(&m, addr + 9 * MEM_PAGE), FOLIO_SWAPCACHE));
}

static void rights_are_those_of_the_mapping(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	struct samara_fault fault;
	unsigned char byte = 1;

	(void)state;
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_READ), 0);
	assert_int_equal(paged_get(m.mm, addr), 7);
	assert_false(pte_write(mem_pte(&m, addr)));
	assert_int_equal(samara_write(m.mm, addr, &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGSEGV);
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, RW), 0);
	paged_put(m.mm, addr, 9);
	assert_int_equal(page_out(&p, addr, PAGED_DROP), 0);
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_NONE), 0);
	assert_int_equal(samara_read(m.mm, addr, &byte, 1, &fault), 0);
	assert_int_equal(fault.code, SEGV_ACCERR);
	assert_int_equal(paged_swap_ents(m.mm), 1);
}

/* fork ------------------------------------------------------------------------------- */

static void a_shared_page_is_copied_by_writes_but_for_the_last(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(paged_swap_ents(child), 1);
	assert_false(swp_value(mem_pte(&m, addr)) & SWP_EXCLUSIVE);
	paged_put(child, addr, 8);
	assert_int_equal(paged_get(m.mm, addr), 7);
	assert_int_equal(paged_get(child, addr), 8);
	assert_false(pte_write(mem_pte(&m, addr)));
	/* The child's copy left the parent alone with page and slot. */
	paged_put(m.mm, addr, 9);
	assert_int_equal(paged_get(child, addr), 8);
	assert_int_equal(paged_used(&p), 0);
	samara_mm_exit(child);
}

static void a_page_that_another_entry_names_is_not_reused(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	struct samara_mm *child;
	struct folio *folio;

	(void)state;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(paged_get(m.mm, addr), 7);
	folio = mem_folio(&m, addr);
	paged_put(m.mm, addr, 9);
	assert_ptr_not_equal(mem_folio(&m, addr), folio);
	assert_int_equal(paged_get(child, addr), 7);
	samara_mm_exit(child);
}

static void all_who_share_a_page_get_one_frame(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	struct samara_mm *child, *grandchild;

	(void)state;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(samara_fork(child, &grandchild), 0);
	assert_int_equal(paged_get(grandchild, addr), 7);
	assert_int_equal(paged_get(child, addr), 7);
	assert_int_equal(paged_get(m.mm, addr), 7);
	assert_int_equal(folio_maps(mem_folio(&m, addr)), 3);
	/* And out of all three again: their one family has them. */
	assert_int_equal(page_out(&p, addr, PAGED_DROP), 0);
	assert_int_equal(paged_swap_ents(child) + paged_swap_ents(grandchild), 2);
	samara_mm_exit(child);
	assert_int_equal(paged_get(grandchild, addr), 7);
	samara_mm_exit(grandchild);
	assert_int_equal(paged_get(m.mm, addr), 7);
}

static void a_page_that_exits_leaves_the_cache(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(samara_munmap(m.mm, addr, MEM_PAGE), 0);
	assert_int_equal(paged_get(child, addr),
			 7); /* mapped and in the cache, no entry names it */
	assert_int_equal(paged_used(&p), 1);
	samara_mm_exit(child);
	assert_int_equal(paged_used(&p), 0);
}

/* other doors ------------------------------------------------------------------------- */

static void pins_and_locks_bring_pages_back(void **state)
{
	unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	struct samara_pin pin;

	(void)state;
	assert_int_equal(samara_pin_pages(m.mm, addr, 1, 0, &pin), 1);
	assert_int_equal(*(unsigned char *)pin.host, 7);
	/* What is pinned and alone stays, and so does what is locked. */
	assert_int_equal(page_out(&p, addr, PAGED_DROP), -EBUSY);
	assert_true(pte_present(mem_pte(&m, addr)));
	assert_true(folio_test(mem_folio(&m, addr), FOLIO_EXCLUSIVE));
	*(unsigned char *)pin.host = 8;
	samara_unpin_pages(&pin, 1, 1);
	assert_int_equal(page_out(&p, addr, PAGED_DROP), 0);
	assert_int_equal(samara_mlock(m.mm, addr, MEM_PAGE), 0);
	assert_true(pte_present(mem_pte(&m, addr)));
	assert_int_equal(paged_used(&p), 0);
	assert_int_equal(page_out(&p, addr, PAGED_DROP), -EBUSY);
	assert_int_equal(samara_munlock(m.mm, addr, MEM_PAGE), 0);
	assert_int_equal(page_out(&p, addr, PAGED_DROP), 0);
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_POPULATE_WRITE), 0);
	assert_true(pte_dirty(mem_pte(&m, addr)));
	assert_int_equal(paged_get(m.mm, addr), 8);
}

static void a_cpu_finds_what_was_paged_out(void **state)
{
	const unsigned long addr = paged_new(&p, 7);
	struct samara_fault fault;
	struct samara_cpu *cpu;
	unsigned char *host;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	samara_cpu_enter(cpu);
	host = samara_cpu_miss(cpu, addr, SAMARA_ACCESS_WRITE, &fault);
	assert_non_null(host);
	*host = 8;
	samara_cpu_exit(cpu);
	assert_int_equal(page_out(&p, addr, PAGED_DROP), 0);
	samara_cpu_enter(cpu);
	assert_null(samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_READ));
	host = samara_cpu_miss(cpu, addr, SAMARA_ACCESS_READ, &fault);
	assert_non_null(host);
	assert_int_equal(*host, 8);
	samara_cpu_exit(cpu);
	samara_cpu_destroy(cpu);
}

static void a_moved_page_comes_back_at_its_new_place(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	const unsigned long to = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(samara_mremap(m.mm, addr, MEM_PAGE, MEM_PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, to),
			 to);
	assert_int_equal(paged_get(m.mm, to), 7);
	assert_int_equal(page_out(&p, to, PAGED_DROP), 0);
	assert_int_equal(paged_get(m.mm, to), 7);
}

/* whole lives -------------------------------------------------------------------------- */

static void four_times_the_memory_comes_back(void **state)
{
	const unsigned long pages = 4 * RAM / MEM_PAGE - SLOTS / 16;
	const unsigned long addr = mem_map(&m, pages, RW, MAP_PRIVATE, NULL);

	(void)state;
	for (unsigned long round = 1; round <= 2; round++) {
		for (unsigned long i = 0; i < pages; i++) {
			const unsigned long at = addr + i * MEM_PAGE, value = i * 3 + round;
			unsigned long was = 0;

			assert_int_equal(samara_read(m.mm, at, &was, sizeof(was), NULL),
					 sizeof(was));
			assert_int_equal(was, round == 1 ? 0 : i * 3 + 1);
			assert_int_equal(samara_write(m.mm, at, &value, sizeof(value), NULL),
					 sizeof(value));
			assert_int_equal(page_out(&p, at, PAGED_DROP), 0);
		}
		assert_int_equal(paged_swap_ents(m.mm), pages);
	}
	assert_int_equal(samara_munmap(m.mm, addr, pages * MEM_PAGE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_page_comes_back_with_its_bytes),
		TEST(a_page_in_the_cache_is_no_major_fault),
		TEST(a_write_gives_the_slot_back),
		TEST(a_slot_is_given_back_once_half_are_used),
		TEST(rights_are_those_of_the_mapping),
		TEST(a_shared_page_is_copied_by_writes_but_for_the_last),
		TEST(a_page_that_another_entry_names_is_not_reused),
		TEST(all_who_share_a_page_get_one_frame),
		TEST(a_page_that_exits_leaves_the_cache),
		TEST(pins_and_locks_bring_pages_back),
		TEST(a_cpu_finds_what_was_paged_out),
		TEST(a_moved_page_comes_back_at_its_new_place),
		TEST(four_times_the_memory_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
