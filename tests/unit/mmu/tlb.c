/* SPDX-License-Identifier: MIT */
/*
 * The TLB of one CPU: what it remembers, for how long, and for which accesses.
 */
#include <errno.h>

#include "space.h"

#include "mmu/tlb.h"
#include "support/at_locks.h"
#include "support/forked.h"

#define AT (1UL << 40)
#define RW (VM_READ | VM_WRITE)
#define FRAMES 4

struct one_cpu {
	struct space s;
	struct samara_cpu *cpu;
};

static void up(struct one_cpu *o)
{
	space_up(&o->s, samara_geometry_x86_64());
	space_ram(&o->s, FRAMES);
	assert_int_equal(samara_cpu_create(&o->s.machine, &o->cpu), 0);
	samara_cpu_run(o->cpu, o->s.mm);
}

static void down(struct one_cpu *o)
{
	samara_cpu_destroy(o->cpu);
	space_down(&o->s);
}

static char *frame(struct one_cpu *o, unsigned long pfn)
{
	return o->s.ram.base + pfn * PAGE;
}

/* Map and remember. */
static void remember(struct one_cpu *o, unsigned long addr, pte_t pte)
{
	struct table *leaf;

	set_entry(o->s.mm, addr, pte);
	leaf = table_find(o->s.mm, addr);
	table_lock(leaf);
	tlb_fill(o->cpu, o->s.mm, addr, pte);
	table_unlock(leaf);
}

static void *look(struct one_cpu *o, unsigned long addr, enum samara_access access)
{
	void *p;

	samara_cpu_enter(o->cpu);
	p = samara_cpu_lookup(o->cpu, addr, access);
	samara_cpu_exit(o->cpu);
	return p;
}

static void *look_read(struct one_cpu *o, unsigned long addr)
{
	return look(o, addr, SAMARA_ACCESS_READ);
}

static void forget(struct one_cpu *o, unsigned long addr)
{
	set_entry(o->s.mm, addr, pte_empty());
}

static void what_was_filled_is_found_and_nothing_else(void **state)
{
	struct one_cpu o;

	(void)state;
	up(&o);
	assert_null(look_read(&o, AT));
	remember(&o, AT, mk_pte(2, VM_READ));
	assert_ptr_equal(look_read(&o, AT), frame(&o, 2));
	assert_ptr_equal(look_read(&o, AT + 123), frame(&o, 2) + 123);
	assert_null(look_read(&o, AT + PAGE));
	assert_null(look_read(&o, AT + SAMARA_TLB_ENTRIES * PAGE)); /* the same slot */
	assert_null(look_read(&o, ~0UL));
	forget(&o, AT);
	down(&o);
}

static void rights_are_those_of_the_entry(void **state)
{
	const pte_t read = mk_pte(1, VM_READ), exec = mk_pte(1, VM_READ | VM_EXEC);
	const pte_t write = pte_with(read, PTE_WRITE), dirty = pte_with(write, PTE_DIRTY);
	const struct {
		pte_t pte;
		bool read, write, exec;
	} cases[] = {
		{ read, true, false, false },
		{ exec, true, false, true },
		{ write, true, false, false },
		{ dirty, true, true, false },
		{ pte_with(read, PTE_DIRTY), true, false, false },
		{ mk_pte(1, 0), false, false, false },
		{ mk_swp(SWP_MARKER, MARKER_POISON), false, false, false },
	};
	struct one_cpu o;

	(void)state;
	up(&o);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		remember(&o, AT, cases[i].pte);
		assert_int_equal(!!look(&o, AT, SAMARA_ACCESS_READ), cases[i].read);
		assert_int_equal(!!look(&o, AT, SAMARA_ACCESS_WRITE), cases[i].write);
		assert_int_equal(!!look(&o, AT, SAMARA_ACCESS_EXEC), cases[i].exec);
	}
	assert_int_equal(o.cpu->hits_lost, 0);
	forget(&o, AT);
	down(&o);
}

static void a_stale_entry_is_used_until_it_is_flushed(void **state)
{
	struct one_cpu o;

	(void)state;
	up(&o);
	remember(&o, AT, pte_with(mk_pte(1, RW), PTE_WRITE | PTE_DIRTY));
	set_entry(o.s.mm, AT, mk_pte(2, VM_READ));
	assert_ptr_equal(look_read(&o, AT), frame(&o, 1));
	assert_ptr_equal(look(&o, AT, SAMARA_ACCESS_WRITE), frame(&o, 1));
	forget(&o, AT);
	assert_ptr_equal(look_read(&o, AT), frame(&o, 1));
	tlb_flush_range(o.s.mm, AT, AT + PAGE, TLB_LOST_ALL);
	assert_null(look_read(&o, AT));
	assert_null(look(&o, AT, SAMARA_ACCESS_WRITE));
	down(&o);
}

