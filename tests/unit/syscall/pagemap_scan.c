/* SPDX-License-Identifier: MIT */
/*
 * samara_pagemap_scan() where the running kernel cannot judge, and in short what it does.
 * tests/oracle/pagemap_scan.c compares all of it with the kernel.
 */
#include <errno.h>
#include <string.h>

#include <samara/inject.h>
#include <samara/reclaim.h>

#include "support/soft_dirty.h"
#include "support/uffd_calls.h"

#define ALL 0x1ff
#define WRITTEN_ONLY .category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN

static struct page_region vec[64];

/* pages from a on. */
#define ASK(a, pages, ...) \
	((struct pm_scan_arg){ .size = sizeof(struct pm_scan_arg), \
			       .start = (a), \
			       .end = (a) + (pages)*MEM_PAGE, \
			       .vec = (uintptr_t)vec, \
			       .vec_len = 64, \
			       __VA_ARGS__ })

static void is_region(const struct page_region *r, unsigned long a, unsigned long first,
		      unsigned long end, unsigned long categories)
{
	assert_int_equal(r->start, a + first * MEM_PAGE);
	assert_int_equal(r->end, a + end * MEM_PAGE);
	assert_int_equal(r->categories, categories);
}

static void arguments_are_refused_as_in_linux(void **state)
{
	const unsigned long a = map(4, MAP_PRIVATE);
	struct pm_scan_arg ask = ASK(a, 4, .return_mask = ALL, .walk_end = 7);

	(void)state;
	assert_int_equal(samara_pagemap_scan(m.mm, NULL), -EFAULT);
	ask.size--;
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), -EINVAL);
	ask.size++;
	ask.vec = 0;
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), -EINVAL);
	assert_int_equal(ask.walk_end, 7);
	ask.vec = 8;
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), -EFAULT);
	assert_int_equal(ask.walk_end, a + 4 * MEM_PAGE);
	ask.end = m.mm->geo->task_size + MEM_PAGE;
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), -EFAULT);
}

/* The caller's struct is read once: regions may be written over it meanwhile. */
static void regions_may_lie_over_the_arguments(void **state)
{
	const unsigned long a = map(4, MAP_PRIVATE);
	union {
		struct pm_scan_arg ask;
		struct page_region region[8];
	} both = { .ask = ASK(a, 4, .return_mask = PAGE_IS_PRESENT) };

	(void)state;
	put(m.mm, a);
	both.ask.vec = (uintptr_t)&both;
	assert_int_equal(samara_pagemap_scan(m.mm, &both.ask), 2);
	is_region(&both.region[0], a, 0, 1, PAGE_IS_PRESENT);
	assert_int_equal(both.region[1].start, a + MEM_PAGE);
	assert_int_equal(both.ask.walk_end, a + 4 * MEM_PAGE);
}

static void soft_dirty_is_a_category(void **state)
{
	const unsigned long a = map(4, MAP_PRIVATE);
	struct pm_scan_arg ask = ASK(a, 4, .return_mask = PAGE_IS_SOFT_DIRTY);

	(void)state;
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 1);
	is_region(&vec[0], a, 0, 4, PAGE_IS_SOFT_DIRTY);
	forget(m.mm);
	put(m.mm, a + 2 * MEM_PAGE);
	ask.category_mask = PAGE_IS_SOFT_DIRTY;
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 1);
	is_region(&vec[0], a, 2, 3, PAGE_IS_SOFT_DIRTY);
}

static void what_is_in_swap_is_there_with_its_marks(void **state)
{
	const unsigned long a = map(3, MAP_PRIVATE);
	struct pm_scan_arg ask = ASK(a, 3, .return_mask = ALL);
	struct samara_swap *area;

	(void)state;
	assert_int_equal(samara_swapon_compressed(m.machine, 1 << 20, "lz4", &area), 0);
	put(m.mm, a);
	put(m.mm, a + MEM_PAGE);
	forget(m.mm);
	put(m.mm, a);
	assert_int_equal(samara_madvise(m.mm, a, 2 * MEM_PAGE, MADV_PAGEOUT), 0);
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 3);
	is_region(&vec[0], a, 0, 1, PAGE_IS_SWAPPED | PAGE_IS_WRITTEN | PAGE_IS_SOFT_DIRTY);
	is_region(&vec[1], a, 1, 2, PAGE_IS_SWAPPED | PAGE_IS_WRITTEN);
	is_region(&vec[2], a, 2, 3, PAGE_IS_WRITTEN);
	assert_int_equal(samara_swapoff(area), 0);
}

