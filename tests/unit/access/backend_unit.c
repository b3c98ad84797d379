/* SPDX-License-Identifier: MIT */
/*
 * <samara/backend.h>: what an attached unit is told, when, and with which locks held.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/backend.h>
#include <samara/cpu.h>
#include <samara/inject.h>
#include <samara/reclaim.h>

#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/mem.h"

#include "mmu/tlb_unit.h"
#include "rmap/rmap.h"

MEM_FIXTURE(m, 16UL << 20);

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

enum call { FLUSH = 1, WAIT, MOVED, DETACHED, CPU };

/* What a unit was told, and what it answers. */
struct seen {
	enum call call;
	unsigned long start, end;
	enum samara_lost lost;
	struct samara_translation t;
	bool stale; /* what a translation of before says in flush() and moved() */
	bool leaf_locked;
	unsigned char first; /* in moved(): of the new frame */
	bool cpu_has;        /* in moved(): the CPU remembers the page */
	const void *who;
};
static struct seen log_[16];
static unsigned int calls, looked;
static int moves; /* what moved() returns */
static int young;
static struct samara_translation before; /* of the page that the test is about */
static struct samara_cpu *cpu;

static struct seen *record(void *priv, enum call call)
{
	struct table *leaf = table_find(m.mm, before.addr);

	assert_in_range(calls, 0, 15);
	log_[calls] = (struct seen){
		.call = call,
		.who = priv,
		.stale = samara_translation_stale(m.mm, &before),
		.leaf_locked = leaf && spin_is_locked(&leaf->lock),
	};
	return &log_[calls++];
}

static void op_flush(void *priv, unsigned long start, unsigned long end, enum samara_lost lost)
{
	struct seen *s = record(priv, FLUSH);

	s->start = start;
	s->end = end;
	s->lost = lost;
}
static int op_moved(void *priv, const struct samara_translation *t)
{
	struct seen *s = record(priv, MOVED);

	s->t = *t;
	s->first = *(unsigned char *)pfn_to_virt(m.machine->ram, t->pfn);
	s->cpu_has = cpu && samara_cpu_lookup(cpu, t->addr, SAMARA_ACCESS_READ);
	assert_int_equal(samara_translation_stale(m.mm, t), 0);
	return moves;
}
static void op_wait(void *priv)
{
	record(priv, WAIT);
}
static int op_young(void *priv, unsigned long addr)
{
	(void)priv;
	assert_int_equal(addr, before.addr);
	return young;
}
static void op_detached(void *priv)
{
	record(priv, DETACHED);
}

static const struct samara_unit_ops all_ops = {
	.size = sizeof(all_ops),
	.flush = op_flush,
	.moved = op_moved,
	.wait = op_wait,
	.young = op_young,
	.detached = op_detached,
};
static const struct samara_unit_ops few_ops = { .size = sizeof(few_ops), .flush = op_flush };

static struct samara_unit *attach(const struct samara_unit_ops *ops, void *priv)
{
	struct samara_unit *unit;

	assert_int_equal(samara_unit_attach(m.mm, ops, priv, &unit), 0);
	return unit;
}

/* A page that was written to, and before, its translation. */
static unsigned long page_of(int prot)
{
	const unsigned long addr = mem_map(&m, 1, prot, ANON, NULL);

	assert_int_equal(samara_write(m.mm, addr, "b", 1, NULL), 1);
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_WRITE, 0, &before, NULL), 0);
	calls = looked = 0;
	return addr;
}

static const struct seen *expect(const void *who, enum call call)
{
	const struct seen *s = &log_[looked];

	assert_true(looked++ < calls);
	assert_int_equal(s->call, call);
	assert_ptr_equal(s->who, who);
	return s;
}
static void expect_flush(const void *who, unsigned long start, unsigned long end,
			 enum samara_lost lost)
{
	const struct seen *s = expect(who, FLUSH);

	assert_int_equal(s->start, start);
	assert_int_equal(s->end, end);
	assert_int_equal(s->lost, lost);
	assert_true(s->stale);
}
static void expect_no_more(void)
{
	assert_int_equal(looked, calls);
	calls = looked = 0;
}

