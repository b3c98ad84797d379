/* SPDX-License-Identifier: MIT */
/*
 * A second implementation of what runs an mm (mmu/tlb_unit.h), beside the built-in TLB: it
 * remembers nothing and writes down each call, with the locks that were held.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/access.h>
#include <samara/cpu.h>
#include <samara/inject.h>
#include <samara/reclaim.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#include "access/miss.h"
#include "mmu/tlb.h"
#include "rmap/rmap.h"

MEM_FIXTURE(m, 16UL << 20);

enum call { FILL, RANGE, ALL, WAIT, YOUNG, DETACHED };

struct recorder {
	struct tlb_unit unit;
	bool young; /* what it answers */
};

static struct record {
	const struct recorder *who;
	enum call call;
	unsigned long start, last;
	enum tlb_lost lost; /* of RANGE and ALL */
	bool cpus_locked, leaf_locked;
	unsigned long maps; /* of the folio that the test follows */
} log_[32];
static unsigned int calls;
static unsigned long followed_addr;
static struct folio *followed;

static void record(struct tlb_unit *unit, enum call call, unsigned long start, unsigned long last)
{
	struct table *leaf = table_find(m.mm, followed_addr);

	assert_in_range(calls, 0, 31);
	log_[calls++] = (struct record){
		.who = container_of(unit, struct recorder, unit),
		.call = call,
		.start = start,
		.last = last,
		.cpus_locked = spin_is_locked(&m.mm->watch.cpus_lock),
		.leaf_locked = leaf && spin_is_locked(&leaf->lock),
		.maps = followed ? folio_maps(followed) : 0,
	};
}

static void rec_fill(struct tlb_unit *unit, unsigned long addr, pte_t pte)
{
	assert_true(pte_accessible(pte) && pte_young(pte));
	record(unit, FILL, addr, pte_write(pte) && pte_dirty(pte));
}
static void rec_range(struct tlb_unit *unit, unsigned long start, unsigned long last,
		      enum tlb_lost lost)
{
	record(unit, RANGE, start, last);
	log_[calls - 1].lost = lost;
}
static void rec_all(struct tlb_unit *unit, enum tlb_lost lost)
{
	record(unit, ALL, 0, ~0UL);
	log_[calls - 1].lost = lost;
}
static void rec_wait(struct tlb_unit *unit)
{
	record(unit, WAIT, 0, 0);
}
static bool rec_young(struct tlb_unit *unit, unsigned long addr)
{
	record(unit, YOUNG, addr, 0);
	return container_of(unit, struct recorder, unit)->young;
}
static void rec_detached(struct tlb_unit *unit)
{
	record(unit, DETACHED, 0, 0);
}

static const struct tlb_ops all_ops = {
	.fill = rec_fill,
	.flush_range = rec_range,
	.flush_all = rec_all,
	.flush_wait = rec_wait,
	.young = rec_young,
	.detached = rec_detached,
};
/* What an implementation has to have. */
static const struct tlb_ops few_ops = {
	.fill = rec_fill,
	.flush_range = rec_range,
	.flush_all = rec_all,
};

/* The next call in the log. */
static unsigned int looked;
static void expect(const struct recorder *who, enum call call, unsigned long start,
		   unsigned long last)
{
	const struct record *r = &log_[looked];

	assert_true(looked++ < calls);
	assert_ptr_equal(r->who, who);
	assert_int_equal(r->call, call);
	assert_int_equal(r->start, start);
	assert_int_equal(r->last, last);
	assert_int_equal(r->cpus_locked, call != FILL);
}

static void expect_no_more(void)
{
	assert_int_equal(looked, calls);
	looked = calls = 0;
}

/* A page that u has been filled with for a write. */
static unsigned long filled_page(struct recorder *u)
{
	const unsigned long addr =
		mem_map(&m, 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL);
	struct samara_fault fault;

	followed = NULL;
	followed_addr = addr;
	looked = calls = 0;
	while (!calls)
		assert_int_equal(tlb_unit_miss(&u->unit, addr, SAMARA_ACCESS_WRITE, &fault), 0);
	followed = mem_folio(&m, addr);
	assert_non_null(followed);
	return addr;
}

static void a_miss_fills_with_the_leaf_locked(void **state)
{
	struct recorder u = { .unit.ops = &all_ops };
	struct samara_fault fault;
	unsigned long addr;

	(void)state;
	tlb_unit_attach(&u.unit, m.mm);
	addr = filled_page(&u);
	assert_true(log_[0].leaf_locked);
	expect(&u, FILL, addr, true);
	expect_no_more();
	/* What the mapping does not allow fills nothing. */
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_READ), 0);
	looked = calls = 0;
	assert_int_equal(tlb_unit_miss(&u.unit, addr, SAMARA_ACCESS_WRITE, &fault), -EFAULT);
	expect_no_more();
	assert_int_equal(tlb_unit_miss(&u.unit, addr, SAMARA_ACCESS_READ, &fault), 0);
	expect(&u, FILL, addr, false);
	expect_no_more();
	tlb_unit_detach(&u.unit);
}

