/* SPDX-License-Identifier: MIT */
/*
 * Entries: what goes in comes out, the kinds exclude each other; and the validator calls each
 * kind of damage to the tables by its name.
 */
#include <errno.h>

#include "space.h"

#include "mmu/pte.h"

#define RANDOM_FLAGS (PTE_WRITE | PTE_DIRTY | PTE_SPECIAL | PTE_SOFT_DIRTY | PTE_UFFD_WP)

static void a_present_entry_keeps_frame_and_bits(void **state)
{
	const unsigned long pfn[] = { 0, 1, 0x12345, (1UL << 40) - 1 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(pfn); i++) {
		for (unsigned long flags = 0; flags < 8; flags++) {
			const unsigned long vm = flags; /* VM_READ 1, VM_WRITE 2, VM_EXEC 4 */
			const pte_t pte = mk_pte(pfn[i], vm), more = pte_with(pte, RANDOM_FLAGS);

			assert_int_equal(pte_pfn(pte), pfn[i]);
			assert_true(pte_present(pte) && !pte_none(pte) && !pte_swp(pte));
			assert_int_equal(pte_accessible(pte), vm != 0);
			assert_int_equal(pte_exec(pte), !!(vm & VM_EXEC));
			assert_true(pte_young(pte));
			assert_false(pte_write(pte) || pte_dirty(pte) || pte_special(pte));
			assert_int_equal(pte_pfn(more), pfn[i]);
			assert_true(pte_write(more) && pte_dirty(more) && pte_special(more) &&
				    pte_uffd_wp(more));
			assert_true(pte_same(pte_without(more, RANDOM_FLAGS), pte));
			assert_int_equal(pte_marker(more), 0);
		}
	}
}

static void bits_are_where_x86_has_them(void **state)
{
	(void)state;
	assert_int_equal(mk_pte(0x1234, VM_READ).v, 0x8000000001234025ULL);
	assert_int_equal(mk_pte(0x1234, VM_READ | VM_EXEC).v, 0x1234025ULL);
	assert_int_equal(pte_with(mk_pte(1, VM_READ | VM_EXEC), PTE_WRITE | PTE_DIRTY).v,
			 0x1067ULL);
}

static void a_swap_entry_keeps_type_and_value(void **state)
{
	const uint64_t value[] = { 0, 1, 0x1234567890, (1ULL << 48) - 1 };

	(void)state;
	for (unsigned int type = 1; type < SWP_TYPES; type++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(value); i++) {
			const pte_t pte = mk_swp(type, value[i]);

			assert_int_equal(swp_type(pte), type);
			assert_int_equal(swp_value(pte), value[i]);
			assert_true(pte_swp(pte));
			assert_false(pte_none(pte) || pte_present(pte) || pte_accessible(pte));
		}
	}
	assert_int_equal(pte_marker(mk_swp(SWP_MARKER, MARKER_POISON | MARKER_GUARD)),
			 MARKER_POISON | MARKER_GUARD);
	assert_int_equal(pte_marker(mk_swp(SWP_AREA, MARKER_POISON)), 0);
	assert_int_equal(pte_marker(pte_empty()), 0);
	assert_true(pte_none(pte_empty()));
	assert_false(pte_swp(pte_empty()) || pte_present(pte_empty()));
}

/* damage ----------------------------------------------------------------------- */

static void expect(struct samara_mm *mm, const char *invariant)
{
	struct samara_report report = { .invariant = NULL };

	assert_int_equal(pgtable_validate(mm, &report), -EUCLEAN);
	assert_string_equal(report.invariant, invariant);
	assert_true(report.text[0]);
	assert_int_equal(pgtable_validate(mm, NULL), -EUCLEAN);
}

static void each_broken_invariant_is_named(void **state)
{
	const unsigned long addr = 1UL << 40;
	struct table *leaf, *above;
	struct space s;
	pte_t *at;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	space_ram(&s, 4);
	assert_int_equal(pgtable_validate(s.mm, NULL), 0);
	set_entry(s.mm, addr, mk_pte(3, VM_READ));
	set_entry(s.mm, addr + PAGE, mk_swp(SWP_MARKER, MARKER_GUARD));
	leaf = table_find(s.mm, addr);
	at = table_pte(s.mm, leaf, addr);
	above = table_child(table_child(s.mm->tables.pgd, table_index(s.mm->geo, 3, addr)),
			    table_index(s.mm->geo, 2, addr));
	assert_ptr_equal(table_child(above, table_index(s.mm->geo, 1, addr)), leaf);
	assert_int_equal(pgtable_validate(s.mm, NULL), 0);

	leaf->level = 1;
	expect(s.mm, "level");
	leaf->level = 0;
	leaf->base += PAGE;
	expect(s.mm, "base");
	leaf->base -= PAGE;
	leaf->used++;
	expect(s.mm, "used");
	leaf->used--;
	above->used++;
	expect(s.mm, "used");
	above->used--;
	pte_set(at, mk_pte(4, VM_READ)); /* there are 4 frames */
	expect(s.mm, "entry");
	pte_set(at, pte_with(mk_pte(3, VM_READ), PTE_NONE_ACCESS));
	expect(s.mm, "entry");
	pte_set(at, mk_swp(0, 1));
	expect(s.mm, "entry");
	pte_set(at, (pte_t){ PTE_DIRTY });
	expect(s.mm, "entry");
	pte_set(at, mk_pte(3, VM_READ));
	s.mm->tables.nr++;
	expect(s.mm, "nr_tables");
	s.mm->tables.nr--;

	set_entry(s.mm, addr, pte_empty());
	set_entry(s.mm, addr + PAGE, pte_empty());
	space_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_present_entry_keeps_frame_and_bits),
		cmocka_unit_test(bits_are_where_x86_has_them),
		cmocka_unit_test(a_swap_entry_keeps_type_and_value),
		cmocka_unit_test(each_broken_invariant_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
