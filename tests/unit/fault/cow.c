/* SPDX-License-Identifier: MIT */
/*
 * Copy-on-write: who may go on with the page, who gets a copy, and unsharing.
 */
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;
static unsigned long at;
static struct samara_file *file;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	at = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	memset(mem_bytes(&m, at), 0x5a, MEM_PAGE);
	file = mem_file(&m, 2);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_check(&m);
	samara_file_put(file);
	mem_close(&m);
	return 0;
}

static void assert_own_copy(unsigned long addr, int byte)
{
	unsigned char page[MEM_PAGE];
	const struct folio *folio = mem_folio(&m, addr);

	assert_non_null(folio);
	memset(page, byte, sizeof(page));
	assert_memory_equal(mem_bytes(&m, addr), page, MEM_PAGE);
	assert_true(folio_test(folio, FOLIO_ANON) && folio_test(folio, FOLIO_EXCLUSIVE));
	assert_int_equal(folio_count(folio), 1);
}

static void a_shared_page_is_copied(void **state)
{
	struct folio *old = mem_folio(&m, at);

	(void)state;
	mem_share(&m, at);
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	assert_ptr_not_equal(mem_folio(&m, at), old);
	assert_own_copy(at, 0x5a);
	assert_true(pte_write(mem_pte(&m, at)) && pte_dirty(mem_pte(&m, at)));
	assert_int_equal(folio_maps(old), 0);
	assert_int_equal(folio_refs(old), 1);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	mem_unshare(&m, old);
}

static void the_last_one_keeps_the_page(void **state)
{
	struct folio *old = mem_folio(&m, at);

	(void)state;
	mem_share(&m, at);
	mem_unshare(&m, old);
	assert_false(folio_test(old, FOLIO_EXCLUSIVE));
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	assert_ptr_equal(mem_folio(&m, at), old);
	assert_own_copy(at, 0x5a);
	assert_true(pte_write(mem_pte(&m, at)));
}

static void an_exclusive_page_is_kept_whoever_looks_at_it(void **state)
{
	struct folio *old = mem_folio(&m, at);

	(void)state;
	mem_share(&m, at);
	folio_set(old, FOLIO_EXCLUSIVE);
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	assert_ptr_equal(mem_folio(&m, at), old);
	assert_true(pte_write(mem_pte(&m, at)));
	mem_unshare(&m, old);
}

static void unsharing_makes_a_page_exclusive_but_not_writable(void **state)
{
	struct folio *old = mem_folio(&m, at);

	(void)state;
	mem_share(&m, at);
	assert_int_equal(mem_fault(&m, at, FAULT_UNSHARE), 0);
	assert_ptr_not_equal(mem_folio(&m, at), old);
	assert_own_copy(at, 0x5a);
	assert_false(pte_write(mem_pte(&m, at)));
	mem_unshare(&m, old);
	/* And once it is, it stays. */
	old = mem_folio(&m, at);
	assert_int_equal(mem_fault(&m, at, FAULT_UNSHARE), 0);
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE), 0);
	assert_ptr_equal(mem_folio(&m, at), old);
	assert_true(pte_write(mem_pte(&m, at)));
}

static void unsharing_what_nobody_shares_any_more_copies_nothing(void **state)
{
	struct folio *old = mem_folio(&m, at);

	(void)state;
	mem_share(&m, at);
	mem_unshare(&m, old);
	assert_int_equal(mem_fault(&m, at, FAULT_UNSHARE), 0);
	assert_ptr_equal(mem_folio(&m, at), old);
	assert_true(folio_test(old, FOLIO_EXCLUSIVE));
	assert_false(pte_write(mem_pte(&m, at)));
}

static void unsharing_replaces_the_zero_frame(void **state)
{
	(void)state;
	assert_int_equal(mem_fault(&m, at + MEM_PAGE, FAULT_UNSHARE), 0);
	assert_true(pte_special(mem_pte(&m, at + MEM_PAGE)));
	assert_int_equal(mem_fault(&m, at + MEM_PAGE, FAULT_UNSHARE), 0);
	assert_own_copy(at + MEM_PAGE, 0);
	assert_false(pte_write(mem_pte(&m, at + MEM_PAGE)));
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 2);
}

