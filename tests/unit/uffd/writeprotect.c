/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_WRITEPROTECT: its arguments, what it does to each kind of memory, and what a write does
 * then. The answers are those that tools/uffd_facts got of Linux 6.18.
 */
#define _GNU_SOURCE
#include <errno.h>

#include <samara/inject.h>

#include "uffd/uffd.h"

#include "wp.h"

/* the request -------------------------------------------------------------------- */

static void arguments_are_checked_in_linuxs_order(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(0), *other = uffd_new(0);

	(void)state;
	assert_int_equal(wp(uffd, at, 1, ON), -ENOENT);
	reg(uffd, at, 4, WP);
	assert_int_equal(wp(uffd, at, 0, ON), -EINVAL);
	assert_int_equal(wp(uffd, at + 1, 1, ON), -EINVAL);
	assert_int_equal(wp(uffd, at, 1UL << 60, ON), -EINVAL);
	assert_int_equal(wp(uffd, 1UL << 62, 1, ON), -EINVAL);
	assert_int_equal(wp(uffd, at, 1, 8), -EINVAL);
	assert_int_equal(wp(uffd, at, 1, ON | UFFDIO_WRITEPROTECT_MODE_DONTWAKE), -EINVAL);
	assert_int_equal(wp(uffd, MEM_PAGE * 16, 1, ON), -ENOENT);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_WRITEPROTECT, NULL), -EFAULT);
	/* Before all of these: a change to the map was not told yet. */
	uffd->changing = 1;
	assert_int_equal(wp(uffd, at, 0, 8), -EAGAIN);
	uffd->changing = 0;
	/* Whoever has registered it. */
	paged_put(m.mm, at, 1);
	assert_int_equal(wp(other, at, 1, ON), 0);
	assert_pm(at, "wp");
	samara_uffd_put(other);
	assert_pm(at, "wp");
	samara_uffd_put(uffd);
}

static void holes_are_passed_by_and_what_is_not_registered_ends_it(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(0);

	(void)state;
	for (unsigned long n = 0; n < PAGES; n++)
		paged_put(m.mm, page(at, n), 1);
	assert_int_equal(samara_munmap(m.mm, page(at, 1), MEM_PAGE), 0);
	reg(uffd, at, 4, WP);
	reg(uffd, page(at, 5), 1, WP);
	assert_int_equal(wp(uffd, at, 4, ON), 0);
	assert_pm(at, "wp");
	assert_pm(page(at, 2), "wp");
	assert_int_equal(wp(uffd, at, 4, 0), 0);
	assert_int_equal(wp(uffd, at, 6, ON), -ENOENT);
	assert_pm(page(at, 3), "wp");
	assert_pm(page(at, 4), "present");
	assert_pm(page(at, 5), "present");
	samara_uffd_put(uffd);
}

static void an_mm_that_has_ended_is_none(void **state)
{
	struct samara_uffd *uffd;
	struct samara_mm *mm;

	(void)state;
	assert_int_equal(samara_mm_create(m.machine, &mm), 0);
	uffd = uffd_open(mm, O_NONBLOCK, 0);
	samara_mm_exit(mm);
	assert_int_equal(wp(uffd, MEM_PAGE, 1, 8), -EINVAL);
	assert_int_equal(wp(uffd, MEM_PAGE, 1, ON), -ESRCH);
	samara_uffd_put(uffd);
}

/* The tables come first: where one is refused, no entry has changed. */
static void a_refused_table_changes_nothing(void **state)
{
	const unsigned long at = map_file(1024, MAP_SHARED);
	struct samara_uffd *uffd = uffd_new(0);

	(void)state;
	paged_put(m.mm, at, 1);
	reg(uffd, at, 1024, WP);
	assert_int_equal(samara_inject_site("page_table", 1), 0);
	assert_int_equal(wp(uffd, at, 1024, ON), -ENOMEM);
	assert_int_equal(samara_inject_site("page_table", 0), 0);
	assert_pm(at, "file");
	assert_pm(page(at, 1), "empty");
	assert_int_equal(wp(uffd, at, 1024, ON), 0);
	assert_pm(at, "file wp");
	assert_pm(page(at, 1023), "swap wp");
	samara_uffd_put(uffd);
	assert_pm(at, "file");
	assert_pm(page(at, 1023), "empty");
}

/* kinds of memory ----------------------------------------------------------------- */

static void anonymous_memory_is_protected_where_it_is_populated(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(0);

	(void)state;
	paged_put(m.mm, at, 1);
	assert_int_equal(paged_get(m.mm, page(at, 1)), 0);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, PAGES, ON), 0);
	assert_pm(at, "wp");
	assert_pm(page(at, 1), "wp");
	assert_pm(page(at, 2), "empty");
	assert_false(pte_write(mem_pte(&m, at)));
	assert_int_equal(wp(uffd, at, PAGES, 0), 0);
	assert_pm(at, "present");
	assert_true(pte_write(mem_pte(&m, at)));
	samara_uffd_put(uffd);
}

static void unpopulated_memory_is_marked_where_that_was_asked_for(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(UFFD_FEATURE_WP_UNPOPULATED);

	(void)state;
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, 4, ON), 0);
	assert_pm(at, "swap wp");
	assert_pm(page(at, 4), "empty");
	assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, MADV_DONTNEED), 0);
	assert_pm(at, "empty");
	assert_int_equal(wp(uffd, page(at, 1), 1, 0), 0);
	assert_pm(page(at, 1), "empty");
	assert_int_equal(unreg(uffd, page(at, 2), 1), 0);
	assert_pm(page(at, 2), "empty");
	assert_int_equal(samara_madvise(m.mm, page(at, 3), MEM_PAGE, GUARD_INSTALL), 0);
	assert_pm(page(at, 3), "guard");
	samara_uffd_put(uffd);
}