static void a_unit_is_told_and_waited_for(void **state)
{
	struct samara_unit *unit = attach(&all_ops, &m);
	const unsigned long addr = page_of(RW);

	(void)state;
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_READ), 0);
	expect_flush(&m, addr, addr + MEM_PAGE, SAMARA_LOST_WRITE);
	assert_false(expect(&m, WAIT)->leaf_locked);
	expect_no_more();
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_COLD), 0);
	expect(&m, WAIT); /* no right was lost */
	expect_no_more();
	assert_int_equal(samara_munmap(m.mm, addr, MEM_PAGE), 0);
	expect_flush(&m, addr, addr + MEM_PAGE, SAMARA_LOST_ALL);
	expect(&m, WAIT);
	expect_no_more();
	samara_unit_detach(unit);
	(void)page_of(RW);
	assert_int_equal(samara_munmap(m.mm, before.addr, MEM_PAGE), 0);
	expect_no_more();
}

static void two_sides_of_a_fork(struct samara_mm **child)
{
	assert_int_equal(samara_fork(m.mm, child), 0);
	expect_flush(&m, before.addr, before.addr + MEM_PAGE, SAMARA_LOST_WRITE);
	expect(&m, WAIT);
	expect_no_more();
}

static void a_copy_is_exchanged_in_one_step(void **state)
{
	struct samara_unit *unit = attach(&all_ops, &m);
	const unsigned long addr = page_of(RW);
	struct samara_translation t;
	struct samara_mm *child;
	const struct seen *s;

	(void)state;
	two_sides_of_a_fork(&child);
	moves = 1;
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_WRITE, 0, &t, NULL), 0);
	s = expect(&m, MOVED);
	assert_true(s->stale && s->leaf_locked);
	assert_int_equal(s->first, 'b');
	assert_int_equal(s->t.addr, addr);
	assert_int_equal(s->t.pfn, t.pfn);
	assert_int_not_equal(t.pfn, before.pfn);
	assert_int_equal(s->t.rights, SAMARA_RIGHT_READ | SAMARA_RIGHT_WRITE);
	assert_int_equal(s->t.vma_start, addr);
	expect_no_more();
	samara_mm_exit(child);
	samara_unit_detach(unit);
}

static void a_copy_that_it_cannot_exchange_is_flushed(void **state)
{
	struct samara_unit *unit = attach(&all_ops, &m);
	const unsigned long addr = page_of(RW);
	struct samara_mm *child;

	(void)state;
	two_sides_of_a_fork(&child);
	moves = 0;
	assert_int_equal(samara_write(m.mm, addr, "c", 1, NULL), 1);
	expect(&m, MOVED);
	expect_flush(&m, addr, addr + MEM_PAGE, SAMARA_LOST_ALL);
	assert_true(expect(&m, WAIT)->leaf_locked);
	expect_no_more();
	samara_mm_exit(child);
	samara_unit_detach(unit);
}

/* No two of them use two frames for one page. */
static void all_others_are_flushed_before_one_exchanges(void **state)
{
	struct samara_unit *a = attach(&all_ops, &a), *b = attach(&all_ops, &b),
			   *c = attach(&few_ops, &c);
	const unsigned long addr = page_of(RW);
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	samara_cpu_enter(cpu);
	assert_non_null(samara_cpu_miss(cpu, addr, SAMARA_ACCESS_READ, NULL));
	samara_cpu_exit(cpu);
	calls = looked = 0;
	moves = 1;
	assert_int_equal(samara_write(m.mm, addr, "c", 1, NULL), 1);
	expect_flush(&c, addr, addr + MEM_PAGE, SAMARA_LOST_ALL);
	expect_flush(&a, addr, addr + MEM_PAGE, SAMARA_LOST_ALL);
	expect(&a, WAIT);
	assert_false(expect(&b, MOVED)->cpu_has);
	expect_no_more();
	samara_cpu_destroy(cpu);
	cpu = NULL;
	samara_mm_exit(child);
	samara_unit_detach(a);
	samara_unit_detach(b);
	samara_unit_detach(c);
}

