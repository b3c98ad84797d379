/* SPDX-License-Identifier: MIT */
/*
 * Pages that are write-protected by userfaultfd: the bit goes where the page goes, and goes with
 * the registration. The answers are those that tools/uffd_facts got of Linux 6.18.
 */
#define _GNU_SOURCE
#include <errno.h>

#include <samara/reclaim.h>

#include "wp.h"

/* what else happens to a page --------------------------------------------------------- */

static void rights_come_and_go_beside_it(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(ASYNC);

	(void)state;
	paged_put(m.mm, at, 5);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, PAGES, ON), 0);
	assert_int_equal(samara_mprotect(m.mm, at, PAGES * MEM_PAGE, PROT_NONE), 0);
	assert_pm(at, "wp");
	assert_pm(page(at, 1), "swap wp");
	assert_int_equal(wp(uffd, at, 1, 0), 0);
	assert_false(pte_write(mem_pte(&m, at)) || pte_accessible(mem_pte(&m, at)));
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	assert_int_equal(samara_mprotect(m.mm, at, PAGES * MEM_PAGE, RW), 0);
	assert_pm(at, "wp");
	assert_false(pte_write(mem_pte(&m, at)));
	assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, MADV_FREE), 0);
	assert_pm(at, "wp");
	assert_noted(at);
	samara_uffd_put(uffd);
}

static void unsharing_keeps_it(void **state)
{
	const unsigned long at = map_file(PAGES, MAP_PRIVATE);
	struct samara_uffd *uffd = uffd_new(0);
	struct samara_pin pin[2];

	(void)state;
	(void)paged_get(m.mm, at);
	assert_pm(at, "file");
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	assert_int_equal(samara_pin_pages(m.mm, at, 1, SAMARA_PIN_LONGTERM, pin), 1);
	assert_pm(at, "wp");
	assert_false(pte_write(mem_pte(&m, at)));
	samara_unpin_pages(pin, 1, 0);
	samara_uffd_put(uffd);
	assert_pm(at, "present");
}

static void a_page_that_is_out_has_it_too(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(ASYNC);

	(void)state;
	for (unsigned long n = 0; n < 4; n++)
		paged_put(m.mm, page(at, n), 5);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	for (unsigned long n = 0; n < 4; n++)
		assert_int_equal(page_out(&p, page(at, n), PAGED_DROP), 0);
	assert_pm(at, "swap wp");
	assert_pm(page(at, 1), "swap");
	assert_int_equal(wp(uffd, at, 3, ON), 0);
	assert_int_equal(wp(uffd, page(at, 2), 1, 0), 0);
	assert_pm(page(at, 1), "swap wp");
	assert_pm(page(at, 2), "swap");
	assert_int_equal(paged_get(m.mm, page(at, 1)), 5);
	assert_pm(page(at, 1), "wp");
	assert_false(pte_write(mem_pte(&m, page(at, 1))));
	assert_noted(at);
	assert_noted(page(at, 1));
	assert_pm(page(at, 3), "swap");
	samara_uffd_put(uffd);
}

/* Swap is switched off: the pages come back as they went. */
static void swapoff_brings_it_back(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(ASYNC);

	(void)state;
	paged_put(m.mm, at, 5);
	paged_put(m.mm, page(at, 1), 5);
	assert_int_equal(page_out(&p, at, PAGED_DROP), 0);
	assert_int_equal(page_out(&p, page(at, 1), PAGED_DROP), 0);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	assert_int_equal(samara_swapoff(p.area), 0);
	assert_pm(at, "wp");
	assert_pm(page(at, 1), "present");
	assert_noted(at);
	samara_uffd_put(uffd);
	swap_disk_free(&p.disk);
	paged_begin(&p, &m, 64);
}

/* What cannot be read is lost, whatever was wanted of it: nothing puts protection in its place. */
static void a_page_that_cannot_be_read_is_lost_and_not_protected(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(ASYNC);

	(void)state;
	paged_put(m.mm, at, 5);
	assert_int_equal(page_out(&p, at, PAGED_DROP), 0);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	p.disk.fail_read.nth = 1;
	assert_int_equal(samara_swapoff(p.area), 0);
	assert_int_equal(pte_marker(mem_pte(&m, at)), MARKER_POISON);
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	assert_int_equal(pte_marker(mem_pte(&m, at)), MARKER_POISON);
	assert_int_equal(wp(uffd, at, 1, 0), 0);
	samara_uffd_put(uffd);
	assert_int_equal(pte_marker(mem_pte(&m, at)), MARKER_POISON);
	swap_disk_free(&p.disk);
	paged_begin(&p, &m, 64);
}

static void a_page_that_moves_to_another_frame_has_it_there(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(ASYNC);
	unsigned long frame;

	(void)state;
	paged_put(m.mm, at, 5);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	frame = pte_pfn(mem_pte(&m, at));
	assert_int_equal(samara_migrate_pages(m.mm, at, 1), 1);
	assert_true(pte_pfn(mem_pte(&m, at)) != frame);
	assert_pm(at, "wp");
	assert_int_equal(samara_compact(m.machine, 9), 0);
	assert_pm(at, "wp");
	assert_noted(at);
	samara_uffd_put(uffd);
}

