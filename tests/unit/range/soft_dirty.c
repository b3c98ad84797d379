/* SPDX-License-Identifier: MIT */
/*
 * Which pages are soft-dirty, kind by kind. tests/model/soft_dirty.c tries them at random.
 */
#include <samara/reclaim.h>

#include "mmu/table.h"
#include "support/soft_dirty.h"
#include "support/uffd_calls.h"

static void only_what_is_written_is_soft_dirty(void **state)
{
	static const int kinds[] = { MAP_PRIVATE, MAP_SHARED };

	(void)state;
	for (int i = 0; i < 2; i++) {
		const unsigned long a = map(4, kinds[i]);

		put(m.mm, a);
		get(m.mm, a + MEM_PAGE);
		forget(m.mm);
		get(m.mm, a);
		get(m.mm, a + 2 * MEM_PAGE);
		for (int page = 0; page < 4; page++)
			assert_false(dirty(a + (unsigned long)page * MEM_PAGE));
		for (int page = 0; page < 4; page++)
			put(m.mm, a + (unsigned long)page * MEM_PAGE);
		for (int page = 0; page < 4; page++)
			assert_true(dirty(a + (unsigned long)page * MEM_PAGE));
	}
}

static void rights_that_come_back_let_no_write_pass(void **state)
{
	static const int kinds[] = { MAP_PRIVATE, MAP_SHARED };

	(void)state;
	for (int i = 0; i < 2; i++) {
		const unsigned long a = map(1, kinds[i]);

		put(m.mm, a);
		forget(m.mm);
		assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, PROT_READ), 0);
		assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, RW), 0);
		assert_false(pte_write(mem_pte(&m, a)));
		put(m.mm, a);
		assert_true(dirty(a));
		/* One that is soft-dirty need not fault again. */
		assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, PROT_READ), 0);
		assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, RW), 0);
		assert_true(pte_write(mem_pte(&m, a)));
		assert_true(dirty(a));
	}
}

/* As in Linux a page that comes back is writable at once if it may be. */
static void a_page_that_comes_back_lets_no_write_pass(void **state)
{
	const unsigned long a = map(2, MAP_PRIVATE);
	struct samara_swap *area;

	(void)state;
	assert_int_equal(samara_swapon_compressed(m.machine, 1 << 20, "lz4", &area), 0);
	put(m.mm, a);
	put(m.mm, a + MEM_PAGE);
	forget(m.mm);
	put(m.mm, a);
	assert_int_equal(samara_madvise(m.mm, a, 2 * MEM_PAGE, MADV_PAGEOUT), 0);
	assert_false(pte_present(mem_pte(&m, a)) || pte_present(mem_pte(&m, a + MEM_PAGE)));
	assert_true(dirty(a));
	assert_false(dirty(a + MEM_PAGE));
	get(m.mm, a);
	get(m.mm, a + MEM_PAGE);
	assert_true(dirty(a));
	assert_true(pte_write(mem_pte(&m, a)));
	assert_false(dirty(a + MEM_PAGE));
	put(m.mm, a + MEM_PAGE);
	assert_true(dirty(a + MEM_PAGE));
	/* Cleared while it is out. */
	assert_int_equal(samara_madvise(m.mm, a, 2 * MEM_PAGE, MADV_PAGEOUT), 0);
	forget(m.mm);
	assert_false(dirty(a) || dirty(a + MEM_PAGE));
	get(m.mm, a);
	put(m.mm, a);
	put(m.mm, a + MEM_PAGE);
	assert_true(dirty(a) && dirty(a + MEM_PAGE));
	assert_int_equal(samara_swapoff(area), 0);
}

static void set_entry(unsigned long addr, pte_t pte)
{
	struct table *leaf = table_find(m.mm, addr);

	table_lock(leaf);
	pte_set(table_pte(m.mm, leaf, addr), pte);
	table_unlock(leaf);
}

/* Its entry becomes the page's again with the rights that it has then. */
static void a_page_on_its_way_lets_no_write_pass(void **state)
{
	static const struct {
		int flags;
		enum swp_type then;
	} kinds[] = { { MAP_PRIVATE, SWP_MIGRATION_EXCL }, { MAP_SHARED, SWP_MIGRATION_READ } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		const unsigned long a = map(1, kinds[i].flags);
		pte_t page;

		put(m.mm, a);
		page = mem_pte(&m, a);
		set_entry(a, mk_migration(SWP_MIGRATION_WRITE, pte_pfn(page),
					  MIGRATION_DIRTY | MIGRATION_SOFT_DIRTY));
		forget(m.mm);
		assert_true(pte_same(mem_pte(&m, a),
				     mk_migration(kinds[i].then, pte_pfn(page), MIGRATION_DIRTY)));
		set_entry(a, page);
	}
}

static void a_moved_page_counts_as_written_to(void **state)
{
	const unsigned long a = map(2, MAP_PRIVATE), to = a + (16 << 20);

	(void)state;
	put(m.mm, a);
	forget(m.mm);
	assert_int_equal(samara_mremap(m.mm, a, 2 * MEM_PAGE, 2 * MEM_PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, to),
			 to);
	assert_true(dirty(to));
	assert_false(dirty(to + MEM_PAGE));
}

static void pages_that_go_are_not_soft_dirty(void **state)
{
	const unsigned long a = map(2, MAP_PRIVATE);

	(void)state;
	forget(m.mm);
	put(m.mm, a);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_DONTNEED), 0);
	assert_false(dirty(a));
	put(m.mm, a);
	assert_true(dirty(a));
}

