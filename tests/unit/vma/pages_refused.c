/* SPDX-License-Identifier: MIT */
/* Ranges with pages that a call was to take away or move, and did not: nothing has changed. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include <samara/inject.h>

#include "pages.h"
#include "support/mm_text.h"

#define LOOK_PAGES (3 * LEAF)

/* What a call that fails may not change. */
struct look {
	char *smaps;
	unsigned long long pagemap[LOOK_PAGES];
	long rss[MM_RSS];
	unsigned long frames;
};

static struct look *take_look(void)
{
	struct look *look = calloc(1, sizeof(*look));

	look->smaps = calloc(1, MM_TEXT);
	assert_int_equal(mm_text(m.mm, samara_print_smaps, look->smaps), 0);
	assert_int_equal(samara_pagemap(m.mm, PAGE(0), LOOK_PAGES, look->pagemap), 0);
	for (enum mm_rss i = 0; i < MM_RSS; i++)
		look->rss[i] = mm_rss_sum(m.mm, i);
	look->frames = mem_frames(&m);
	return look;
}

static void look_gone(struct look *look)
{
	free(look->smaps);
	free(look);
}

static void assert_as_before(const struct look *was)
{
	struct look *now = take_look();

	assert_string_equal(now->smaps, was->smaps);
	assert_memory_equal(now->pagemap, was->pagemap, sizeof(now->pagemap));
	assert_memory_equal(now->rss, was->rss, sizeof(now->rss));
	assert_int_equal(now->frames, was->frames);
	look_gone(now);
	mem_check(&m);
}

/* 0..39 and 60..79 anonymous, a file between; two leaves further once more; half is written to. */
static void rich_map(struct samara_file *file)
{
	for (unsigned long at = 0; at <= 2 * LEAF; at += 2 * LEAF) {
		map(at, at + 40, MAP_PRIVATE, NULL);
		map(at + 40, at + 60, MAP_PRIVATE, file);
		map(at + 60, at + 80, MAP_PRIVATE, NULL);
		for (unsigned long n = at; n < at + 80; n += 2)
			fill(n, n + 1);
	}
}

static long unmap_middle(void)
{
	return samara_munmap(m.mm, PAGE(10), 10 * MEM_PAGE);
}

static long unmap_across(void)
{
	return samara_munmap(m.mm, PAGE(20), 2 * LEAF * MEM_PAGE);
}

static long map_over(void)
{
	return (long)samara_mmap(m.mm, PAGE(30), 2 * LEAF * MEM_PAGE, PROT_READ,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
}

static long move_middle(void)
{
	return (long)remap(10, 20, 20, MREMAP_MAYMOVE | MREMAP_FIXED, LEAF - 10);
}

static long grow_elsewhere(void)
{
	return (long)remap(40, 20, 60, MREMAP_MAYMOVE, 0);
}

static long keep_source(void)
{
	return (long)remap(60, 20, 20, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, LEAF + 7);
}

static void each_allocation_refused(void **state)
{
	static long (*const calls[])(void) = { unmap_middle, unmap_across,   map_over,
					       move_middle,  grow_elsewhere, keep_source };
	static void (*const refuse[])(unsigned long) = { samara_inject_nth, samara_inject_from };

	(void)state;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(calls); i++) {
		struct samara_file *file = mem_file(&m, 20);
		unsigned long nth = 1;
		struct look *was;

		rich_map(file);
		was = take_look();
		for (long ret = -ENOMEM; ret == -ENOMEM; nth++) {
			assert_in_range(nth, 1, 200);
			refuse[i % 2](nth);
			ret = calls[i / 2]();
			refuse[i % 2](0);
			if (ret == -ENOMEM)
				assert_as_before(was);
			else
				assert_false(ret < 0 && ret >= -4095);
		}
		assert_true(nth > 2); /* there was something to refuse */
		look_gone(was);
		assert_int_equal(samara_munmap(m.mm, 0, m.mm->layout.task_size), 0);
		samara_file_put(file);
		assert_int_equal(mem_frames(&m), 0);
		assert_int_equal(m.mm->tables.nr, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_allocation_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
