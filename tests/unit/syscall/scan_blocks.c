/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN looks at many pages together. What it says of them is what it says of each page when
 * that is asked for alone.
 */
#include "support/random.h"
#include "support/soft_dirty.h"
#include "support/uffd_calls.h"

#define PAGES 700UL /* parts of three leaf tables */
#define BLOCK 64UL
#define CATEGORIES 0x1ffU

static struct page_region vec[PAGES], want[PAGES];
static unsigned long base;
static bool passed;

/* Regions of [first, end) from scans of one page each. */
static unsigned long page_by_page(struct pm_scan_arg ask, unsigned long first, unsigned long end)
{
	unsigned long n = 0;

	for (unsigned long i = first; i < end; i++) {
		struct page_region one, *last = n ? &want[n - 1] : NULL;

		ask.start = base + i * MEM_PAGE;
		ask.end = ask.start + MEM_PAGE;
		ask.vec = (uintptr_t)&one;
		ask.vec_len = 1;
		ask.max_pages = 0;
		if (!samara_pagemap_scan(m.mm, &ask))
			continue;
		if (last && last->end == one.start && last->categories == one.categories)
			last->end = one.end;
		else
			want[n++] = one;
	}
	return n;
}

/* A page, as often as not the first of a block. */
static unsigned long some_page(struct rng *random)
{
	const unsigned long page = rng_below(random, PAGES);

	return rng_below(random, 2) ? page : page / BLOCK * BLOCK;
}

/* Some of the bits of CATEGORIES, mostly few. */
static uint64_t some(struct rng *random)
{
	return rng_next(random) & rng_next(random) & rng_next(random) & CATEGORIES;
}

static void compare(struct rng *random)
{
	const unsigned long first = some_page(random);
	const unsigned long end = first + 1 + rng_below(random, PAGES - first);
	struct pm_scan_arg ask = {
		.size = sizeof(ask),
		.start = base + first * MEM_PAGE,
		.end = base + end * MEM_PAGE,
		.vec = (uintptr_t)vec,
		.vec_len = PAGES,
		.category_inverted = some(random),
		.category_mask = some(random),
		.category_anyof_mask = some(random),
		.return_mask = rng_next(random) & CATEGORIES,
	};
	const unsigned long n = page_by_page(ask, first, end);

	assert_int_equal(samara_pagemap_scan(m.mm, &ask), n);
	assert_memory_equal(vec, want, n * sizeof(vec[0]));
	assert_int_equal(ask.walk_end, base + end * MEM_PAGE);
	if (!n)
		return;
	/* A limit of pages ends the walk in the middle of a block. */
	ask.max_pages = 1 + rng_below(random, 2 * BLOCK);
	ask.walk_end = 0;
	for (unsigned long i = 0, left = ask.max_pages; i < n && left; i++) {
		const unsigned long pages = (want[i].end - want[i].start) / MEM_PAGE;

		if (pages >= left) {
			want[i].end = want[i].start + left * MEM_PAGE;
			assert_int_equal(samara_pagemap_scan(m.mm, &ask), i + 1);
			assert_memory_equal(vec, want, (i + 1) * sizeof(vec[0]));
			return;
		}
		left -= pages;
	}
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), n);
}

/* A few pages become different from their neighbours, or all alike. */
static void change(struct rng *random, struct samara_uffd *uffd)
{
	const unsigned long first = rng_below(random, PAGES);
	const unsigned long most = rng_below(random, 3) ? 4 : PAGES;
	const unsigned long n = 1 + rng_below(random, min(PAGES - first, most));
	const unsigned long a = base + first * MEM_PAGE, len = n * MEM_PAGE;

	switch (rng_below(random, 8)) {
	case 0:
		assert_int_equal(samara_madvise(m.mm, a, len, MADV_DONTNEED), 0);
		break;
	case 1:
		(void)!samara_madvise(m.mm, a, len, MADV_POPULATE_READ); /* -EINVAL: PROT_NONE */
		break;
	case 2:
	case 3:
		assert_int_equal(uffd_protect_at(uffd, a, len, UFFDIO_WRITEPROTECT_MODE_WP), 0);
		break;
	case 4:
		forget(m.mm);
		break;
	case 5:
		assert_int_equal(
			samara_mprotect(m.mm, a, len, rng_below(random, 2) ? RW : PROT_NONE), 0);
		break;
	default:
		for (unsigned long i = 0; i < n; i++)
			(void)!samara_write(m.mm, a + i * MEM_PAGE, "x", 1, NULL);
	}
}

static void write_from(unsigned long first)
{
	for (unsigned long i = first; i < PAGES; i++)
		(void)!samara_write(m.mm, base + i * MEM_PAGE, "x", 1, NULL);
}

/* All pages are there and alike, but that those behind one were written to since. */
static void begin_anew(struct rng *random)
{
	assert_int_equal(samara_mprotect(m.mm, base, PAGES * MEM_PAGE, RW), 0);
	write_from(0);
	forget(m.mm);
	write_from(some_page(random));
}

static void many_pages_are_as_each_is_alone(void **state)
{
	struct rng random;
	struct samara_uffd *uffd =
		uffd_open(m.mm, O_NONBLOCK, UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);

	(void)state;
	rng_init(&random, test_seed());
	base = map(PAGES + BLOCK, MAP_PRIVATE);
	base = (base + BLOCK * MEM_PAGE - 1) & -(BLOCK * MEM_PAGE);
	uffd_register_at(uffd, base, PAGES * MEM_PAGE, WP);
	for (int round = 0; round < 300; round++) {
		if (round % 8 == 0)
			begin_anew(&random);
		change(&random, uffd);
		compare(&random);
	}
	mem_check(&m);
	samara_uffd_put(uffd);
	passed = true;
}

static void a_block_may_be_all_unlike_the_one_before(void **state)
{
	struct pm_scan_arg ask = {
		.size = sizeof(ask),
		.vec = (uintptr_t)vec,
		.vec_len = PAGES,
		.category_mask = PAGE_IS_SOFT_DIRTY,
		.return_mask = PAGE_IS_SOFT_DIRTY,
	};

	(void)state;
	base = map(4 * BLOCK, MAP_PRIVATE);
	base = (base + BLOCK * MEM_PAGE - 1) & -(BLOCK * MEM_PAGE);
	for (unsigned long i = 0; i < 3 * BLOCK; i++)
		put(m.mm, base + i * MEM_PAGE);
	forget(m.mm);
	for (unsigned long i = BLOCK; i < 2 * BLOCK; i++)
		put(m.mm, base + i * MEM_PAGE);
	ask.start = base;
	ask.end = base + 3 * BLOCK * MEM_PAGE;
	assert_int_equal(samara_pagemap_scan(m.mm, &ask), 1);
	assert_int_equal(vec[0].start, base + BLOCK * MEM_PAGE);
	assert_int_equal(vec[0].end, base + 2 * BLOCK * MEM_PAGE);
}

static int tell(void **state)
{
	if (!passed)
		test_replay(test_seed());
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_block_may_be_all_unlike_the_one_before, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(many_pages_are_as_each_is_alone, set_up, tell),
	};

	return cmocka_run_group_tests_name("unit/syscall/scan_blocks", tests, NULL, NULL);
}
