/* SPDX-License-Identifier: MIT */
/*
 * <samara/backend.h>: when translations are stale.
 */
#include <sys/mman.h>

#include <samara/reclaim.h>

#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/translations.h"

#include "mmu/tlb_unit.h"

MEM_FIXTURE(m, 16UL << 20);

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static void only_blocks_that_share_a_number_are_alarmed(void **state)
{
	const unsigned long block = 2UL << 20, at = 1UL << 40;
	struct samara_translation t[MM_STALE_PARTS + 1];

	(void)state;
	assert_int_equal(samara_mmap(m.mm, at, sizeof(t) / sizeof(t[0]) * block, RW,
				     ANON | MAP_FIXED, NULL, 0),
			 at);
	for (unsigned long i = 0; i <= MM_STALE_PARTS; i++)
		t[i] = fault_in(m.mm, at + i * block, SAMARA_ACCESS_WRITE);
	assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, MADV_DONTNEED), 0);
	for (unsigned long i = 0; i <= MM_STALE_PARTS; i++)
		assert_int_equal(samara_translation_stale(m.mm, &t[i]), i % MM_STALE_PARTS == 0);
	/* A range that ends in the next block alarms that too; a large one all. */
	t[0] = fault_in(m.mm, at, SAMARA_ACCESS_WRITE);
	fault_in(m.mm, at + block - MEM_PAGE, SAMARA_ACCESS_WRITE);
	assert_int_equal(samara_mprotect(m.mm, at + block - MEM_PAGE, 2 * MEM_PAGE, PROT_READ), 0);
	for (unsigned long i = 0; i < 3; i++)
		assert_int_equal(samara_translation_stale(m.mm, &t[i]), i < 2);
	assert_int_equal(samara_mprotect(m.mm, at, (MM_STALE_PARTS + 1) * block, PROT_NONE), 0);
	for (unsigned long i = 0; i < MM_STALE_PARTS; i++)
		assert_int_equal(samara_translation_stale(m.mm, &t[i]), 1);
}

static void what_adds_rights_makes_nothing_stale(void **state)
{
	const unsigned long addr = mem_map(&m, 2, PROT_READ, ANON, NULL);
	struct samara_translation t = fault_in(m.mm, addr, SAMARA_ACCESS_READ);

	(void)state;
	assert_int_equal(samara_mprotect(m.mm, addr, 2 * MEM_PAGE, RW), 0);
	assert_int_equal(samara_translation_stale(m.mm, &t), 0);
	(void)mem_map(&m, 1, RW, ANON, NULL);
	assert_int_equal(samara_madvise(m.mm, addr, 2 * MEM_PAGE, MADV_COLD), 0);
	assert_int_equal(samara_translation_stale(m.mm, &t), 0);
}

/* Every call that takes something away. */
static void say_fork(unsigned long addr)
{
	struct samara_mm *child;

	(void)addr;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	samara_mm_exit(child);
}
static void say_munmap(unsigned long addr)
{
	samara_munmap(m.mm, addr, MEM_PAGE);
}
static void say_protect(unsigned long addr)
{
	samara_mprotect(m.mm, addr, MEM_PAGE, PROT_READ);
}
static void say_dontneed(unsigned long addr)
{
	samara_madvise(m.mm, addr, MEM_PAGE, MADV_DONTNEED);
}
static void say_guard(unsigned long addr)
{
	samara_madvise(m.mm, addr, MEM_PAGE, MADV_GUARD_INSTALL);
}
static void say_map_over(unsigned long addr)
{
	(void)samara_mmap(m.mm, addr, MEM_PAGE, RW, ANON | MAP_FIXED, NULL, 0);
}
static void say_move(unsigned long addr)
{
	(void)samara_mremap(m.mm, addr, MEM_PAGE, MEM_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    addr + (64UL << 20));
}
static void say_migrate(unsigned long addr)
{
	(void)samara_migrate_pages(m.mm, addr, 1);
}
static void say_poison(unsigned long addr)
{
	samara_memory_failure(m.machine, seen(m.mm, addr).pfn, 0);
}

static void whatever_takes_away_makes_stale(void **state)
{
	static void (*const calls[])(unsigned long addr) = {
		say_fork,     say_munmap, say_protect, say_dontneed, say_guard,
		say_map_over, say_move,   say_migrate, say_poison,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const unsigned long addr = mem_map(&m, 1, RW, ANON, NULL);
		struct samara_translation t = fault_in(m.mm, addr, SAMARA_ACCESS_WRITE);

		assert_int_equal(samara_translation_stale(m.mm, &t), 0);
		calls[i](addr);
		if (!samara_translation_stale(m.mm, &t))
			fail_msg("call %zu", i);
		(void)samara_munmap(m.mm, addr, MEM_PAGE);
	}
}

static void an_mm_that_no_backend_asks_keeps_no_numbers(void **state)
{
	const unsigned long addr = mem_map(&m, 1, RW, ANON, NULL);

	(void)state;
	assert_int_equal(samara_write(m.mm, addr, "a", 1, NULL), 1);
	assert_false(tlb_mm_runs(m.mm));
	seen(m.mm, addr);
	assert_true(tlb_mm_runs(m.mm));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_blocks_that_share_a_number_are_alarmed),
		TEST(what_adds_rights_makes_nothing_stale),
		TEST(whatever_takes_away_makes_stale),
		TEST(an_mm_that_no_backend_asks_keeps_no_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
