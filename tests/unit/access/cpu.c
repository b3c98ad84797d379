/* SPDX-License-Identifier: MIT */
/*
 * A CPU's way from a lookup that finds nothing to a pointer, or to a signal.
 */
#include <signal.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;
static struct samara_cpu *cpu;
static struct samara_fault fault;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	samara_cpu_run(cpu, NULL);
	samara_cpu_destroy(cpu);
	mem_check(&m);
	mem_close(&m);
	return 0;
}

/* As an emulator does it; the pointer is given back outside the section, to be compared only. */
static void *go(unsigned long addr, enum samara_access access)
{
	void *p;

	samara_cpu_enter(cpu);
	p = samara_cpu_lookup(cpu, addr, access);
	if (!p)
		p = samara_cpu_miss(cpu, addr, access, &fault);
	assert_int_equal(cpu->inside & 1, 1);
	samara_cpu_exit(cpu);
	return p;
}

static void a_miss_faults_the_page_in_and_the_next_lookup_hits(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	const unsigned long misses = cpu->misses;
	void *p;

	(void)state;
	p = go(a + 40, SAMARA_ACCESS_WRITE);
	assert_ptr_equal(p, mem_bytes(&m, a + 40));
	assert_int_equal(cpu->misses, misses + 1);
	assert_ptr_equal(go(a + 4000, SAMARA_ACCESS_WRITE), mem_bytes(&m, a + 4000));
	assert_ptr_equal(go(a + 4000, SAMARA_ACCESS_READ), mem_bytes(&m, a + 4000));
	assert_int_equal(cpu->misses, misses + 1);
	assert_int_equal(fault.signo, 0);
}

static void bytes_go_both_ways(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	char c;

	(void)state;
	*(char *)go(a + 9, SAMARA_ACCESS_WRITE) = 'w';
	assert_int_equal(samara_read(m.mm, a + 9, &c, 1, NULL), 1);
	assert_int_equal(c, 'w');
	assert_int_equal(samara_write(m.mm, a + 9, "r", 1, NULL), 1);
	assert_int_equal(*(char *)go(a + 9, SAMARA_ACCESS_READ), 'r');
}

static void a_store_is_noticed_however_the_page_came(void **state)
{
	struct samara_file *file = mem_file(&m, 1);
	const unsigned long a = mem_map(&m, 1, RW, MAP_SHARED, file);

	(void)state;
	assert_non_null(go(a, SAMARA_ACCESS_READ));
	assert_true(pte_write(mem_pte(&m, a)));
	assert_false(pte_dirty(mem_pte(&m, a)));
	assert_non_null(go(a, SAMARA_ACCESS_WRITE));
	assert_true(pte_dirty(mem_pte(&m, a)));
	samara_file_put(file);
}

static void writing_after_reading_leaves_the_zero_frame(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	const char *zero = go(a, SAMARA_ACCESS_READ);
	char *own = go(a, SAMARA_ACCESS_WRITE);

	(void)state;
	assert_ptr_equal(zero, pfn_to_virt(m.machine->ram, ZERO_FRAME));
	assert_ptr_not_equal(own, zero);
	*own = 5;
	assert_int_equal(*zero, 0);
	assert_ptr_equal(go(a, SAMARA_ACCESS_READ), own);
}

static void what_is_taken_away_is_not_found_again(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_non_null(go(a, SAMARA_ACCESS_WRITE));
	assert_non_null(go(a + MEM_PAGE, SAMARA_ACCESS_WRITE));
	assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, PROT_READ), 0);
	assert_null(go(a, SAMARA_ACCESS_WRITE));
	assert_int_equal(fault.signo, SIGSEGV);
	assert_int_equal(fault.code, SEGV_ACCERR);
	assert_non_null(go(a, SAMARA_ACCESS_READ));
	assert_int_equal(samara_munmap(m.mm, a, 2 * MEM_PAGE), 0);
	assert_null(go(a + MEM_PAGE, SAMARA_ACCESS_READ));
	assert_int_equal(fault.code, SEGV_MAPERR);
	assert_int_equal(fault.addr, a + MEM_PAGE);
	assert_null(go(a, SAMARA_ACCESS_EXEC));
}

static void addresses_of_no_page_find_nothing(void **state)
{
	static const unsigned long addr[] = { 0, 0x7ffffffff000, 0x800000000000, ~0UL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addr); i++) {
		assert_null(go(addr[i], SAMARA_ACCESS_READ));
		assert_int_equal(fault.signo, SIGSEGV);
	}
}

static void a_cpu_without_an_address_space_finds_nothing(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_non_null(go(a, SAMARA_ACCESS_WRITE));
	samara_cpu_run(cpu, NULL);
	assert_null(go(a, SAMARA_ACCESS_READ));
	assert_int_equal(fault.signo, SIGSEGV);
	assert_int_equal(fault.code, SEGV_MAPERR);
	samara_cpu_run(cpu, m.mm);
}

static void more_pages_than_entries(void **state)
{
	const unsigned long pages = SAMARA_TLB_ENTRIES / 2 + 10;
	const unsigned long a = mem_map(&m, 4 * pages, RW, MAP_PRIVATE, NULL);

	(void)state;
	/* Every fourth page: several share an entry of the TLB. */
	for (unsigned long round = 0; round < 2; round++) {
		for (unsigned long i = 0; i < pages; i++) {
			unsigned char *p = go(a + 4 * i * MEM_PAGE, SAMARA_ACCESS_WRITE);

			assert_int_equal(*p, round ? (unsigned char)i : 0);
			*p = (unsigned char)i;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_miss_faults_the_page_in_and_the_next_lookup_hits),
		TEST(bytes_go_both_ways),
		TEST(a_store_is_noticed_however_the_page_came),
		TEST(writing_after_reading_leaves_the_zero_frame),
		TEST(what_is_taken_away_is_not_found_again),
		TEST(addresses_of_no_page_find_nothing),
		TEST(a_cpu_without_an_address_space_finds_nothing),
		TEST(more_pages_than_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
