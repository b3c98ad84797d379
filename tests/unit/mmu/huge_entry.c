/* SPDX-License-Identifier: MIT */
/*
 * A huge entry: an entry above level 0 that is no table. No code makes one yet, so these tests make
 * it by hand, and see that no walk of the page tables takes it for a table.
 */
#include <errno.h>

#include "space.h"

#include "support/forked.h"

#define HUGE (512 * PAGE)
#define GIB (512 * HUGE)
/* Two huge parts that lie in one table of level 1. */
#define AT (3 * GIB)
#define NEXT (AT + HUGE)

/* Address bits 6 and 7 of a table may be set, where an entry has its dirty and its huge bit. */
static pte_t huge_pte(void)
{
	return pte_with(mk_pte(512, VM_READ | VM_WRITE), PTE_HUGE | PTE_DIRTY | PTE_WRITE);
}

/* A huge entry at AT, and a leaf table at NEXT. */
static void up(struct space *s)
{
	space_up(s, samara_geometry_x86_64());
	must_get(s->mm, NEXT);
	set_huge(s->mm, AT, 1, huge_pte());
}

static void down(struct space *s)
{
	set_huge(s->mm, AT, 1, pte_empty());
	space_down(s);
}

static const struct {
	const char *name;
	enum entry_kind kind;
	uint64_t v;
} kinds[] = {
	{ "nothing", ENTRY_NONE, 0 },
	{ "present", ENTRY_HUGE, 512UL << PTE_PFN_SHIFT | PTE_PRESENT | PTE_HUGE },
	{ "PROT_NONE", ENTRY_HUGE, 512UL << PTE_PFN_SHIFT | PTE_NONE_ACCESS | PTE_HUGE },
	{ "all flags", ENTRY_HUGE, ~PTE_PFN_MASK & ~PTE_TABLE },
	{ "marker", ENTRY_HUGE, MARKER_GUARD << PTE_SWP_VALUE_SHIFT | SWP_MARKER << 9 | PTE_SWP },
	{ "migration", ENTRY_HUGE, 512UL << PTE_SWP_VALUE_SHIFT | SWP_MIGRATION_EXCL << 9 | 2 },
	{ "table", ENTRY_TABLE, 0x7f1234567000 | PTE_TABLE },
	{ "table at an odd line", ENTRY_TABLE, 0x7f12345670c0 | PTE_TABLE },
};

static void an_entry_is_nothing_a_table_or_huge(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		const pte_t entry = { kinds[i].v };

		if (entry_kind(entry) != kinds[i].kind)
			fail_msg("%s", kinds[i].name);
		if (kinds[i].kind == ENTRY_TABLE)
			assert_int_equal((uintptr_t)entry_table(entry), kinds[i].v - PTE_TABLE);
	}
}

static void a_table_in_an_upper_entry_is_one_at_every_address(void **state)
{
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	for (unsigned long i = 0; i < 300; i++) {
		struct table *leaf = must_get(s.mm, AT + i * HUGE);

		assert_ptr_equal(table_find(s.mm, AT + i * HUGE), leaf);
		assert_ptr_equal(table_child(upper_table(s.mm, AT + i * HUGE, 1), i), leaf);
	}
	space_down(&s);
}

static void no_leaf_table_is_found_there_and_none_is_made(void **state)
{
	struct table *leaf = NULL;
	unsigned long live;
	struct space s;

	(void)state;
	up(&s);
	live = samara_live_objects();
	for (unsigned long addr = AT; addr < NEXT; addr += 101 * PAGE) {
		assert_null(table_find(s.mm, addr));
		assert_true(pte_same(table_look(s.mm, addr), huge_pte()));
		assert_int_equal(table_get(s.mm, addr, &leaf), -EEXIST);
		assert_null(leaf);
	}
	assert_int_equal(samara_live_objects(), live);
	assert_int_equal(s.mm->tables.nr, 4);
	/* Its neighbours are not touched by it. */
	assert_non_null(table_find(s.mm, NEXT));
	table_refuse_huge(s.mm, NEXT);
	table_refuse_huge(s.mm, AT - PAGE);
	set_huge(s.mm, AT, 1, pte_empty());
	must_get(s.mm, AT);
	table_refuse_huge(s.mm, AT);
	space_down(&s);
}