static void a_flush_begins_everywhere_before_it_waits(void **state)
{
	struct recorder a = { .unit.ops = &all_ops }, b = { .unit.ops = &all_ops };
	unsigned long addr;

	(void)state;
	tlb_unit_attach(&a.unit, m.mm);
	tlb_unit_attach(&b.unit, m.mm);
	addr = filled_page(&a);
	looked = calls = 0;
	/* The page is mapped, as its count says, until no unit can use it. */
	folio_get(followed);
	assert_int_equal(samara_munmap(m.mm, addr, 2 * MEM_PAGE), 0);
	for (unsigned int i = 0; i < calls; i++)
		assert_int_equal(log_[i].maps, 1);
	assert_int_equal(folio_maps(followed), 0);
	expect(&b, RANGE, addr, addr + MEM_PAGE - 1);
	expect(&a, RANGE, addr, addr + MEM_PAGE - 1);
	expect(&b, WAIT, 0, 0);
	expect(&a, WAIT, 0, 0);
	expect_no_more();
	folio_put(m.machine->ram, followed);
	tlb_unit_detach(&a.unit);
	tlb_unit_detach(&b.unit);
}

static void store(unsigned long addr)
{
	assert_int_equal(samara_write(m.mm, addr, "x", 1, NULL), 1);
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
	struct recorder u = { .unit.ops = &all_ops };
	const unsigned long leaf = 512 * MEM_PAGE;
	const unsigned long at = 4 * 512 * leaf, pages = 4 * 512; /* four leaves */

	(void)state;
	tlb_unit_attach(&u.unit, m.mm);
	followed = NULL;
	followed_addr = at;
	assert_int_equal(samara_mmap(m.mm, at, pages * MEM_PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 at);
	store(at + 3 * MEM_PAGE);
	store(at + 9 * MEM_PAGE);
	store(at + 2 * leaf + 7 * MEM_PAGE);
	fork_and_exit();
	expect(&u, RANGE, at + 3 * MEM_PAGE, at + 10 * MEM_PAGE - 1);
	expect(&u, RANGE, at + 2 * leaf + 7 * MEM_PAGE, at + 2 * leaf + 8 * MEM_PAGE - 1);
	expect(&u, WAIT, 0, 0);
	expect_no_more();
	/* They are read-only by now. */
	fork_and_exit();
	expect_no_more();
	/* Two leaves' ranges that meet are one. */
	store(at + leaf - MEM_PAGE);
	store(at + leaf);
	fork_and_exit();
	expect(&u, RANGE, at + leaf - MEM_PAGE, at + leaf + MEM_PAGE - 1);
	expect(&u, WAIT, 0, 0);
	expect_no_more();
	tlb_unit_detach(&u.unit);
	assert_int_equal(samara_munmap(m.mm, at, pages * MEM_PAGE), 0);
}

/* What stays writable for the parent is not flushed. */
static void a_fork_flushes_no_shared_memory(void **state)
{
	struct recorder u = { .unit.ops = &all_ops };
	const unsigned long addr =
		mem_map(&m, 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, NULL);

	(void)state;
	tlb_unit_attach(&u.unit, m.mm);
	store(addr);
	fork_and_exit();
	expect_no_more();
	tlb_unit_detach(&u.unit);
	assert_int_equal(samara_munmap(m.mm, addr, 2 * MEM_PAGE), 0);
}

/* A fork that fails at the second mapping has protected the first. */
static void a_fork_that_fails_flushes_what_it_protected(void **state)
{
	struct recorder u = { .unit.ops = &few_ops };
	const unsigned long at[] = { 1UL << 40, 2UL << 40 };
	unsigned long flushed = 0, nth = 0;
	struct samara_mm *child;
	int err;

	(void)state;
	tlb_unit_attach(&u.unit, m.mm);
	followed = NULL;
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
	tlb_unit_detach(&u.unit);
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
	struct recorder u = { .unit.ops = &few_ops };

	(void)state;
	tlb_unit_attach(&u.unit, m.mm);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned long addr = filled_page(&u);

		followed = NULL;
		calls = 0;
		cases[i].call(addr);
		assert_true(calls > 0);
		while (calls)
			assert_int_equal(log_[--calls].lost, cases[i].lost);
	}
	tlb_unit_detach(&u.unit);
}

