/* SPDX-License-Identifier: MIT */
/*
 * A second implementation of what runs an mm (mmu/tlb_unit.h), beside the built-in TLB: it
 * remembers nothing and writes down each call, with the locks that were held.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/cpu.h>

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
	(void)lost;
}
static void rec_all(struct tlb_unit *unit, enum tlb_lost lost)
{
	record(unit, ALL, 0, ~0UL);
	(void)lost;
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
		cmocka_unit_test(what_is_young_is_asked_with_the_leaf_locked),
		cmocka_unit_test(where_no_unit_tells_what_is_young_no_lock_is_taken),
		cmocka_unit_test(an_exit_flushes_and_lets_go),
		cmocka_unit_test(a_unit_and_a_cpu_run_one_mm),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
