/* SPDX-License-Identifier: MIT */
/*
 * Who is chosen when memory has run out, and that the next one is when the owner does nothing.
 */
#include "oom.h"

/* choice ----------------------------------------------------------------------- */

static void the_largest_is_chosen_told_and_reaped(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 30);
	fill(mms[3], 20);
	fill_up(mms[0], 0);
	samara_set_oom_score_adj(mms[0], -1000);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[2]);
	assert_int_equal(mem_frames(&m), FRAMES - 30);
	assert_int_equal(mm_rss_sum(mms[2], MM_ANONPAGES), 0);
	assert_int_equal(mm_oom(mms[2]), MM_OOM_VICTIM | MM_UNSTABLE | MM_OOM_SKIP);
	assert_int_equal(vm_event_sum(m.machine->ram, OOM_KILL), 1);
}

/* Pages of shared memory and page tables count, as much as others. */
static void all_that_an_mm_has_counts(void **state)
{
	unsigned long at;

	(void)state;
	fill(mms[1], 12);
	at = map_in(mms[2], 8, MAP_SHARED);
	for (unsigned long i = 0; i < 8; i++)
		put(mms[2], at + i * MEM_PAGE, i);
	fill(mms[2], 1);
	/* A page each in leaf tables of their own. */
	for (unsigned long i = 1; i < 6; i++) {
		at = samara_mmap(mms[2], i << 32, MEM_PAGE, RW,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
		assert_int_equal(samara_madvise(mms[2], at, MEM_PAGE, MADV_GUARD_INSTALL), 0);
	}
	assert_true(mms[2]->tables.nr > mms[1]->tables.nr + 4);
	samara_set_oom_score_adj(mms[0], -1000);
	fill_up(mms[0], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[2]);
}

/* 300 thousandths of 256 pages are 76. */
static void the_adjustment_counts_as_thousandths_of_all_pages(void **state)
{
	(void)state;
	fill(mms[0], 90);
	fill(mms[1], 10);
	fill(mms[2], 20);
	assert_int_equal(samara_set_oom_score_adj(mms[2], 300), 0);
	fill(mms[3], 60);
	assert_int_equal(samara_set_oom_score_adj(mms[3], -300), 0);
	fill(mms[1], FRAMES - mem_frames(&m));
	assert_int_equal(samara_set_oom_score_adj(mms[1], -1000), 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[2]); /* 96 + tables; mms[0] has 90, mms[3] -16 */
	fill_up(mms[1], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(2, mms[0]);
	fill_up(mms[1], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(3, mms[3]);
	fill_up(mms[1], 0);
	assert_false(oom_make_room(m.machine));
}

static void of_two_alike_the_younger_is_chosen(void **state)
{
	(void)state;
	fill(mms[1], 20);
	fill(mms[2], 20);
	samara_set_oom_score_adj(mms[0], -1000);
	fill_up(mms[0], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[2]);
}

static void the_adjustment_is_checked_and_inherited(void **state)
{
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_set_oom_score_adj(m.mm, 1001), -EINVAL);
	assert_int_equal(samara_set_oom_score_adj(m.mm, -1001), -EINVAL);
	assert_int_equal(samara_set_oom_score_adj(m.mm, -1000), 0);
	child = forked(&m);
	assert_int_equal(child->limits.oom_score_adj, -1000);
	samara_mm_exit(child);
}

/* what is done ------------------------------------------------------------------- */

static void without_ops_there_is_no_victim(void **state)
{
	struct samara_oom_ops wrong = ops;

	(void)state;
	wrong.size = 3;
	samara_set_oom(m.machine, &wrong, NULL); /* does nothing */
	fill_up(m.mm, 0);
	samara_set_oom(m.machine, NULL, NULL);
	assert_false(oom_make_room(m.machine));
	assert_int_equal(told.n, 0);
	for (int i = 0; i < MMS; i++)
		assert_int_equal(mm_oom(mms[i]), 0);
}

static void a_free_frame_is_room_enough(void **state)
{
	const unsigned long refused = frames_refused;

	(void)state;
	fill(mms[1], 10);
	fill_up(m.mm, 1);
	assert_true(oom_make_room(m.machine));
	assert_int_equal(told.n, 0);
	fill_up(m.mm, 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[0]);
	/* A look for a free frame is not an operation that lacked one. */
	assert_int_equal(frames_refused, refused);
}

static void an_access_of_a_victim_makes_no_other_victim(void **state)
{
	const unsigned long at = fill(mms[1], 20);

	(void)state;
	fill(mms[2], 10);
	samara_set_oom_score_adj(mms[0], -1000);
	fill_up(mms[0], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[1]);
	fill_up(mms[0], 0);
	assert_signal(mms[1], at, SIGBUS, BUS_ADRERR);
	assert_int_equal(samara_write(mms[1], at, "x", 1, NULL), 0);
	assert_told(1, mms[1]);
}

/* Each owner is told once, though none of them ends its mm. */
static void the_next_victim_is_another_one_until_none_is_left(void **state)
{
	struct samara_file *file;

	(void)state;
	assert_int_equal(samara_file_memfd(m.machine, "full", FRAMES * MEM_PAGE, &file), 0);
	for (int i = 0; i < MMS; i++)
		fill(mms[i], 10 + (unsigned long)i);
	for (int i = MMS - 1; i >= 0; i--) {
		fill_file(file);
		assert_true(oom_make_room(m.machine));
		assert_told((unsigned int)(MMS - i), mms[i]);
	}
	fill_file(file);
	assert_false(oom_make_room(m.machine));
	assert_int_equal(told.n, MMS);
	samara_file_put(file);
}

/* One that ends by itself is waited for, and no other is told. */
static void an_mm_that_is_dying_ends_the_search(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 90);
	fill_up(m.mm, 0);
	smp_store_release(&mms[1]->life.state, MM_DYING);
	assert_true(oom_make_room(m.machine)); /* it does not go on, so it is reaped */
	assert_int_equal(told.n, 0);
	assert_int_equal(mm_rss_sum(mms[1], MM_ANONPAGES), 0);
	fill_up(m.mm, 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, m.mm);
}

static void a_victim_of_before_ends_the_search(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 90);
	fill_up(m.mm, 0);
	mm_oom_set(mms[1], MM_OOM_VICTIM);
	assert_true(oom_make_room(m.machine));
	assert_int_equal(told.n, 0);
	assert_int_equal(mm_oom(mms[1]), MM_OOM_VICTIM | MM_UNSTABLE | MM_OOM_SKIP);
	assert_int_equal(mm_rss_sum(mms[1], MM_ANONPAGES), 0);
}

static void what_is_being_built_is_no_victim(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 90);
	samara_set_oom_score_adj(m.mm, -1000);
	fill_up(m.mm, 0);
	smp_store_release(&mms[2]->life.state, MM_BUILDING);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[1]);
	smp_store_release(&mms[2]->life.state, MM_LIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(the_largest_is_chosen_told_and_reaped),
		TEST(all_that_an_mm_has_counts),
		TEST(the_adjustment_counts_as_thousandths_of_all_pages),
		TEST(of_two_alike_the_younger_is_chosen),
		TEST(the_adjustment_is_checked_and_inherited),
		TEST(without_ops_there_is_no_victim),
		TEST(a_free_frame_is_room_enough),
		TEST(an_access_of_a_victim_makes_no_other_victim),
		TEST(the_next_victim_is_another_one_until_none_is_left),
		TEST(an_mm_that_is_dying_ends_the_search),
		TEST(a_victim_of_before_ends_the_search),
		TEST(what_is_being_built_is_no_victim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
