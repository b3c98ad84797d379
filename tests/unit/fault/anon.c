/* SPDX-License-Identifier: MIT */
/*
 * First accesses to anonymous memory.
 */
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;
static unsigned long at;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	at = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	return 0;
}

MEM_TEAR_DOWN(m);

static void reading_maps_the_zero_frame(void **state)
{
	pte_t pte;

	(void)state;
	assert_int_equal(mem_fault(&m, at + 17, 0), 0);
	pte = mem_pte(&m, at);
	assert_true(pte_present(pte) && pte_special(pte) && pte_young(pte));
	assert_false(pte_write(pte) || pte_dirty(pte) || pte_exec(pte));
	assert_int_equal(pte_pfn(pte), ZERO_FRAME);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 0);
	assert_int_equal(mem_frames(&m), 0);
	assert_null(mem_vma(&m, at)->anon_vma);
}

static void writing_maps_a_page_of_zeros(void **state)
{
	static const unsigned char zeros[MEM_PAGE];
	struct folio *folio;
	pte_t pte;

	(void)state;
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	pte = mem_pte(&m, at);
	folio = mem_folio(&m, at);
	assert_true(pte_write(pte) && pte_dirty(pte) && pte_young(pte) && !pte_special(pte));
	assert_memory_equal(mem_bytes(&m, at), zeros, MEM_PAGE);
	assert_true(folio_test(folio, FOLIO_ANON) && folio_test(folio, FOLIO_EXCLUSIVE));
	assert_true(folio_test(folio, FOLIO_SWAPBACKED));
	assert_int_equal(folio_maps(folio), 1);
	assert_int_equal(folio_refs(folio), 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	assert_non_null(mem_vma(&m, at)->anon_vma);
}

static void writing_after_reading_replaces_the_zero_frame(void **state)
{
	(void)state;
	assert_int_equal(mem_fault(&m, at, 0), 0);
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	assert_non_null(mem_folio(&m, at));
	assert_int_not_equal(pte_pfn(mem_pte(&m, at)), ZERO_FRAME);
	assert_true(pte_write(mem_pte(&m, at)));
	assert_int_equal(mem_bytes(&m, at)[MEM_PAGE - 1], 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
}

static void a_page_that_is_there_stays(void **state)
{
	struct folio *folio;

	(void)state;
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	folio = mem_folio(&m, at);
	for (unsigned int flags = 0; flags <= FAULT_UNSHARE; flags += FAULT_UNSHARE) {
		assert_int_equal(mem_fault(&m, at, flags), 0);
		assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
		assert_ptr_equal(mem_folio(&m, at), folio);
	}
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
}

static void the_first_write_asks_for_the_mmap_lock(void **state)
{
	(void)state;
	assert_int_equal(mem_fault_vma_lock(&m, at, FAULT_WRITE), VM_FAULT_RETRY);
	assert_true(pte_none(mem_pte(&m, at)));
	assert_int_equal(mem_frames(&m), 0);
	assert_int_equal(mem_fault_vma_lock(&m, at, 0), 0);
	/* The zero frame cannot be replaced either. */
	assert_int_equal(mem_fault_vma_lock(&m, at, FAULT_WRITE), VM_FAULT_RETRY);
	assert_int_equal(mem_fault_vma_lock(&m, at, FAULT_UNSHARE), VM_FAULT_RETRY);
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	/* From then on it is not needed. */
	assert_int_equal(mem_fault_vma_lock(&m, at + MEM_PAGE, FAULT_WRITE), 0);
	assert_true(pte_write(mem_pte(&m, at + MEM_PAGE)));
}

static void droppable_memory_is_not_swap_backed(void **state)
{
	unsigned long a;

	(void)state;
	a = mem_map(&m, 1, RW, 0x08 /* MAP_DROPPABLE */, NULL);
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
	assert_true(folio_test(mem_folio(&m, a), FOLIO_ANON));
	assert_false(folio_test(mem_folio(&m, a), FOLIO_SWAPBACKED));
}

static void rights_are_in_the_entry(void **state)
{
	const unsigned long x = mem_map(&m, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, NULL);
	const unsigned long none = mem_map(&m, 1, PROT_NONE, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(mem_fault(&m, x, FAULT_EXEC), 0);
	assert_true(pte_exec(mem_pte(&m, x)) && pte_accessible(mem_pte(&m, x)));
	assert_int_equal(mem_fault(&m, none, FAULT_WRITE | FAULT_FORCE), 0);
	assert_true(pte_present(mem_pte(&m, none)));
	assert_false(pte_accessible(mem_pte(&m, none)) || pte_write(mem_pte(&m, none)));
}

static void running_out_of_frames_changes_nothing(void **state)
{
	const unsigned long a = mem_map(&m, 300, RW, MAP_PRIVATE, NULL);
	unsigned long n = 0;

	(void)state;
	while (mem_fault(&m, a + n * MEM_PAGE, FAULT_WRITE) == 0)
		n++;
	assert_int_equal(n, 256); /* 1 MiB; the zero frame comes on top */
	assert_int_equal(mem_fault(&m, a + n * MEM_PAGE, FAULT_WRITE), VM_FAULT_OOM);
	assert_true(pte_none(mem_pte(&m, a + n * MEM_PAGE)));
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), n);
	/* The zero frame is there for everybody. */
	assert_int_equal(mem_fault(&m, a + n * MEM_PAGE, 0), 0);
	assert_int_equal(mem_fault(&m, a + n * MEM_PAGE, FAULT_WRITE), VM_FAULT_OOM);
	assert_true(pte_special(mem_pte(&m, a + n * MEM_PAGE)));
	assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
	assert_int_equal(mem_fault(&m, a + n * MEM_PAGE, FAULT_WRITE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(reading_maps_the_zero_frame),
		TEST(writing_maps_a_page_of_zeros),
		TEST(writing_after_reading_replaces_the_zero_frame),
		TEST(a_page_that_is_there_stays),
		TEST(the_first_write_asks_for_the_mmap_lock),
		TEST(droppable_memory_is_not_swap_backed),
		TEST(rights_are_in_the_entry),
		TEST(running_out_of_frames_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