static void a_file_is_marked_where_no_page_is_mapped(void **state)
{
	static const int kinds[] = { MAP_SHARED, MAP_PRIVATE };
	struct samara_uffd *uffd = uffd_new(0);

	(void)state;
	for (int i = 0; i < 2; i++) {
		const unsigned long at = map_file(PAGES, kinds[i]);

		paged_put(m.mm, at, 1);
		reg(uffd, at, PAGES, WP);
		assert_int_equal(wp(uffd, at, PAGES, ON), 0);
		assert_pm(at, i ? "wp" : "file wp");
		assert_pm(page(at, 4), "swap wp");
		assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, MADV_DONTNEED), 0);
		assert_pm(at, "swap wp");
		assert_int_equal(samara_madvise(m.mm, at, 4 * MEM_PAGE, MADV_DONTNEED), 0);
		assert_pm(page(at, 2), "swap wp");
		assert_int_equal(wp(uffd, at, PAGES, 0), 0);
		assert_pm(at, "empty");
	}
	samara_uffd_put(uffd);
}

static void guards_and_poison_outrank_it(void **state)
{
	const unsigned long at = map_file(PAGES, MAP_SHARED);
	struct samara_uffd *uffd = uffd_new(0);

	(void)state;
	assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, GUARD_INSTALL), 0);
	paged_put(m.mm, page(at, 2), 1);
	mem_mark(&m, page(at, 1), MARKER_POISON);
	reg(uffd, at, PAGES, WP);
	for (int on = 1; on >= 0; on--) {
		assert_int_equal(wp(uffd, at, PAGES, on ? ON : 0), 0);
		assert_int_equal(pte_marker(mem_pte(&m, at)), MARKER_GUARD);
		assert_int_equal(pte_marker(mem_pte(&m, page(at, 1))), MARKER_POISON);
	}
	samara_uffd_put(uffd);
	assert_int_equal(pte_marker(mem_pte(&m, page(at, 1))), MARKER_POISON);
}

/* writes that are only written down ------------------------------------------------- */

static void a_write_takes_the_bit_away_with_wp_async(void **state)
{
	static const int kinds[] = { MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED, MAP_PRIVATE };
	struct samara_uffd *uffd = uffd_new(ASYNC);

	(void)state;
	for (int i = 0; i < 3; i++) {
		const unsigned long at = i ? map_file(PAGES, kinds[i]) : map_anon(PAGES);

		/* One that is written to, and one that is read. */
		paged_put(m.mm, at, 5);
		(void)paged_get(m.mm, page(at, 1));
		reg(uffd, at, PAGES, WP);
		assert_int_equal(wp(uffd, at, PAGES, ON), 0);
		assert_int_equal(paged_get(m.mm, at), 5);
		assert_true(pte_uffd_wp(mem_pte(&m, at)));
		assert_noted(at);
		assert_noted(page(at, 1));
		assert_int_equal(wp(uffd, at, PAGES, ON), 0);
		assert_true(pte_uffd_wp(mem_pte(&m, at)));
		assert_noted(at);
	}
	samara_uffd_put(uffd);
}

/* A copy since fork is made, and is not protected; nor is the child, or the parent's other page. */
static void a_write_beside_a_child_takes_it_away_too(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(ASYNC);
	struct samara_mm *child, *parent = m.mm;

	(void)state;
	paged_put(m.mm, at, 5);
	paged_put(m.mm, page(at, 1), 5);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(wp(uffd, at, PAGES, ON), 0);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_pm(at, "wp");
	m.mm = child;
	assert_pm(at, "present");
	assert_pm(page(at, 2), "empty");
	m.mm = parent;
	assert_noted(at);
	assert_pm(page(at, 1), "wp");
	assert_int_equal(paged_get(child, at), 5);
	paged_put(child, page(at, 1), 9);
	assert_int_equal(paged_get(m.mm, page(at, 1)), 5);
	m.mm = child;
	mem_check(&m);
	m.mm = parent;
	samara_mm_exit(child);
	assert_noted(page(at, 1));
	samara_uffd_put(uffd);
}

static void a_debugger_writes_where_the_program_may_not(void **state)
{
	const unsigned long at = map_anon(PAGES);
	struct samara_uffd *uffd = uffd_new(ASYNC);
	struct samara_pin pin;

	(void)state;
	paged_put(m.mm, at, 5);
	reg(uffd, at, PAGES, WP);
	assert_int_equal(samara_mprotect(m.mm, at, MEM_PAGE, PROT_READ), 0);
	assert_int_equal(wp(uffd, at, PAGES, ON), 0);
	assert_int_equal(samara_pin_pages(m.mm, at, 1, SAMARA_PIN_WRITE | SAMARA_PIN_FORCE, &pin),
			 1);
	assert_pm(at, "present");
	samara_unpin_pages(&pin, 1, 1);
	samara_uffd_put(uffd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(arguments_are_checked_in_linuxs_order),
		test(holes_are_passed_by_and_what_is_not_registered_ends_it),
		test(an_mm_that_has_ended_is_none),
		test(a_refused_table_changes_nothing),
		test(anonymous_memory_is_protected_where_it_is_populated),
		test(unpopulated_memory_is_marked_where_that_was_asked_for),
		test(a_file_is_marked_where_no_page_is_mapped),
		test(guards_and_poison_outrank_it),
		test(a_write_takes_the_bit_away_with_wp_async),
		test(a_write_beside_a_child_takes_it_away_too),
		test(a_debugger_writes_where_the_program_may_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