static void what_is_young_is_asked_with_the_leaf_locked(void **state)
{
	struct recorder a = { .unit.ops = &all_ops }, b = { .unit.ops = &all_ops };
	struct ram *ram = m.machine->ram;
	unsigned long addr;

	(void)state;
	tlb_unit_attach(&a.unit, m.mm);
	tlb_unit_attach(&b.unit, m.mm);
	addr = filled_page(&a);
	looked = calls = 0;
	folio_get(followed);
	folio_lock(followed);
	/* The walk has set the accessed bit; then nothing has; then one unit says so. */
	assert_int_equal(folio_referenced(m.machine->store, followed), 1);
	assert_int_equal(folio_referenced(m.machine->store, followed), 0);
	a.young = true;
	assert_int_equal(folio_referenced(m.machine->store, followed), 1);
	folio_unlock(followed);
	folio_put(ram, followed);
	for (int i = 0; i < 3; i++) {
		assert_true(log_[looked].leaf_locked);
		expect(&b, YOUNG, addr, 0);
		expect(&a, YOUNG, addr, 0);
	}
	expect_no_more();
	tlb_unit_detach(&a.unit);
	tlb_unit_detach(&b.unit);
}

static void where_no_unit_tells_what_is_young_no_lock_is_taken(void **state)
{
	struct recorder tells = { .unit.ops = &all_ops }, other = { .unit.ops = &few_ops };
	unsigned long addr;

	(void)state;
	tlb_unit_attach(&other.unit, m.mm);
	tlb_unit_attach(&tells.unit, m.mm);
	addr = filled_page(&other);
	tells.young = true;
	assert_true(tlb_young(m.mm, addr));
	tlb_unit_detach(&tells.unit);
	spin_lock(&m.mm->watch.cpus_lock, RANK_TLB);
	assert_false(tlb_young(m.mm, addr));
	spin_unlock(&m.mm->watch.cpus_lock);
	tlb_unit_detach(&other.unit);
}

static void an_exit_flushes_and_lets_go(void **state)
{
	struct recorder a = { .unit.ops = &all_ops }, b = { .unit.ops = &few_ops };
	struct samara_mm *child, *parent = m.mm;

	(void)state;
	assert_int_equal(samara_fork(parent, &child), 0);
	m.mm = child; /* what record() looks at */
	tlb_unit_attach(&a.unit, child);
	tlb_unit_attach(&b.unit, child);
	filled_page(&a);
	followed = NULL;
	looked = calls = 0;
	samara_mm_exit(child);
	m.mm = parent;
	expect(&b, ALL, 0, ~0UL);
	expect(&a, ALL, 0, ~0UL);
	expect(&a, WAIT, 0, 0);
	expect(&a, DETACHED, 0, 0);
	expect_no_more();
	assert_null(a.unit.mm);
	assert_null(b.unit.mm);
}

static void a_unit_and_a_cpu_run_one_mm(void **state)
{
	struct recorder u = { .unit.ops = &few_ops };
	struct samara_cpu *cpu;
	unsigned long addr;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	tlb_unit_attach(&u.unit, m.mm);
	samara_cpu_run(cpu, m.mm);
	addr = filled_page(&u);
	looked = calls = 0;
	samara_cpu_enter(cpu);
	assert_non_null(samara_cpu_miss(cpu, addr, SAMARA_ACCESS_WRITE, NULL));
	assert_non_null(samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_WRITE));
	samara_cpu_exit(cpu);
	expect_no_more(); /* a CPU fills itself alone */
	followed = NULL;
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_READ), 0);
	assert_null(samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_WRITE));
	expect(&u, RANGE, addr, addr + MEM_PAGE - 1);
	expect_no_more();
	/* After it has left it hears nothing. */
	tlb_unit_detach(&u.unit);
	assert_int_equal(samara_munmap(m.mm, addr, MEM_PAGE), 0);
	expect_no_more();
	samara_cpu_destroy(cpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_miss_fills_with_the_leaf_locked),
		cmocka_unit_test(a_flush_begins_everywhere_before_it_waits),
		cmocka_unit_test(a_fork_flushes_what_it_protects),
		cmocka_unit_test(a_fork_flushes_no_shared_memory),
		cmocka_unit_test(a_fork_that_fails_flushes_what_it_protected),
		cmocka_unit_test(a_flush_says_what_was_lost),
		cmocka_unit_test(what_is_young_is_asked_with_the_leaf_locked),
		cmocka_unit_test(where_no_unit_tells_what_is_young_no_lock_is_taken),
		cmocka_unit_test(an_exit_flushes_and_lets_go),
		cmocka_unit_test(a_unit_and_a_cpu_run_one_mm),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