static void a_look_finds_the_entry_of_whatever_level(void **state)
{
	const pte_t pte = mk_pte(3, VM_READ);
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	assert_true(pte_none(table_look(s.mm, AT)));
	set_entry(s.mm, NEXT, pte);
	assert_true(pte_same(table_look(s.mm, NEXT), pte));
	assert_true(pte_none(table_look(s.mm, NEXT + PAGE)));
	assert_true(pte_none(table_look(s.mm, AT)));
	assert_true(pte_none(table_look(s.mm, 7 * GIB)));
	set_huge(s.mm, 7 * GIB, 2, huge_pte());
	assert_true(pte_same(table_look(s.mm, 7 * GIB + 77 * HUGE + PAGE), huge_pte()));
	set_huge(s.mm, 7 * GIB, 2, pte_empty());
	set_entry(s.mm, NEXT, pte_empty());
	space_down(&s);
}

static void next_stops_at_it_and_goes_on_behind_it(void **state)
{
	unsigned long addr = GIB, end = 9 * GIB;
	struct table *table;
	struct space s;

	(void)state;
	up(&s);
	set_huge(s.mm, 7 * GIB, 2, huge_pte());

	table = table_next(s.mm, &addr, end);
	assert_ptr_equal(table, upper_table(s.mm, AT, 1));
	assert_int_equal(addr, AT);
	addr += HUGE;
	assert_ptr_equal(table_next(s.mm, &addr, end), table_find(s.mm, NEXT));
	assert_int_equal(addr, NEXT);
	addr += HUGE;
	table = table_next(s.mm, &addr, end);
	assert_ptr_equal(table, upper_table(s.mm, 7 * GIB, 2));
	assert_int_equal(addr, 7 * GIB);
	/* From the middle of one. */
	addr = 7 * GIB + 5 * HUGE + PAGE;
	assert_ptr_equal(table_next(s.mm, &addr, end), table);
	assert_int_equal(addr, 7 * GIB + 5 * HUGE + PAGE);
	addr = 8 * GIB;
	assert_null(table_next(s.mm, &addr, end));
	set_huge(s.mm, 7 * GIB, 2, pte_empty());
	down(&s);
}

static void tables_above_it_stay_until_it_has_gone(void **state)
{
	struct table_list gone = { NULL };
	struct space s;

	(void)state;
	up(&s);
	table_free_range(s.mm, AT, NEXT + HUGE, 0, 0, &gone);
	table_list_free(&gone);
	assert_int_equal(s.mm->tables.nr, 3); /* but for the leaf beside it */
	assert_true(pte_same(table_look(s.mm, AT), huge_pte()));
	set_huge(s.mm, AT, 1, pte_empty());
	gone.first = NULL;
	table_free_range(s.mm, AT, NEXT + HUGE, 0, 0, &gone);
	table_list_free(&gone);
	assert_int_equal(s.mm->tables.nr, 1);
	space_down(&s);
}

static void the_validator_names_it(void **state)
{
	struct samara_report report = { 0 };
	struct space s;

	(void)state;
	up(&s);
	assert_int_equal(pgtable_validate(s.mm, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "entry");
	down(&s);
}

static void refuse(void *arg)
{
	table_refuse_huge(((struct space *)arg)->mm, AT + 5 * PAGE);
}

static void a_walker_that_refuses_it_ends_the_process(void **state)
{
	struct forked result;
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	must_get(s.mm, NEXT);
	run_forked(refuse, &s, &result);
	assert_int_equal(result.signal, 0);
	assert_int_equal(result.status, 0);
	set_huge(s.mm, AT, 1, huge_pte());
	run_forked(refuse, &s, &result);
	assert_non_null(strstr(result.text, "BUG"));
	assert_non_null(strstr(result.text, "mmu/table.c"));
	down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_is_nothing_a_table_or_huge),
		cmocka_unit_test(a_table_in_an_upper_entry_is_one_at_every_address),
		cmocka_unit_test(no_leaf_table_is_found_there_and_none_is_made),
		cmocka_unit_test(a_look_finds_the_entry_of_whatever_level),
		cmocka_unit_test(next_stops_at_it_and_goes_on_behind_it),
		cmocka_unit_test(tables_above_it_stay_until_it_has_gone),
		cmocka_unit_test(the_validator_names_it),
		cmocka_unit_test(a_walker_that_refuses_it_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
