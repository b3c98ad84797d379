/* SPDX-License-Identifier: MIT */
/*
 * A fork that fails, at each allocation there is: the parent is as it was, down to which pages
 * are its alone, and nothing is left of the child.
 */
#include <errno.h>
#include <stdlib.h>

#include "family.h"
#include "support/fork_steps.h"
#include "support/mm_text.h"

#define PAGES 24 /* of each kind */
#define KINDS 8
#define FAR 0x40000000UL /* apart from each other by more than a leaf table serves */

static struct mem m;
static struct samara_file *file;
static struct samara_mm *elder; /* a child of before, which shares some pages */
static struct samara_pin pin;
static unsigned long base;
static enum fork_step last_step;
static bool steps_are_told;

static unsigned long page_at(unsigned int kind, unsigned long i)
{
	return base + kind * FAR + i * MEM_PAGE;
}

static void note_step(enum fork_step step, struct samara_mm *parent, struct samara_mm *child)
{
	assert_ptr_equal(parent, m.mm);
	assert_int_equal(child->life.state, MM_BUILDING);
	last_step = step;
}

static void assert_step(enum fork_step step)
{
	if (steps_are_told)
		assert_int_equal(last_step, step);
}

static void map_kind(unsigned int kind, int prot, int flags, struct samara_file *from)
{
	assert_int_equal(samara_mmap(m.mm, page_at(kind, 0), PAGES * MEM_PAGE, prot,
				     flags | MAP_FIXED | (from ? 0 : MAP_ANONYMOUS), from, 0),
			 page_at(kind, 0));
}

/* Every kind of memory, some of it shared with an elder child. */
static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 32 << 20);
	file = mem_file(&m, PAGES);
	base = 0x100000000000UL;
	map_kind(0, RW, MAP_PRIVATE, NULL);
	map_kind(1, RW, MAP_PRIVATE, file);
	map_kind(2, RW, MAP_SHARED, file);
	map_kind(3, RW, MAP_PRIVATE, NULL);
	map_kind(4, RW, MAP_PRIVATE, NULL);
	map_kind(5, RW, MAP_SHARED, NULL);
	map_kind(6, RW, MAP_PRIVATE, NULL);
	map_kind(7, RW, MAP_PRIVATE, NULL);
	for (unsigned int kind = 0; kind < KINDS; kind++)
		for (unsigned long i = 0; i < PAGES; i += 1 + kind % 2)
			put(m.mm, page_at(kind, i), kind * 1000 + i);
	elder = forked(&m);
	/* Half of it is the parent's alone again. */
	for (unsigned int kind = 0; kind < KINDS; kind++)
		for (unsigned long i = 0; i < PAGES / 2; i += 1 + kind % 2)
			put(m.mm, page_at(kind, i), i);
	assert_int_equal(samara_madvise(m.mm, page_at(3, 0), PAGES * MEM_PAGE, MADV_DONTFORK), 0);
	assert_int_equal(samara_madvise(m.mm, page_at(4, 0), PAGES * MEM_PAGE, MADV_WIPEONFORK), 0);
	assert_int_equal(samara_madvise(m.mm, page_at(6, 8), 4 * MEM_PAGE, MADV_GUARD_INSTALL), 0);
	assert_int_equal(get(m.mm, page_at(7, 3)), 0);
	assert_int_equal(samara_pin_pages(m.mm, page_at(0, 5), 1, SAMARA_PIN_WRITE, &pin), 1);
	assert_int_equal(samara_mprotect(m.mm, page_at(0, 20), MEM_PAGE, PROT_READ), 0);
	steps_are_told = fork_steps_told(note_step);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	at_fork_steps_end();
	samara_unpin_pages(&pin, 1, 1);
	mem_check(&m);
	samara_mm_exit(elder);
	samara_file_put(file);
	mem_close(&m);
	return 0;
}

/* What a failure may not change. */
struct look {
	char *smaps;
	struct samara_mm_stats stats;
	unsigned long long pagemap[KINDS][PAGES];
	bool exclusive[KINDS][PAGES];
	long committed, rss[MM_RSS];
	unsigned long frames, live, tables;
};

static bool is_exclusive(unsigned long addr)
{
	const struct folio *folio = mem_folio(&m, addr);

	return folio && folio_test(folio, FOLIO_EXCLUSIVE);
}

static struct look *take_look(void)
{
	struct look *look = calloc(1, sizeof(*look));

	look->smaps = calloc(1, MM_TEXT);
	assert_int_equal(mm_text(m.mm, samara_print_smaps, look->smaps), 0);
	look->stats.size = sizeof(look->stats);
	assert_int_equal(samara_mm_stats(m.mm, &look->stats), 0);
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		assert_int_equal(samara_pagemap(m.mm, page_at(kind, 0), PAGES, look->pagemap[kind]),
				 0);
		for (unsigned long i = 0; i < PAGES; i++)
			look->exclusive[kind][i] = is_exclusive(page_at(kind, i));
	}
	for (enum mm_rss i = 0; i < MM_RSS; i++)
		look->rss[i] = mm_rss_sum(m.mm, i);
	look->committed = samara_committed_pages(m.machine);
	look->frames = mem_frames(&m);
	look->tables = m.mm->tables.nr;
	look->live = samara_live_objects();
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
	assert_memory_equal(&now->stats, &was->stats, sizeof(now->stats));
	assert_memory_equal(now->pagemap, was->pagemap, sizeof(now->pagemap));
	assert_memory_equal(now->exclusive, was->exclusive, sizeof(now->exclusive));
	assert_memory_equal(now->rss, was->rss, sizeof(now->rss));
	assert_int_equal(now->committed, was->committed);
	assert_int_equal(now->frames, was->frames);
	assert_int_equal(now->tables, was->tables);
	assert_int_equal(now->live, was->live);
	look_gone(now);
	mem_check(&m);
}

