/* SPDX-License-Identifier: MIT */
/*
 * A machine without a zero page (SAMARA_MACHINE_NO_ZERO_PAGE): whatever reads untouched anonymous
 * memory leaves a page of its own there. What the host does in the same place is asked by
 * tests/oracle/cases/reading_is_a_write_without_a_zero_page.case.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;

static int set_up(void **state)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	(void)state;
	cfg.ram_bytes = 1 << 20;
	cfg.flags = SAMARA_MACHINE_NO_ZERO_PAGE;
	mem_open_machine(&m, &cfg);
	return 0;
}

MEM_TEAR_DOWN(m);

/* addr shows n pages of the process's own, full of zeros, and no other frame is in use. */
static void assert_own(unsigned long addr, unsigned long n)
{
	static const unsigned char zeros[MEM_PAGE];

	for (unsigned long i = 0; i < n; i++) {
		struct folio *folio = mem_folio(&m, addr + i * MEM_PAGE);

		assert_non_null(folio);
		assert_true(folio_test(folio, FOLIO_ANON) && folio_test(folio, FOLIO_EXCLUSIVE));
		assert_int_equal(folio_maps(folio), 1);
		assert_memory_equal(mem_bytes(&m, addr + i * MEM_PAGE), zeros, MEM_PAGE);
	}
	assert_non_null(mem_vma(&m, addr)->anon_vma);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), n);
	assert_int_equal(mem_frames(&m), n);
}

static void a_read_fault_maps_a_page_that_may_be_written(void **state)
{
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	struct folio *folio;

	(void)state;
	assert_int_equal(mem_fault(&m, a + 17, 0), 0);
	assert_own(a, 1);
	folio = mem_folio(&m, a);
	assert_true(pte_write(mem_pte(&m, a)) && pte_dirty(mem_pte(&m, a)));
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
	assert_ptr_equal(mem_folio(&m, a), folio);
}

static void in_a_read_only_mapping_it_stays_clean(void **state)
{
	const unsigned long a = mem_map(&m, 1, PROT_READ, MAP_PRIVATE, NULL);
	struct folio *folio;

	(void)state;
	assert_int_equal(mem_fault(&m, a, 0), 0);
	assert_own(a, 1);
	assert_false(pte_write(mem_pte(&m, a)) || pte_dirty(mem_pte(&m, a)));
	/* Nobody else has it: a write that is allowed later reuses it. */
	folio = mem_folio(&m, a);
	assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, RW), 0);
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
	assert_ptr_equal(mem_folio(&m, a), folio);
}

static void the_first_read_asks_for_the_mmap_lock(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(mem_fault_vma_lock(&m, a, 0), VM_FAULT_RETRY);
	assert_int_equal(mem_frames(&m), 0);
	assert_int_equal(mem_fault(&m, a, 0), 0);
	assert_int_equal(mem_fault_vma_lock(&m, a + MEM_PAGE, 0), 0);
	assert_own(a, 2);
}

