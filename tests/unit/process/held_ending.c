/* SPDX-License-Identifier: MIT */
/*
 * Each walker over an mm that comes to an end: a fork that fails, held at each of its steps; the
 * exit of that fork's child; and the exit of a live child, held at each of its steps. The parent
 * has what it had, exclusively, or what truncation leaves; the child leaves nothing.
 */
#include <errno.h>

#include "held.h"

enum ending { FORK_FAILS, FAILED_FORK_EXITS, CHILD_EXITS };

static struct {
	const struct walker *walker;
	enum ending ending;
	unsigned int step;
	bool walked;
} now;

static void walk_now(const struct samara_mm *one, const struct samara_mm *other)
{
	now.walked = true;
	walk(now.walker, one, other);
}

static void at_fork_step(enum fork_step step, struct samara_mm *parent, struct samara_mm *child)
{
	if (now.ending == FORK_FAILS && step == now.step)
		walk_now(parent, child);
	/* No memory for anything further, or for the leaf table of the last page. */
	if (now.ending == FORK_FAILS && step == now.step)
		samara_inject_from(1);
	else if (now.ending == FAILED_FORK_EXITS && step == FORK_PAGES)
		samara_inject_from(5);
}

static void at_exit_step(enum exit_step step, struct samara_mm *mm)
{
	if (now.ending == FORK_FAILS || step != now.step)
		return;
	if (step <= EXIT_PAGES)
		assert_true(mm_rss_sum(mm, MM_ANONPAGES) + mm_rss_sum(mm, MM_SWAPENTS) >=
			    (long)PAGES);
	walk_now(mm, m.mm);
}

static void let_fork_fail(void)
{
	struct samara_mm *child = NULL;

	at_fork_steps(at_fork_step);
	at_exit_steps(at_exit_step);
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	samara_inject_from(0);
	at_fork_steps_end();
	at_exit_steps_end();
	assert_null(child);
}

static void let_child_exit(void)
{
	struct samara_mm *child = forked(&m);

	at_exit_steps(at_exit_step);
	samara_mm_exit(child);
	at_exit_steps_end();
}

static void assert_word(unsigned long mapping, unsigned long i, unsigned long word)
{
	if (get(m.mm, nth(mapping, i)) != word)
		fail_msg("%s, ending %d, step %u: page %lu of %#lx has %lu, not %lu",
			 now.walker->name, (int)now.ending, now.step, i, mapping,
			 get(m.mm, nth(mapping, i)), word);
}

static void assert_whole(void)
{
	const bool truncated = now.walker->truncates;
	const unsigned long lost = now.walker->loses ? BAD : PAGES;
	unsigned long frames;

	for (unsigned long i = 0; i < (truncated ? KEPT : PAGES - 1); i++)
		assert_word(shared, i, i == lost ? 0 : i + 100);
	for (unsigned long i = 0; i < (truncated ? KEPT : PAGES); i++)
		assert_word(copied, i, i == lost ? 0 : i < PAGES / 2 ? i + 100 : i + 200);
	for (unsigned long i = 0; i < PAGES; i++)
		assert_word(anon, i, i == lost ? 0 : i + 300);
	if (now.walker->loses)
		put(m.mm, nth(anon, BAD), 0);
	/* They are the parent's alone: a write copies nothing. */
	frames = mem_frames(&m);
	for (unsigned long i = 0; i < PAGES; i++)
		put(m.mm, nth(anon, i), i);
	assert_int_equal(mem_frames(&m), frames);
}

static void check_one(void)
{
	now.walked = false;
	if (now.walker->prepare)
		now.walker->prepare();
	if (now.walker->looks)
		take_folios();
	if (now.ending == CHILD_EXITS)
		let_child_exit();
	else
		let_fork_fail();
	assert_true(now.walked);
	walk_end(now.walker);
	if (now.walker->looks)
		give_folios();
	if (now.walker->loses)
		give_lost_up();
	assert_whole();
}

static void check_all(enum ending ending, unsigned int first, unsigned int end)
{
	wants_steps();
	now.ending = ending;
	for (size_t w = 0; w < WALKERS; w++) {
		for (unsigned int step = first; step < end; step++) {
			now.walker = &walkers[w];
			now.step = step;
			check_one();
			tear_down(NULL);
			set_up(NULL);
		}
	}
}

static void each_walker_over_a_fork_that_fails(void **state)
{
	(void)state;
	check_all(FORK_FAILS, FORK_VMAS, FORK_LIVE);
}

static void each_walker_over_the_child_of_a_fork_that_failed(void **state)
{
	(void)state;
	check_all(FAILED_FORK_EXITS, EXIT_BEGIN, EXIT_STEPS);
}

static void each_walker_over_a_child_that_exits(void **state)
{
	(void)state;
	check_all(CHILD_EXITS, EXIT_BEGIN, EXIT_STEPS);
}

/* What the reaper finds at each step. */
static void check_reaper(enum ending ending, const int *expected)
{
	const struct walker reaper = { .name = "reaper", .run = reap };

	wants_steps();
	now.ending = ending;
	now.walker = &reaper;
	for (now.step = EXIT_BEGIN; now.step < EXIT_STEPS; now.step++) {
		check_one();
		assert_int_equal(reaped, expected[now.step]);
		tear_down(NULL);
		set_up(NULL);
	}
}

static void the_reaper_enters_a_child_that_exits_until_its_pages_are_free(void **state)
{
	/* Beyond EXIT_LINKS the lock is held. */
	static const int live[EXIT_STEPS] = { 0, 0, 0, 0, 0, -EAGAIN, -EAGAIN };
	/* At EXIT_BEGIN it is still MM_BUILDING, though its lock is free. */
	static const int failed[EXIT_STEPS] = { -EAGAIN, 0, 0, 0, 0, -EAGAIN, -EAGAIN };

	(void)state;
	check_reaper(CHILD_EXITS, live);
	check_reaper(FAILED_FORK_EXITS, failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(each_walker_over_a_fork_that_fails),
		TEST(each_walker_over_the_child_of_a_fork_that_failed),
		TEST(each_walker_over_a_child_that_exits),
		TEST(the_reaper_enters_a_child_that_exits_until_its_pages_are_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