/* Writing to a page that is the parent's alone copies nothing. Returns how many there are. */
static unsigned int write_exclusive(const struct look *was)
{
	unsigned int n = 0;

	for (unsigned int kind = 0; kind < KINDS; kind++) {
		for (unsigned long i = 0; i < PAGES; i++) {
			const unsigned long addr = page_at(kind, i);
			unsigned long pfn, word;

			if (!was->exclusive[kind][i] || !(mem_vma(&m, addr)->vm_flags & VM_WRITE))
				continue;
			pfn = pfn_of(&m, addr);
			word = get(m.mm, addr);
			put(m.mm, addr, word);
			assert_int_equal(pfn_of(&m, addr), pfn);
			n++;
		}
	}
	assert_int_equal(mem_frames(&m), was->frames);
	return n;
}

/* Fork with refuse(1), refuse(2), ... until it succeeds: how often it failed in each step. */
static void fork_refused(void (*refuse)(unsigned long), unsigned int *failed)
{
	struct look *was = take_look();
	struct samara_mm *child = NULL;

	for (unsigned long nth = 1;; nth++) {
		int err;

		assert_in_range(nth, 1, 500);
		last_step = FORK_STEPS; /* none yet */
		refuse(nth);
		err = samara_fork(m.mm, &child);
		refuse(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(child);
		failed[last_step]++;
		assert_as_before(was);
		/* Half of the time the next fork finds entries that are still write-protected. */
		if (nth % 2)
			assert_true(write_exclusive(was) > PAGES);
	}
	assert_step(FORK_LIVE);
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		if (kind == 3)
			continue;
		assert_int_equal(get(child, page_at(kind, 0)),
				 get(m.mm, page_at(kind, 0)) * (kind != 4));
	}
	samara_mm_exit(child);
	look_gone(was);
}

static void one_allocation_fails(void **state)
{
	unsigned int failed[FORK_STEPS + 1] = { 0 };

	(void)state;
	fork_refused(samara_inject_nth, failed);
	if (!steps_are_told) {
		assert_true(failed[FORK_STEPS] > 16);
		return;
	}
	assert_true(failed[FORK_VMAS] > 10);
	assert_true(failed[FORK_TREE] > 0);
	assert_true(failed[FORK_PAGES] > 5);
	assert_int_equal(failed[FORK_PLACE] + failed[FORK_LIVE], 0);
	assert_int_equal(failed[FORK_STEPS], 1); /* the child itself */
}

static void all_allocations_fail_from_one_on(void **state)
{
	unsigned int failed[FORK_STEPS + 1] = { 0 };

	(void)state;
	fork_refused(samara_inject_from, failed);
	if (!steps_are_told) {
		assert_true(failed[FORK_STEPS] > 2);
		return;
	}
	assert_true(failed[FORK_VMAS] && failed[FORK_TREE] && failed[FORK_PAGES]);
	assert_int_equal(failed[FORK_PLACE] + failed[FORK_LIVE], 0);
	assert_int_equal(failed[FORK_STEPS], 1); /* the child itself */
}

static void the_commit_limit_is_met(void **state)
{
	struct look *was = take_look();
	struct samara_mm *child;

	(void)state;
	/* Half of 32 MiB may be promised: not so much twice. */
	assert_int_equal(samara_mmap(m.mm, page_at(9, 0), 8 << 20, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 page_at(9, 0));
	look_gone(was);
	was = take_look();
	samara_set_overcommit(m.machine, SAMARA_OVERCOMMIT_NEVER);
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	assert_step(FORK_CHARGE);
	assert_as_before(was);
	samara_set_overcommit(m.machine, SAMARA_OVERCOMMIT_ALWAYS);
	look_gone(was);
}

/* Frames run out where pinned pages are copied: not an injected failure. */
static void frames_run_out(void **state)
{
	const unsigned long a = page_at(9, 0), pages = (32 << 20) / MEM_PAGE;
	struct samara_mm *child;
	struct look *was;

	(void)state;
	assert_int_equal(samara_mmap(m.mm, a, pages * MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 a);
	for (unsigned long i = 0; i < pages; i++) {
		const unsigned long word = i;

		if (samara_write(m.mm, a + i * MEM_PAGE, &word, 8, NULL) != 8)
			break;
		assert_int_not_equal(i, pages - 1);
	}
	was = take_look();
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	assert_step(FORK_PAGES);
	assert_as_before(was);
	write_exclusive(was);
	look_gone(was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(one_allocation_fails),
		TEST(all_allocations_fail_from_one_on),
		TEST(the_commit_limit_is_met),
		TEST(frames_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