static void unsharing_nothing_leaves_a_page_of_its_own(void **state)
{
	const unsigned long a = mem_map(&m, 1, PROT_READ, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(mem_fault(&m, a, FAULT_UNSHARE), 0);
	assert_own(a, 1);
	assert_false(pte_write(mem_pte(&m, a)));
}

static void every_way_to_read_does_so(void **state)
{
	const unsigned long a = mem_map(&m, 7, PROT_READ | PROT_EXEC, MAP_PRIVATE, NULL);
	struct samara_pin pin[2];
	char c = 'x';

	(void)state;
	assert_int_equal(samara_read(m.mm, a, &c, 1, NULL), 1);
	assert_int_equal(c, 0);
	assert_int_equal(samara_touch(m.mm, a + MEM_PAGE, 1, PROT_READ), 0);
	assert_int_equal(samara_fetch(m.mm, a + 2 * MEM_PAGE, &c, 1, NULL), 1);
	assert_int_equal(samara_madvise(m.mm, a + 3 * MEM_PAGE, MEM_PAGE, MADV_POPULATE_READ), 0);
	assert_int_equal(samara_pin_pages(m.mm, a + 4 * MEM_PAGE, 1, 0, &pin[0]), 1);
	assert_int_equal(samara_pin_pages(m.mm, a + 5 * MEM_PAGE, 1, SAMARA_PIN_LONGTERM, &pin[1]),
			 1);
	assert_ptr_equal(pin[0].host, mem_bytes(&m, a + 4 * MEM_PAGE));
	assert_ptr_equal(pin[1].host, mem_bytes(&m, a + 5 * MEM_PAGE));
	assert_int_equal(samara_mlock(m.mm, a + 6 * MEM_PAGE, MEM_PAGE), 0);
	assert_own(a, 7);
	samara_unpin_pages(pin, 2, 0);
}

static void what_was_read_is_charged_and_merges_as_written_memory(void **state)
{
	const unsigned long a = mem_map(&m, 8, PROT_NONE, MAP_PRIVATE, NULL);
	struct samara_vma_info vma;
	char c;

	(void)state;
	assert_int_equal(samara_mprotect(m.mm, a, 4 * MEM_PAGE, RW), 0);
	assert_int_equal(samara_read(m.mm, a, &c, 1, NULL), 1);
	assert_int_equal(samara_mprotect(m.mm, a, 4 * MEM_PAGE, PROT_NONE), 0);
	assert_int_equal(samara_vma_next(m.mm, a, &vma), 0);
	assert_int_equal(vma.end, a + 4 * MEM_PAGE);
	assert_true(vma.flags & SAMARA_VM_ACCOUNT);
	assert_int_equal(samara_vma_next(m.mm, vma.end, &vma), 0);
	assert_false(vma.flags & SAMARA_VM_ACCOUNT);
}

static void fork_shares_what_was_read(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child;
	unsigned long long seen[2];
	char c;

	(void)state;
	assert_int_equal(samara_read(m.mm, a, &c, 1, NULL), 1);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(samara_pagemap(m.mm, a, 1, &seen[0]), 0);
	assert_int_equal(samara_pagemap(child, a, 1, &seen[1]), 0);
	assert_true(seen[0] == seen[1] && (seen[0] & SAMARA_PM_PRESENT));
	assert_false(seen[0] & SAMARA_PM_MMAP_EXCLUSIVE);
	assert_int_equal(mem_frames(&m), 1);
	assert_int_equal(samara_write(child, a, "b", 1, NULL), 1);
	assert_int_equal(mem_frames(&m), 2);
	assert_int_equal(samara_read(m.mm, a, &c, 1, NULL), 1);
	assert_int_equal(c, 0);
	samara_mm_exit(child);
}

static void pages_that_go_come_back_as_their_own(void **state)
{
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	unsigned long to;
	char buf[4 * MEM_PAGE];

	(void)state;
	assert_int_equal(samara_write(m.mm, a, "z", 1, NULL), 1);
	assert_int_equal(samara_madvise(m.mm, a, 4 * MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(mem_frames(&m), 0);
	assert_int_equal(samara_read(m.mm, a, buf, sizeof(buf), NULL), sizeof(buf));
	assert_own(a, 4);
	to = samara_mremap(m.mm, a, sizeof(buf), 8 * MEM_PAGE, MREMAP_MAYMOVE, 0);
	assert_false(SAMARA_IS_ERR_VALUE(to));
	assert_own(to, 4);
}

static void a_read_without_a_frame_left_is_out_of_memory(void **state)
{
	const unsigned long a = mem_map(&m, 300, RW, MAP_PRIVATE, NULL);
	unsigned long n = 0;
	char c;

	(void)state;
	while (samara_read(m.mm, a + n * MEM_PAGE, &c, 1, NULL) == 1)
		n++;
	assert_int_equal(n, 256);
	assert_int_equal(samara_read(m.mm, a + n * MEM_PAGE, &c, 1, NULL), -ENOMEM);
	assert_true(pte_none(mem_pte(&m, a + n * MEM_PAGE)));
	assert_own(a, n);
}

static void files_are_read_as_ever(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, file);
	const unsigned long before = mem_frames(&m);
	char c;

	(void)state;
	assert_int_equal(samara_read(m.mm, a, &c, 1, NULL), 1);
	assert_int_equal(c, 1);
	assert_false(folio_test(mem_folio(&m, a), FOLIO_ANON));
	assert_int_equal(mem_frames(&m), before);
	assert_null(mem_vma(&m, a)->anon_vma);
	samara_file_put(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_read_fault_maps_a_page_that_may_be_written),
		TEST(in_a_read_only_mapping_it_stays_clean),
		TEST(the_first_read_asks_for_the_mmap_lock),
		TEST(unsharing_nothing_leaves_a_page_of_its_own),
		TEST(every_way_to_read_does_so),
		TEST(what_was_read_is_charged_and_merges_as_written_memory),
		TEST(fork_shares_what_was_read),
		TEST(pages_that_go_come_back_as_their_own),
		TEST(a_read_without_a_frame_left_is_out_of_memory),
		TEST(files_are_read_as_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