static void a_files_page_that_leaves_has_a_marker(void **state)
{
	const unsigned long at = map_file(PAGES, MAP_SHARED);
	struct samara_uffd *uffd = uffd_new(ASYNC);

	(void)state;
	paged_put(m.mm, at, 5);
	paged_put(m.mm, page(at, 1), 6);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	assert_int_equal(samara_madvise(m.mm, at, 2 * MEM_PAGE, PAGEOUT), 0);
	assert_pm(at, "swap wp");
	assert_pm(page(at, 1), "empty");
	assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, MADV_REMOVE), 0);
	assert_pm(at, "swap wp");
	samara_uffd_put(uffd);
}

/* A child that is registered too has the bits and the markers; its writes are its own. */
static void a_child_whose_registration_is_told_is_protected_too(void **state)
{
	const unsigned long anon = map_anon(PAGES), file = map_file(PAGES, MAP_SHARED);
	struct samara_uffd *uffd = uffd_new(ASYNC | UFFD_FEATURE_EVENT_FORK);
	struct samara_mm *child, *parent = m.mm;

	(void)state;
	samara_uffd_events_wait(m.mm, 0);
	paged_put(m.mm, anon, 5);
	paged_put(m.mm, page(anon, 1), 5);
	paged_put(m.mm, file, 5);
	reg(uffd, anon, PAGES, WP);
	reg(uffd, file, PAGES, WP);
	assert_int_equal(wp(uffd, anon, PAGES, ON), 0);
	assert_int_equal(wp(uffd, file, PAGES, ON), 0);
	assert_int_equal(page_out(&p, page(anon, 1), PAGED_DROP), 0);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	m.mm = child;
	assert_pm(anon, "wp");
	assert_pm(page(anon, 1), "swap wp");
	assert_pm(page(anon, 2), "swap wp");
	assert_pm(file, "file wp");
	assert_pm(page(file, 1), "swap wp");
	assert_noted(anon);
	assert_noted(page(anon, 1));
	mem_check(&m);
	m.mm = parent;
	assert_pm(anon, "wp");
	assert_pm(page(anon, 1), "swap wp");
	assert_int_equal(paged_get(m.mm, anon), 5);
	samara_mm_exit(child);
	samara_uffd_put(uffd);
}

/* PAGEMAP_SCAN notes on poison and guards too that nothing is written. Poison goes, this stays. */
static void what_a_scan_notes_outlives_poison_of_a_file(void **state)
{
	const unsigned long file = map_file(PAGES, MAP_SHARED), anon = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(ASYNC);
	const unsigned long at[] = { file, anon };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pm_scan_arg scan = {
			.size = sizeof(scan),
			.flags = PM_SCAN_WP_MATCHING,
			.start = at[i],
			.end = page(at[i], 2),
			.category_mask = PAGE_IS_WRITTEN,
		};

		reg(uffd, at[i], PAGES, WP);
		mem_mark(&m, at[i], MARKER_POISON);
		assert_int_equal(samara_madvise(m.mm, page(at[i], 1), MEM_PAGE, GUARD_INSTALL), 0);
		assert_int_equal(samara_pagemap_scan(m.mm, &scan), 0);
		assert_pm(at[i], "swap wp");
		assert_int_equal(samara_madvise(m.mm, at[i], 2 * MEM_PAGE, MADV_DONTNEED), 0);
		assert_pm(page(at[i], 1), "guard");
	}
	assert_int_equal(pte_marker(mem_pte(&m, file)), MARKER_UFFD_WP);
	assert_pm(anon, "empty");
	samara_uffd_put(uffd);
}

/* registrations ------------------------------------------------------------------------- */

static void unregistering_takes_it_away_from_entries_of_each_kind(void **state)
{
	struct samara_uffd *uffd = uffd_new(ASYNC);

	(void)state;
	for (int closes = 0; closes < 2; closes++) {
		const unsigned long at = map_anon(PAGES);

		paged_put(m.mm, at, 5);
		paged_put(m.mm, page(at, 1), 5);
		(void)paged_get(m.mm, page(at, 2));
		reg(uffd, at, PAGES, WP | MISSING);
		assert_int_equal(wp(uffd, at, PAGES, ON), 0);
		assert_int_equal(page_out(&p, page(at, 1), PAGED_DROP), 0);
		assert_pm(page(at, 1), "swap wp");
		assert_pm(page(at, 3), "swap wp");
		if (closes)
			samara_uffd_put(uffd);
		else
			assert_int_equal(unreg(uffd, at, PAGES), 0);
		assert_pm(at, "present");
		assert_true(pte_write(mem_pte(&m, at)));
		assert_pm(page(at, 1), "swap");
		assert_pm(page(at, 2), "present");
		assert_pm(page(at, 3), "empty");
	}
}

