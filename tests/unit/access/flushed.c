/* SPDX-License-Identifier: MIT */
/*
 * What flushes say: which pages have lost what, with how many waits.
 */
#include <sys/mman.h>

#include <samara/access.h>
#include <samara/inject.h>
#include <samara/reclaim.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#include "mmu/tlb_unit.h"

MEM_FIXTURE(m, 16UL << 20);

enum call { RANGE, WAIT };

static struct record {
	enum call call;
	unsigned long start, last;
	enum tlb_lost lost;
} log_[32];
static unsigned int calls;

static void range(struct tlb_unit *unit, unsigned long start, unsigned long last,
		  enum tlb_lost lost)
{
	(void)unit;
	assert_in_range(calls, 0, 31);
	log_[calls++] = (struct record){ RANGE, start, last, lost };
}
static void all(struct tlb_unit *unit, enum tlb_lost lost)
{
	range(unit, 0, ~0UL, lost);
}
static void wait_(struct tlb_unit *unit)
{
	(void)unit;
	log_[calls++] = (struct record){ .call = WAIT };
}

static const struct tlb_ops ops = {
	.flush_range = range,
	.flush_all = all,
	.flush_wait = wait_,
};

/* The next call in the log. */
static unsigned int looked;
static void expect(enum call call, unsigned long start, unsigned long last)
{
	const struct record *r = &log_[looked];

	assert_true(looked++ < calls);
	assert_int_equal(r->call, call);
	assert_int_equal(r->start, start);
	assert_int_equal(r->last, last);
}

static void expect_no_more(void)
{
	assert_int_equal(looked, calls);
	looked = calls = 0;
}

static void store(unsigned long addr)
{
	assert_int_equal(samara_write(m.mm, addr, "x", 1, NULL), 1);
}

/* A page that was written to. */
static unsigned long written_page(void)
{
	const unsigned long addr =
		mem_map(&m, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL);

	store(addr);
	return addr;
}

static void fork_and_exit(void)
{
	struct samara_mm *child;

	looked = calls = 0;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	samara_mm_exit(child); /* which no unit runs */
}