static void a_flush_takes_its_range_and_no_more(void **state)
{
	const unsigned long wide = 4 * SAMARA_TLB_ENTRIES * PAGE;
	const struct {
		unsigned long start, end;
		unsigned int left; /* bit n: page n is still known */
	} cases[] = {
		{ AT, AT + PAGE, 0xe },
		{ AT + PAGE, AT + 3 * PAGE, 0x9 },
		{ AT + 2 * PAGE + 1, AT + 2 * PAGE + 2, 0xb },
		{ AT + 4 * PAGE, AT + wide, 0xf },
		{ AT - wide, AT + PAGE, 0xe },
		{ AT + 2 * PAGE, AT + 2 * PAGE + wide, 0x3 },
		{ AT + 3 * PAGE, 0, 0x7 },
		{ AT + SAMARA_TLB_ENTRIES * PAGE, AT + (SAMARA_TLB_ENTRIES + 4) * PAGE, 0xf },
		{ 0, 0, 0 },
	};
	struct one_cpu o;

	(void)state;
	up(&o);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int left = 0;

		for (unsigned int page = 0; page < 4; page++)
			remember(&o, AT + page * PAGE, mk_pte(page, VM_READ));
		tlb_flush_range(o.s.mm, cases[i].start, cases[i].end, TLB_LOST_ALL);
		for (unsigned int page = 0; page < 4; page++)
			left |= look_read(&o, AT + page * PAGE) ? 1U << page : 0;
		assert_int_equal(left, cases[i].left);
	}
	remember(&o, AT, mk_pte(1, VM_READ));
	tlb_flush_mm(o.s.mm, TLB_LOST_ALL);
	assert_null(look_read(&o, AT));
	assert_int_equal(o.cpu->flushes, ARRAY_SIZE(cases) + 1);
	for (unsigned int page = 0; page < 4; page++)
		forget(&o, AT + page * PAGE);
	down(&o);
}

static void pages_of_one_slot_push_each_other_out(void **state)
{
	const unsigned long other = AT + 2 * SAMARA_TLB_ENTRIES * PAGE;
	struct one_cpu o;

	(void)state;
	up(&o);
	remember(&o, AT, pte_with(mk_pte(1, RW), PTE_WRITE | PTE_DIRTY));
	remember(&o, other, mk_pte(2, VM_READ));
	assert_int_equal(o.cpu->hits_lost, 1);
	assert_null(look_read(&o, AT));
	assert_null(look(&o, AT, SAMARA_ACCESS_WRITE));
	assert_null(look(&o, other, SAMARA_ACCESS_WRITE));
	assert_ptr_equal(look_read(&o, other), frame(&o, 2));
	/* Flushing the one that was pushed out leaves the other. */
	tlb_flush_range(o.s.mm, AT, AT + PAGE, TLB_LOST_ALL);
	assert_ptr_equal(look_read(&o, other), frame(&o, 2));
	forget(&o, AT);
	forget(&o, other);
	down(&o);
}

static void every_cpu_of_the_mm_is_flushed_and_no_other(void **state)
{
	struct samara_cpu *cpu[3];
	struct one_cpu o, elsewhere;
	struct table *leaf;

	(void)state;
	up(&o);
	up(&elsewhere);
	remember(&elsewhere, AT, mk_pte(1, VM_READ));
	set_entry(o.s.mm, AT, mk_pte(1, VM_READ));
	leaf = table_find(o.s.mm, AT);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(samara_cpu_create(&o.s.machine, &cpu[i]), 0);
		samara_cpu_run(cpu[i], o.s.mm);
		table_lock(leaf);
		tlb_fill(cpu[i], o.s.mm, AT, mk_pte(1, VM_READ));
		table_unlock(leaf);
	}
	samara_cpu_destroy(cpu[1]);
	tlb_flush_mm(o.s.mm, TLB_LOST_ALL);
	assert_null(samara_cpu_lookup(cpu[0], AT, SAMARA_ACCESS_READ));
	assert_null(samara_cpu_lookup(cpu[2], AT, SAMARA_ACCESS_READ));
	assert_non_null(look_read(&elsewhere, AT));
	samara_cpu_destroy(cpu[2]);
	samara_cpu_destroy(cpu[0]);
	samara_cpu_destroy(NULL);
	forget(&o, AT);
	forget(&elsewhere, AT);
	down(&elsewhere);
	down(&o);
}

static void another_mm_or_none_starts_empty(void **state)
{
	struct one_cpu o, other;

	(void)state;
	up(&o);
	up(&other);
	remember(&o, AT, mk_pte(1, VM_READ));
	samara_cpu_run(o.cpu, o.s.mm); /* the same: nothing is lost */
	assert_non_null(look_read(&o, AT));
	samara_cpu_run(o.cpu, other.s.mm);
	assert_null(look_read(&o, AT));
	assert_false(tlb_mm_runs(o.s.mm));
	samara_cpu_run(o.cpu, o.s.mm);
	remember(&o, AT, mk_pte(1, VM_READ));
	remember(&o, 0, mk_pte(2, VM_READ));
	samara_cpu_run(o.cpu, NULL);
	assert_null(look_read(&o, AT));
	assert_null(look_read(&o, 0));
	assert_null(o.cpu->mm);
	forget(&o, AT);
	forget(&o, 0);
	down(&other);
	down(&o);
}