static void a_child_has_its_parents_marks(void **state)
{
	const unsigned long a = map(3, MAP_PRIVATE);
	struct samara_mm *child;

	(void)state;
	put(m.mm, a);
	put(m.mm, a + MEM_PAGE);
	forget(m.mm);
	put(m.mm, a);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_true(dirty_in(child, a));
	assert_false(dirty_in(child, a + MEM_PAGE) || dirty_in(child, a + 2 * MEM_PAGE));
	/* Each has its own from then on. */
	put(child, a + MEM_PAGE);
	assert_true(dirty_in(child, a + MEM_PAGE));
	assert_false(dirty(a + MEM_PAGE));
	forget(child);
	assert_false(dirty_in(child, a));
	assert_true(dirty(a));
	samara_mm_exit(child);
}

/* Its holder may write at any time. */
static void a_pinned_page_stays_soft_dirty(void **state)
{
	const unsigned long a = map(2, MAP_PRIVATE);
	struct samara_mm *child;
	struct samara_pin pin;

	(void)state;
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pin), 1);
	put(m.mm, a + MEM_PAGE);
	forget(m.mm);
	assert_true(dirty(a));
	assert_true(pte_write(mem_pte(&m, a)));
	assert_false(dirty(a + MEM_PAGE));
	/* The child's copy is new. */
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_true(dirty_in(child, a));
	samara_mm_exit(child);
	samara_unpin_pages(&pin, 1, 1);
	forget(m.mm);
	assert_false(dirty(a));
}

static void what_a_handler_gives_counts_as_written_to(void **state)
{
	static const int kinds[] = { MAP_PRIVATE, MAP_SHARED };
	static char page[MEM_PAGE];
	struct samara_uffd *uffd = uffd_open(m.mm, 0, 0);
	long long field;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const unsigned long a = map(1, kinds[i]);

		uffd_register_at(uffd, a, MEM_PAGE, UFFDIO_REGISTER_MODE_MISSING);
		forget(m.mm);
		assert_int_equal(uffd_copy_to(uffd, a, page, MEM_PAGE, 0, &field), 0);
		assert_true(dirty(a));
		forget(m.mm);
		assert_false(dirty(a));
		put(m.mm, a);
		assert_true(dirty(a));
	}
	samara_uffd_put(uffd);
}

static void an_unshared_page_stays_soft_dirty(void **state)
{
	const unsigned long a = map(1, MAP_PRIVATE);
	struct samara_mm *child;
	struct samara_pin pin;

	(void)state;
	put(m.mm, a);
	forget(m.mm);
	put(m.mm, a);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 0, &pin), 1);
	assert_true(dirty(a));
	samara_unpin_pages(&pin, 1, 0);
	samara_mm_exit(child);
}

static void a_forced_write_is_noticed(void **state)
{
	const unsigned long a = map(1, MAP_PRIVATE);
	struct samara_fault fault;

	(void)state;
	put(m.mm, a);
	forget(m.mm);
	assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, PROT_READ), 0);
	assert_int_equal(
		samara_access(m.mm, a, (char[]){ 'y' }, 1, SAMARA_WRITE | SAMARA_FORCE, &fault), 1);
	assert_true(dirty(a));
}

static void a_store_through_a_tlb_is_noticed(void **state)
{
	const unsigned long a = map(1, MAP_PRIVATE);
	struct samara_cpu *cpu;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	assert_false(in_tlb(cpu, a, SAMARA_ACCESS_WRITE));
	assert_true(in_tlb(cpu, a, SAMARA_ACCESS_WRITE));
	forget(m.mm);
	assert_false(dirty(a));
	assert_false(in_tlb(cpu, a, SAMARA_ACCESS_WRITE));
	assert_true(dirty(a));
	samara_cpu_destroy(cpu);
}

/* The validator sees what must not be. */
static void a_write_that_would_be_missed_is_found(void **state)
{
	const unsigned long a = map(1, MAP_PRIVATE);
	struct samara_report report;
	pte_t page;

	(void)state;
	put(m.mm, a);
	page = mem_pte(&m, a);
	set_entry(a, (pte_t){ page.v & ~PTE_SOFT_DIRTY });
	/* All of the mapping counts as written to. */
	assert_int_equal(samara_mm_validate(m.mm, &report), 0);
	set_entry(a, page);
	forget(m.mm);
	assert_int_equal(samara_mm_validate(m.mm, &report), 0);
	put(m.mm, a);
	assert_int_equal(samara_mm_validate(m.mm, &report), 0);
	set_entry(a, (pte_t){ page.v & ~PTE_SOFT_DIRTY });
	assert_int_equal(samara_mm_validate(m.mm, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "soft_dirty");
	set_entry(a, mk_migration(SWP_MIGRATION_WRITE, pte_pfn(page), MIGRATION_DIRTY));
	assert_int_equal(samara_mm_validate(m.mm, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "soft_dirty");
	set_entry(a, page);
	assert_int_equal(samara_mm_validate(m.mm, &report), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(only_what_is_written_is_soft_dirty),
		TEST(rights_that_come_back_let_no_write_pass),
		TEST(a_page_that_comes_back_lets_no_write_pass),
		TEST(a_page_on_its_way_lets_no_write_pass),
		TEST(a_moved_page_counts_as_written_to),
		TEST(pages_that_go_are_not_soft_dirty),
		TEST(a_child_has_its_parents_marks),
		TEST(a_pinned_page_stays_soft_dirty),
		TEST(what_a_handler_gives_counts_as_written_to),
		TEST(an_unshared_page_stays_soft_dirty),
		TEST(a_forced_write_is_noticed),
		TEST(a_store_through_a_tlb_is_noticed),
		TEST(a_write_that_would_be_missed_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