/* Leaf by leaf from the first page that was writable to the last, and one wait. */
static void a_fork_flushes_what_it_protects(void **state)
{
	struct tlb_unit u = { .ops = &ops };
	const unsigned long leaf = 512 * MEM_PAGE;
	const unsigned long at = 4 * 512 * leaf, pages = 4 * 512; /* four leaves */

	(void)state;
	tlb_unit_attach(&u, m.mm);
	assert_int_equal(samara_mmap(m.mm, at, pages * MEM_PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 at);
	store(at + 3 * MEM_PAGE);
	store(at + 9 * MEM_PAGE);
	store(at + 2 * leaf + 7 * MEM_PAGE);
	fork_and_exit();
	expect(RANGE, at + 3 * MEM_PAGE, at + 10 * MEM_PAGE - 1);
	expect(RANGE, at + 2 * leaf + 7 * MEM_PAGE, at + 2 * leaf + 8 * MEM_PAGE - 1);
	expect(WAIT, 0, 0);
	expect_no_more();
	/* They are read-only by now. */
	fork_and_exit();
	expect_no_more();
	/* Two leaves' ranges that meet are one. */
	store(at + leaf - MEM_PAGE);
	store(at + leaf);
	fork_and_exit();
	expect(RANGE, at + leaf - MEM_PAGE, at + leaf + MEM_PAGE - 1);
	expect(WAIT, 0, 0);
	expect_no_more();
	tlb_unit_detach(&u);
	assert_int_equal(samara_munmap(m.mm, at, pages * MEM_PAGE), 0);
}

/* What stays writable for the parent is not flushed. */
static void a_fork_flushes_no_shared_memory(void **state)
{
	struct tlb_unit u = { .ops = &ops };
	const unsigned long addr =
		mem_map(&m, 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, NULL);

	(void)state;
	tlb_unit_attach(&u, m.mm);
	store(addr);
	fork_and_exit();
	expect_no_more();
	tlb_unit_detach(&u);
	assert_int_equal(samara_munmap(m.mm, addr, 2 * MEM_PAGE), 0);
}

/* A fork that fails at the second mapping has protected the first. */
static void a_fork_that_fails_flushes_what_it_protected(void **state)
{
	struct tlb_unit u = { .ops = &ops };
	const unsigned long at[] = { 1UL << 40, 2UL << 40 };
	unsigned long flushed = 0, nth = 0;
	struct samara_mm *child;
	int err;

	(void)state;
	tlb_unit_attach(&u, m.mm);
	for (int i = 0; i < 2; i++)
		assert_int_equal(samara_mmap(m.mm, at[i], MEM_PAGE, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
				 at[i]);
	do {
		store(at[0]);
		store(at[1]);
		looked = calls = 0;
		samara_inject_nth(++nth);
		err = samara_fork(m.mm, &child);
		samara_inject_nth(0);
		/* Mappings of other tests may have been copied as well. */
		for (unsigned int i = 0; err && i < calls; i++)
			flushed += log_[i].start == at[0] && log_[i].last == at[0] + MEM_PAGE - 1;
	} while (err);
	assert_true(flushed);
	samara_mm_exit(child);
	tlb_unit_detach(&u);
	for (int i = 0; i < 2; i++)
		assert_int_equal(samara_munmap(m.mm, at[i], MEM_PAGE), 0);
}

/* What a flush says that pages have lost. */
static void call_munmap(unsigned long addr)
{
	assert_int_equal(samara_munmap(m.mm, addr, MEM_PAGE), 0);
}
static void call_dontneed(unsigned long addr)
{
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_DONTNEED), 0);
}
static void call_free(unsigned long addr)
{
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_FREE), 0);
}
static void call_cold(unsigned long addr)
{
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_COLD), 0);
}
static void call_read_only(unsigned long addr)
{
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_READ), 0);
}
static void call_none(unsigned long addr)
{
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_NONE), 0);
}
static void call_no_exec(unsigned long addr)
{
	const int all = PROT_READ | PROT_WRITE | PROT_EXEC;

	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, all), 0);
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_READ | PROT_WRITE), 0);
}
static void call_fork(unsigned long addr)
{
	struct samara_mm *child;

	(void)addr;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	samara_mm_exit(child);
}
static void call_migrate(unsigned long addr)
{
	assert_int_equal(samara_migrate_pages(m.mm, addr, 1), 1);
}

static void a_flush_says_what_was_lost(void **state)
{
	static const struct {
		void (*call)(unsigned long addr);
		enum tlb_lost lost;
	} cases[] = {
		{ call_munmap, TLB_LOST_ALL },      { call_dontneed, TLB_LOST_ALL },
		{ call_free, TLB_LOST_WRITE },      { call_cold, TLB_LOST_USE },
		{ call_read_only, TLB_LOST_WRITE }, { call_none, TLB_LOST_ALL },
		{ call_no_exec, TLB_LOST_ALL },     { call_fork, TLB_LOST_WRITE },
		{ call_migrate, TLB_LOST_ALL },
	};
	struct tlb_unit u = { .ops = &ops };

	(void)state;
	tlb_unit_attach(&u, m.mm);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned long addr = written_page();

			looked = calls = 0;
		cases[i].call(addr);
		expect(RANGE, addr, addr + MEM_PAGE - 1);
		expect(WAIT, 0, 0);
		expect_no_more();
		assert_int_equal(log_[0].lost, cases[i].lost);
		assert_int_equal(samara_munmap(m.mm, addr, MEM_PAGE), 0);
		looked = calls = 0;
	}
	tlb_unit_detach(&u);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fork_flushes_what_it_protects),
		TEST(a_fork_flushes_no_shared_memory),
		TEST(a_fork_that_fails_flushes_what_it_protected),
		TEST(a_flush_says_what_was_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