/* Pages that are out are protected there, and written to when they are back. */
static void each_scan_gives_what_was_written_since_the_last(void **state)
{
	struct samara_uffd *uffd = uffd_open(m.mm, O_NONBLOCK, UFFD_FEATURE_WP_ASYNC);
	const unsigned long a = map(8, MAP_PRIVATE);
	struct pm_scan_arg ask = ASK(a, 8, WRITTEN_ONLY, .flags = PM_SCAN_WP_MATCHING);
	struct samara_swap *area;

	(void)state;
	assert_int_equal(samara_swapon_compressed(m.machine, 1 << 20, "lz4", &area), 0);
	put(m.mm, a);
	put(m.mm, a + MEM_PAGE);
	uffd_register_at(uffd, a, 8 * MEM_PAGE, WP);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_PAGEOUT), 0);
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 1);
	is_region(&vec[0], a, 0, 8, PAGE_IS_WRITTEN);
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 0);
	get(m.mm, a);
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 0);
	put(m.mm, a);
	put(m.mm, a + 5 * MEM_PAGE);
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 2);
	is_region(&vec[0], a, 0, 1, PAGE_IS_WRITTEN);
	is_region(&vec[1], a, 5, 6, PAGE_IS_WRITTEN);
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 0);
	assert_int_equal(samara_swapoff(area), 0);
	samara_uffd_put(uffd);
}

/* The flush comes before the answer. */
static void a_store_through_a_tlb_is_given_too(void **state)
{
	struct samara_uffd *uffd = uffd_open(m.mm, O_NONBLOCK, UFFD_FEATURE_WP_ASYNC);
	const unsigned long a = map(1, MAP_PRIVATE);
	struct pm_scan_arg ask = ASK(a, 1, WRITTEN_ONLY, .flags = PM_SCAN_WP_MATCHING);
	struct samara_cpu *cpu;

	(void)state;
	uffd_register_at(uffd, a, MEM_PAGE, WP);
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	assert_false(in_tlb(cpu, a, SAMARA_ACCESS_WRITE));
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 1);
	assert_false(in_tlb(cpu, a, SAMARA_ACCESS_WRITE));
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 1);
	samara_cpu_destroy(cpu);
	samara_uffd_put(uffd);
}

/* A refusal at any place leaves each page WRITTEN or given; trying again gives the rest. */
static void refused_memory_loses_no_page(void **state)
{
	struct samara_uffd *uffd = uffd_open(m.mm, O_NONBLOCK, UFFD_FEATURE_WP_ASYNC);
	const unsigned long a = map(2048, MAP_PRIVATE);
	struct pm_scan_arg ask = ASK(a, 2048, WRITTEN_ONLY, .flags = PM_SCAN_WP_MATCHING);
	unsigned int refusals = 0;
	long ret = -ENOMEM;

	(void)state;
	uffd_register_at(uffd, a, 2048 * MEM_PAGE, WP);
	put(m.mm, a + 700 * MEM_PAGE);
	for (unsigned long nth = 1; ret == -ENOMEM; nth++, refusals++) {
		samara_inject_nth(nth);
		ret = samara_pagemap_scan(m.mm, &ask);
		samara_inject_nth(0);
		mem_check(&m);
		/* The page that is there: its scan is done, or it is WRITTEN as before. */
		put(m.mm, a + 700 * MEM_PAGE);
	}
	assert_true(refusals > 3 && ret >= 1);
	ret = samara_pagemap_scan(m.mm, &ask);
	assert_int_equal(ret, 1);
	is_region(&vec[0], a, 700, 701, PAGE_IS_WRITTEN);
	samara_uffd_put(uffd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(arguments_are_refused_as_in_linux),
		TEST(regions_may_lie_over_the_arguments),
		TEST(soft_dirty_is_a_category),
		TEST(what_is_in_swap_is_there_with_its_marks),
		TEST(each_scan_gives_what_was_written_since_the_last),
		TEST(a_store_through_a_tlb_is_given_too),
		TEST(refused_memory_loses_no_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