static void an_mm_that_exits_takes_its_cpus_off(void **state)
{
	struct samara_cpu *second;
	struct one_cpu o;

	(void)state;
	up(&o);
	assert_int_equal(samara_cpu_create(&o.s.machine, &second), 0);
	samara_cpu_run(second, o.s.mm);
	remember(&o, AT, mk_pte(1, VM_READ));
	tlb_mm_exit(o.s.mm);
	assert_false(tlb_mm_runs(o.s.mm));
	assert_null(o.cpu->mm);
	assert_null(second->mm);
	assert_null(look_read(&o, AT));
	samara_cpu_run(second, o.s.mm); /* goes on elsewhere */
	assert_ptr_equal(second->mm, o.s.mm);
	samara_cpu_destroy(second);
	forget(&o, AT);
	down(&o);
}

/* An mm's list changes under its lock only: CPUs that join it, and CPUs that leave it anywhere. */
static void guard_place(struct one_cpu *o, struct samara_cpu *cpu)
{
	struct tlb_unit *unit = cpu_unit(cpu);

	guard_add(&o->s.mm->watch.cpus_lock, &unit->next, sizeof(unit->next), "next");
}

static void the_cpus_of_an_mm_change_under_its_lock(void **state)
{
	struct samara_cpu *cpu[3];
	struct one_cpu o;

	(void)state;
	if (!at_locks_available())
		skip();
	up(&o);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(samara_cpu_create(&o.s.machine, &cpu[i]), 0);
		guard_place(&o, cpu[i]);
	}
	guard_place(&o, o.cpu);
	guard_add(&o.s.mm->watch.cpus_lock, &o.s.mm->watch.cpus, sizeof(o.s.mm->watch.cpus),
		  "cpus");
	for (int i = 0; i < 3; i++)
		samara_cpu_run(cpu[i], o.s.mm);
	samara_cpu_run(cpu[1], NULL); /* from the middle, */
	samara_cpu_run(cpu[2], NULL); /* the first, */
	samara_cpu_run(o.cpu, NULL);  /* the last */
	samara_cpu_run(o.cpu, o.s.mm);
	tlb_mm_exit(o.s.mm);
	guard_end();
	assert_null(o.s.mm->watch.cpus);
	for (int i = 0; i < 3; i++)
		samara_cpu_destroy(cpu[i]);
	down(&o);
}

static void a_refused_cpu_is_none(void **state)
{
	struct samara_cpu *cpu = NULL;
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	samara_inject_nth(1);
	assert_int_equal(samara_cpu_create(&s.machine, &cpu), -ENOMEM);
	samara_inject_nth(0);
	assert_null(cpu);
	space_down(&s);
}

#ifdef SAMARA_DEBUG
static void flush_inside(void *arg)
{
	struct one_cpu *o = arg;

	unsetenv("SAMARA_FATAL_WARNINGS");
	samara_cpu_enter(o->cpu);
	tlb_flush_mm(o->s.mm, TLB_LOST_ALL);
	_Exit(samara_warnings() == 1 ? 7 : 8);
}

static void run_inside(void *arg)
{
	struct one_cpu *o = arg;

	samara_cpu_enter(o->cpu);
	samara_cpu_run(o->cpu, NULL);
}

static void misuse_of_a_section_is_noticed(void **state)
{
	struct forked result;
	struct one_cpu o;

	(void)state;
	up(&o);
	run_forked(flush_inside, &o, &result);
	assert_int_equal(result.signal, 0);
	assert_int_equal(result.status, 7);
	assert_non_null(strstr(result.text, "WARN"));
	run_forked(run_inside, &o, &result);
	assert_non_null(strstr(result.text, "BUG"));
	down(&o);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_filled_is_found_and_nothing_else),
		cmocka_unit_test(rights_are_those_of_the_entry),
		cmocka_unit_test(a_stale_entry_is_used_until_it_is_flushed),
		cmocka_unit_test(a_flush_takes_its_range_and_no_more),
		cmocka_unit_test(pages_of_one_slot_push_each_other_out),
		cmocka_unit_test(every_cpu_of_the_mm_is_flushed_and_no_other),
		cmocka_unit_test(another_mm_or_none_starts_empty),
		cmocka_unit_test(an_mm_that_exits_takes_its_cpus_off),
		cmocka_unit_test(the_cpus_of_an_mm_change_under_its_lock),
		cmocka_unit_test(a_refused_cpu_is_none),
#ifdef SAMARA_DEBUG
		cmocka_unit_test(misuse_of_a_section_is_noticed),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