static void what_a_unit_used_is_young(void **state)
{
	struct samara_unit *unit = attach(&all_ops, &m);
	const unsigned long addr = page_of(RW);
	struct folio *folio = mem_folio(&m, addr);

	(void)state;
	folio_get(folio);
	folio_lock(folio);
	assert_int_equal(folio_referenced(m.machine->store, folio), 1);
	assert_int_equal(folio_referenced(m.machine->store, folio), 0);
	young = 1;
	assert_int_equal(folio_referenced(m.machine->store, folio), 1);
	young = 0;
	folio_unlock(folio);
	folio_put(m.machine->ram, folio);
	samara_unit_detach(unit);
}

static void an_mm_may_end_before_its_unit(void **state)
{
	struct samara_mm *mm = m.mm;
	struct samara_unit *unit;

	(void)state;
	assert_int_equal(samara_mm_create(m.machine, &m.mm), 0);
	unit = attach(&all_ops, &m);
	page_of(RW);
	samara_mm_exit(m.mm);
	expect_flush(&m, 0, 0, SAMARA_LOST_ALL);
	expect(&m, WAIT);
	expect(&m, DETACHED);
	expect_no_more();
	assert_int_equal(samara_translation_stale(m.mm, &before), 1);
	samara_unit_detach(unit);
	m.mm = mm;
	samara_unit_detach(NULL);
}

static void a_childs_changes_are_not_told(void **state)
{
	struct samara_unit *unit = attach(&all_ops, &m);
	const unsigned long addr = page_of(RW);
	struct samara_mm *child;

	(void)state;
	two_sides_of_a_fork(&child);
	assert_int_equal(samara_write(child, addr, "c", 1, NULL), 1);
	assert_int_equal(samara_munmap(child, addr, MEM_PAGE), 0);
	samara_mm_exit(child);
	expect_no_more();
	samara_unit_detach(unit);
}

static void ops_that_are_none_are_refused(void **state)
{
	struct {
		struct samara_unit_ops ops;
		void *more;
	} newer = { .ops = few_ops, .more = &m };
	struct samara_unit_ops none = { .size = sizeof(none) };
	struct samara_unit *unit;

	(void)state;
	assert_int_equal(samara_unit_attach(m.mm, &none, NULL, &unit), -EINVAL);
	none.size = 0;
	assert_int_equal(samara_unit_attach(m.mm, &none, NULL, &unit), -EINVAL);
	newer.ops.size = sizeof(newer);
	assert_int_equal(samara_unit_attach(m.mm, &newer.ops, NULL, &unit), -E2BIG);
	newer.more = NULL;
	assert_int_equal(samara_unit_attach(m.mm, &newer.ops, NULL, &unit), 0);
	samara_unit_detach(unit);
	assert_int_equal(samara_inject_site("unit", 1), 0);
	assert_int_equal(samara_unit_attach(m.mm, &few_ops, NULL, &unit), -ENOMEM);
	assert_false(tlb_mm_runs(m.mm));
}

static void detach_in_child(void *arg)
{
	struct samara_unit *other;

	samara_unit_detach(arg);
	_exit(samara_unit_attach(m.mm, &few_ops, NULL, &other) == -ESRCH ? 7 : 8);
}

static void a_child_of_the_process_has_no_unit(void **state)
{
	struct samara_unit *unit = attach(&all_ops, &m);
	struct forked child;

	(void)state;
	run_forked(detach_in_child, unit, &child);
	assert_int_equal(child.status, 7);
	samara_unit_detach(unit);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_unit_is_told_and_waited_for),
		TEST(a_copy_is_exchanged_in_one_step),
		TEST(a_copy_that_it_cannot_exchange_is_flushed),
		TEST(all_others_are_flushed_before_one_exchanges),
		TEST(what_a_unit_used_is_young),
		TEST(an_mm_may_end_before_its_unit),
		TEST(a_childs_changes_are_not_told),
		TEST(ops_that_are_none_are_refused),
		TEST(a_child_of_the_process_has_no_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
