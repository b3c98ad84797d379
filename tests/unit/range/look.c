/* SPDX-License-Identifier: MIT */
/*
 * Page tables as reports show them. The numbers are what Linux 6.18 wrote to
 * /proc/self/pagemap and smaps for the same pages.
 */
#include <samara/access.h>

#include "support/cmocka_all.h"

#include "support/page_world.h"

static void pagemap_shows_what_linux_shows(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 16, VM_RW, &w->shmem);
	struct folio *anon = put_anon(vma, 0, 1), *file = put_file(vma, 1, 0);

	put_zero(vma, 2);
	put_marker(vma, 3, MARKER_GUARD);
	put_marker(vma, 4, MARKER_UFFD_WP);
	assert_int_equal(pagemap_entry(vma, PG(0)), 0x8100000000000000 | folio_pfn(w->ram, anon));
	assert_int_equal(pagemap_entry(vma, PG(1)), 0xa100000000000000 | folio_pfn(w->ram, file));
	assert_int_equal(pagemap_entry(vma, PG(2)), 0x8000000000000000 | ZERO_FRAME);
	assert_int_equal(pagemap_entry(vma, PG(3)), 0x440000000000009f);
	assert_int_equal(pagemap_entry(vma, PG(4)), 0x420000000000003f);
	assert_int_equal(pagemap_entry(vma, PG(5)), 0);
	assert_int_equal(pagemap_entry(vma, PG(5000)), 0);
	assert_int_equal(pagemap_entry(NULL, PG(0)), 0);
	put_pte(vma, 6, pte_with(mk_pte(ZERO_FRAME, VM_READ), PTE_SPECIAL | PTE_UFFD_WP));
	assert_int_equal(pagemap_entry(vma, PG(6)), 0x8200000000000000 | ZERO_FRAME);
	change_protection(vma, PG(0), PG(16), VM_RW & ~(VM_READ | VM_WRITE));
	assert_int_equal(pagemap_entry(vma, PG(0)), 0x8100000000000000 | folio_pfn(w->ram, anon));
	assert_int_equal(copy_page_range(world_fork(w, world_mm(w), vma), vma, NULL), 0);
	assert_int_equal(pagemap_entry(vma, PG(0)), 0x8000000000000000 | folio_pfn(w->ram, anon));
	assert_int_equal(pagemap_entry(vma, PG(1)), 0xa000000000000000 | folio_pfn(w->ram, file));
}

static void the_sums_are_those_of_smaps(void **state)
{
	struct world *w = *state;
	struct vma *shared = world_vma(w, 0, 600, VM_RW | VM_SHARED_BITS, &w->shmem), *private;
	struct range_look look;

	/*
	 * Two pages, one written to; a private mapping of the file reads the first and writes
	 * another.
	 */
	put_file(shared, 0, PTE_DIRTY | PTE_WRITE);
	put_file(shared, 513, 0);
	private = world_vma(w, 1000, 1600, VM_RW, &w->shmem);
	private->vm_pgoff = 0;
	put_file(private, 1000, 0);
	put_anon(private, 1001, 1);
	put_zero(private, 1002);
	put_marker(private, 1003, MARKER_GUARD);
	range_look(shared, PG(0), PG(600), &look);
	assert_int_equal(look.present, 2);
	assert_int_equal(look.rss, 2);
	assert_int_equal(look.shared, 1);
	assert_int_equal(look.shared_dirty, 1);
	assert_int_equal(look.dirty, 1);
	assert_int_equal(look.referenced, 2);
	assert_int_equal(look.anon, 0);
	assert_int_equal(look.pss >> 12, 6144);
	assert_int_equal(look.pss_dirty >> 12, 2048);
	range_look(private, PG(1000), PG(1600), &look);
	assert_int_equal(look.present, 3);
	assert_int_equal(look.rss, 2);
	assert_int_equal(look.anon, 1);
	assert_int_equal(look.shared, 1);
	assert_int_equal(look.pss >> 12, 6144);
	range_look(private, PG(1003), PG(1004), &look);
	assert_int_equal(look.present, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(pagemap_shows_what_linux_shows),
		test(the_sums_are_those_of_smaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