static void a_files_page_is_copied_and_stays_as_it_is(void **state)
{
	const unsigned int flags[] = { FAULT_WRITE, FAULT_UNSHARE };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, file);
		struct folio *cached;

		assert_int_equal(mem_fault(&m, a + MEM_PAGE, 0), 0);
		cached = mem_folio(&m, a + MEM_PAGE);
		assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 2); /* both, by fault-around */
		assert_int_equal(mem_fault(&m, a + MEM_PAGE, flags[i]), 0);
		assert_own_copy(a + MEM_PAGE, 2);
		assert_int_equal(pte_write(mem_pte(&m, a + MEM_PAGE)), flags[i] == FAULT_WRITE);
		mem_bytes(&m, a + MEM_PAGE)[0] = 0x77;
		assert_int_equal(*(unsigned char *)folio_virt(m.machine->ram, cached), 2);
		assert_int_equal(folio_maps(cached), 0);
		assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 1);
		assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 2);
		assert_int_equal(samara_munmap(m.mm, a, 2 * MEM_PAGE), 0);
		assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	}
}

static void a_copy_needs_a_family(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, file);
	pte_t pte;

	(void)state;
	assert_int_equal(mem_fault_vma_lock(&m, a, 0), 0);
	pte = mem_pte(&m, a);
	assert_int_equal(mem_fault_vma_lock(&m, a, FAULT_WRITE), VM_FAULT_RETRY);
	assert_int_equal(mem_fault_vma_lock(&m, a, FAULT_UNSHARE), VM_FAULT_RETRY);
	assert_true(pte_same(mem_pte(&m, a), pte));
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
	assert_own_copy(a, 1);
}

static void a_debuggers_write_leaves_the_page_read_only(void **state)
{
	struct folio *old = mem_folio(&m, at);

	(void)state;
	assert_int_equal(samara_mprotect(m.mm, at, MEM_PAGE, PROT_READ), 0);
	mem_share(&m, at);
	assert_int_equal(mem_fault(&m, at, FAULT_WRITE | FAULT_FORCE), 0);
	assert_ptr_not_equal(mem_folio(&m, at), old);
	assert_own_copy(at, 0x5a);
	assert_false(pte_write(mem_pte(&m, at)));
	assert_true(pte_dirty(mem_pte(&m, at)));
	mem_unshare(&m, old);
}

/* Once the entry is the new page's, no CPU may still read the old one. */
static void no_cpu_keeps_the_old_page(void **state)
{
	struct folio *old = mem_folio(&m, at);
	struct samara_fault fault;
	struct samara_cpu *cpu;
	void *before, *after;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	mem_share(&m, at);
	samara_cpu_enter(cpu);
	before = samara_cpu_miss(cpu, at, SAMARA_ACCESS_READ, &fault);
	assert_ptr_equal(before, mem_bytes(&m, at));
	samara_cpu_exit(cpu);
	assert_int_equal(mem_fault(&m, at, FAULT_UNSHARE), 0);
	samara_cpu_enter(cpu);
	assert_null(samara_cpu_lookup(cpu, at, SAMARA_ACCESS_READ));
	after = samara_cpu_miss(cpu, at, SAMARA_ACCESS_READ, &fault);
	assert_ptr_equal(after, mem_bytes(&m, at));
	assert_ptr_not_equal(after, before);
	samara_cpu_exit(cpu);
	samara_cpu_run(cpu, NULL);
	samara_cpu_destroy(cpu);
	mem_unshare(&m, old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_shared_page_is_copied),
		TEST(the_last_one_keeps_the_page),
		TEST(an_exclusive_page_is_kept_whoever_looks_at_it),
		TEST(unsharing_makes_a_page_exclusive_but_not_writable),
		TEST(unsharing_what_nobody_shares_any_more_copies_nothing),
		TEST(unsharing_replaces_the_zero_frame),
		TEST(a_files_page_is_copied_and_stays_as_it_is),
		TEST(a_copy_needs_a_family),
		TEST(a_debuggers_write_leaves_the_page_read_only),
		TEST(no_cpu_keeps_the_old_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