/* As Linux: bits and markers stay, and stop nothing. A written one is not undone. */
static void another_mode_leaves_bits_that_stop_nothing(void **state)
{
	const unsigned long at = map_file(PAGES, MAP_SHARED);
	struct samara_uffd *uffd = uffd_new(0);

	(void)state;
	paged_put(m.mm, at, 5);
	paged_put(m.mm, page(at, 1), 5);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, PAGES, ON), 0);
	reg(uffd, at, PAGES, MINOR);
	assert_pm(at, "file wp");
	assert_pm(page(at, 4), "swap wp");
	paged_put(m.mm, at, 6);
	assert_pm(at, "file wp");
	assert_true(pte_write(mem_pte(&m, at)));
	assert_int_equal(unreg(uffd, at, PAGES), 0);
	assert_pm(at, "file wp");
	assert_pm(page(at, 4), "swap wp");
	reg(uffd, at, PAGES, WP);
	paged_put(m.mm, at, 7);
	assert_pm(at, "file wp");
	assert_false(pte_write(mem_pte(&m, page(at, 1))));
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	assert_false(pte_write(mem_pte(&m, at)));
	assert_int_equal(unreg(uffd, at, PAGES), 0);
	assert_pm(at, "file");
	assert_pm(page(at, 1), "file");
	assert_pm(page(at, 4), "empty");
	samara_uffd_put(uffd);
}

static unsigned long moved(unsigned long at, unsigned long pages, unsigned long to)
{
	const unsigned long len = pages * MEM_PAGE;

	return samara_mremap(m.mm, at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

/* Without EVENT_REMAP the registration does not move, nor does what it has protected. */
static void mremap_takes_it_away_where_the_registration_stays_behind(void **state)
{
	const unsigned long at = map_file(PAGES, MAP_SHARED), to = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(0);

	(void)state;
	paged_put(m.mm, at, 5);
	paged_put(m.mm, page(at, 6), 5);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, PAGES, ON), 0);
	assert_int_equal(moved(page(at, 4), 4, page(to, 4)), page(to, 4));
	assert_pm(page(to, 4), "empty");
	assert_pm(page(to, 6), "file");
	assert_true(pte_write(mem_pte(&m, page(to, 6))));
	assert_pm(at, "file wp");
	mem_check(&m);
	/* What it is merged with is not registered any more either, and keeps its bits. */
	reg(uffd, page(to, 4), 4, WP);
	assert_int_equal(wp(uffd, page(to, 4), 4, ON), 0);
	assert_int_equal(moved(at, 4, to), to);
	assert_pm(to, "file");
	assert_pm(page(to, 1), "empty");
	assert_pm(page(to, 6), "file wp");
	assert_false(mem_vma(&m, page(to, 6))->rare.uffd);
	paged_put(m.mm, page(to, 6), 6);
	samara_uffd_put(uffd);
}

static void mremap_takes_it_along_where_it_is_told(void **state)
{
	const unsigned long at = map_file(PAGES, MAP_SHARED), to = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(UFFD_FEATURE_EVENT_REMAP);

	(void)state;
	samara_uffd_events_wait(m.mm, 0);
	paged_put(m.mm, at, 5);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, PAGES, ON), 0);
	assert_int_equal(moved(at, PAGES, to), to);
	assert_pm(to, "file wp");
	assert_false(pte_write(mem_pte(&m, to)));
	assert_pm(page(to, 1), "swap wp");
	/* The event was not read yet. */
	assert_int_equal(wp(uffd, to, PAGES, 0), -EAGAIN);
	samara_uffd_put(uffd);
	assert_pm(to, "file");
	assert_pm(page(to, 1), "empty");
}

/* The validator sees what must not be. */
static void a_bit_in_the_wrong_place_is_found(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(0);
	struct samara_report report;
	struct table *leaf;
	pte_t *pte;

	(void)state;
	paged_put(m.mm, at, 5);
	leaf = table_find(m.mm, at);
	pte = table_pte(m.mm, leaf, at);
	table_lock(leaf);
	pte_set(pte, pte_with(*pte, PTE_UFFD_WP));
	table_unlock(leaf);
	assert_int_equal(samara_mm_validate(m.mm, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "uffd_bits");
	reg(uffd, at, PAGES, WP);
	assert_int_equal(samara_mm_validate(m.mm, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "uffd_bits");
	assert_int_equal(wp(uffd, at, 1, ON), 0);
	assert_int_equal(samara_mm_validate(m.mm, &report), 0);
	samara_uffd_put(uffd);
	assert_int_equal(samara_mm_validate(m.mm, &report), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rights_come_and_go_beside_it),
		test(unsharing_keeps_it),
		test(a_page_that_is_out_has_it_too),
		test(swapoff_brings_it_back),
		test(a_page_that_cannot_be_read_is_lost_and_not_protected),
		test(a_page_that_moves_to_another_frame_has_it_there),
		test(a_files_page_that_leaves_has_a_marker),
		test(what_a_scan_notes_outlives_poison_of_a_file),
		test(a_child_whose_registration_is_told_is_protected_too),
		test(unregistering_takes_it_away_from_entries_of_each_kind),
		test(another_mode_leaves_bits_that_stop_nothing),
		test(mremap_takes_it_away_where_the_registration_stays_behind),
		test(mremap_takes_it_along_where_it_is_told),
		test(a_bit_in_the_wrong_place_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
