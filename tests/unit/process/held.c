/* SPDX-License-Identifier: MIT */
/*
 * A fork that is held where a step begins, while somebody comes to its pages from the other side:
 * truncation, write-back, reclaim's questions, a report. Nobody meets a half-built child, nobody
 * waits for ever, and what was truncated is in neither.
 */
#include <errno.h>
#include <string.h>

#include "held.h"
#include "rmap/link.h"

static enum fork_step held;
static const struct walker *walker;

static void hold(enum fork_step step, struct samara_mm *parent, struct samara_mm *child)
{
	if (step != held)
		return;
	walk(walker, parent, child);
	if (walker->waits)
		assert_false(__atomic_load_n(&done, __ATOMIC_ACQUIRE));
}

/* Fork, and while step begins have that done. */
static struct samara_mm *forked_beside(enum fork_step step, void *(*what)(void *))
{
	struct samara_mm *child;

	held = step;
	for (walker = walkers; walker->run != what; walker++)
		;
	if (walker->prepare)
		walker->prepare();
	at_fork_steps(hold);
	child = forked(&m);
	at_fork_steps_end();
	walk_end(walker);
	return child;
}

/* Each test runs once for each step, in a world of its own. */
static void at_each_step(void (*check)(enum fork_step step))
{
	wants_steps();
	for (enum fork_step step = FORK_VMAS; step < FORK_STEPS; step++) {
		check(step);
		if (step + 1 < FORK_STEPS) {
			tear_down(NULL);
			set_up(NULL);
		}
	}
}

static void gone(struct samara_mm *child)
{
	const struct mem c = other(&m, child);

	mem_check(&c);
	samara_mm_exit(child);
}

static void assert_anon(struct samara_mm *mm)
{
	for (unsigned long i = 0; i < PAGES; i++)
		assert_int_equal(get(mm, nth(anon, i)), i + 300);
}

static void check_truncated(enum fork_step step)
{
	struct samara_mm *child = forked_beside(step, truncate_it), *both[] = { m.mm, child };

	for (int k = 0; k < 2; k++) {
		const struct mem o = other(&m, both[k]);

		for (unsigned long i = 0; i < PAGES; i++) {
			if (i < KEPT) {
				assert_int_equal(get(both[k], nth(shared, i)), i + 100);
				assert_int_equal(get(both[k], nth(copied, i)), i + 100);
				continue;
			}
			assert_false(there(&o, nth(shared, i)));
			assert_false(there(&o, nth(copied, i)));
			assert_signal(both[k], nth(copied, i), SIGBUS, BUS_ADRERR);
			if (i < PAGES - 1)
				assert_signal(both[k], nth(shared, i), SIGBUS, BUS_ADRERR);
		}
		assert_signal(both[k], nth(shared, PAGES - 1), SIGSEGV, SEGV_MAPERR);
		assert_anon(both[k]);
	}
	gone(child);
	/* Nobody has a truncated page any more. */
	assert_int_equal(mem_frames(&m), KEPT + PAGES + 1);
}

static void a_truncated_page_is_in_neither(void **state)
{
	(void)state;
	at_each_step(check_truncated);
}

static void check_punched(enum fork_step step)
{
	struct samara_mm *child = forked_beside(step, punch), *both[] = { m.mm, child };

	for (int k = 0; k < 2; k++) {
		for (unsigned long i = 0; i < PAGES - 1; i++) {
			const unsigned long in_file = i < KEPT ? i + 100 : 0;

			assert_int_equal(get(both[k], nth(shared, i)), in_file);
			assert_int_equal(get(both[k], nth(copied, i)),
					 i < PAGES / 2 ? in_file : i + 200);
		}
		assert_anon(both[k]);
	}
	put(child, nth(shared, KEPT), 5);
	assert_int_equal(get(m.mm, nth(shared, KEPT)), 5);
	gone(child);
}

static void a_hole_is_in_both_and_private_copies_stay(void **state)
{
	(void)state;
	at_each_step(check_punched);
}

static void assert_host(unsigned long i, unsigned long word)
{
	unsigned long there_is = 0;

	assert_int_equal(pread(fd, &there_is, 8, (off_t)(i * MEM_PAGE)), 8);
	assert_int_equal(there_is, word);
}

static void check_written(enum fork_step step)
{
	struct samara_mm *child = forked_beside(step, write_back);

	for (unsigned long i = 0; i < PAGES; i++)
		assert_host(i, i + 100);
	/* Both sides' next writes are noticed. */
	put(m.mm, nth(shared, 0), 7);
	put(child, nth(shared, 1), 8);
	put(child, nth(copied, 2), 9);
	assert_int_equal(samara_file_sync(file), 0);
	assert_host(0, 7);
	assert_host(1, 8);
	assert_host(2, 102);
	assert_int_equal(get(child, nth(shared, 0)), 7);
	assert_anon(child);
	gone(child);
}

static void what_is_written_back_meanwhile_is_whole_and_later_writes_are_noticed(void **state)
{
	(void)state;
	at_each_step(check_written);
}

static void check_asked(enum fork_step step)
{
	struct samara_mm *child;

	take_folios();
	child = forked_beside(step, ask);
	/* The parent's entries; those of the child are nobody's business yet. */
	assert_int_equal(referenced[0], 2); /* two mappings of the file */
	assert_int_equal(referenced[1], 1);
	ask(NULL);
	assert_int_equal(referenced[1], 0);
	get(child, nth(anon, 4));
	ask(NULL);
	assert_int_equal(referenced[1], 1);
	give_folios();
	assert_anon(child);
	gone(child);
}

static void who_asks_for_accesses_sees_the_parent_only(void **state)
{
	(void)state;
	at_each_step(check_asked);
}

static void check_unmapped(enum fork_step step)
{
	struct samara_mm *child;
	unsigned long maps;

	take_folios();
	child = forked_beside(step, unmap);
	maps = folio_maps(folios[0]);
	if (step == FORK_LIVE) {
		assert_int_equal(unmapped, -EBUSY);
		assert_int_equal(maps, 2); /* both of the child's; the parent's are gone */
	} else {
		assert_int_equal(unmapped, 0);
		assert_int_equal(maps, 0);
	}
	unmap(NULL);
	assert_int_equal(unmapped, 0);
	assert_int_equal(folio_maps(folios[0]), 0);
	give_folios();
	assert_int_equal(get(m.mm, nth(shared, 4)), 104);
	assert_int_equal(get(child, nth(shared, 4)), 104);
	assert_int_equal(get(child, nth(copied, 4)), 104);
	gone(child);
}

static void a_page_is_not_taken_from_a_child_that_is_being_built(void **state)
{
	(void)state;
	at_each_step(check_unmapped);
}

static void check_reported(enum fork_step step)
{
	struct samara_mm *child = forked_beside(step, report);

	assert_true(done);
	assert_non_null(strstr(text, "Rss:"));
	assert_anon(child);
	assert_anon(m.mm);
	gone(child);
}

static void check_reclaimed(enum fork_step step)
{
	struct samara_mm *child = forked_beside(step, reclaim), *both[] = { m.mm, child };

	for (int k = 0; k < 2; k++) {
		for (unsigned long i = 0; i < PAGES - 1; i++) {
			assert_int_equal(get(both[k], nth(shared, i)), i + 100);
			assert_int_equal(get(both[k], nth(copied, i)),
					 i < PAGES / 2 ? i + 100 : i + 200);
		}
		assert_anon(both[k]);
	}
	gone(child);
}

static void reclaim_loses_nothing_of_a_child_that_is_being_built(void **state)
{
	(void)state;
	at_each_step(check_reclaimed);
}

/* It waits for the fork, and finds what that has copied. */
static void check_swapped_off(enum fork_step step)
{
	struct samara_mm *child = forked_beside(step, swap_off);

	assert_int_equal(mm_rss_sum(m.mm, MM_SWAPENTS), 0);
	assert_int_equal(mm_rss_sum(child, MM_SWAPENTS), 0);
	assert_anon(child);
	assert_anon(m.mm);
	gone(child);
}

static void swapoff_brings_back_what_a_child_that_is_being_built_has(void **state)
{
	(void)state;
	at_each_step(check_swapped_off);
}

static void check_migrated(enum fork_step step)
{
	struct samara_mm *child = forked_beside(step, migrate);
	const struct mem c = other(&m, child);

	/* Behind FORK_PAGES the child has them too, and is not live yet. */
	assert_int_equal(migrated[0], step == FORK_LIVE ? -EBUSY : 0);
	assert_int_equal(migrated[1], step == FORK_LIVE ? -EBUSY : 0);
	assert_int_equal(pfn_of(&m, nth(anon, 4)), pfn_of(&c, nth(anon, 4)));
	assert_int_equal(get(m.mm, nth(shared, 4)), 104);
	assert_int_equal(get(child, nth(shared, 4)), 104);
	assert_anon(m.mm);
	assert_anon(child);
	gone(child);
}

static void a_page_does_not_move_under_a_child_that_is_being_built(void **state)
{
	(void)state;
	at_each_step(check_migrated);
}

static void check_reaped(enum fork_step step)
{
	struct samara_mm *child;

	child = forked_beside(step, reap);
	assert_int_equal(reaped, -EAGAIN);
	assert_int_equal(mm_oom(child), 0);
	assert_anon(child);
	assert_anon(m.mm);
	gone(child);
}

static void the_reaper_stays_out_of_a_child_that_is_being_built(void **state)
{
	(void)state;
	at_each_step(check_reaped);
}

/* Copied as lost, or taken from both: the child is entered while it is built. */
static void check_failed(enum fork_step step)
{
	struct samara_mm *child = forked_beside(step, fail_frames);

	assert_lost(m.mm);
	assert_lost(child);
	give_lost_up();
	assert_lost(child);
	assert_int_equal(get(m.mm, nth(shared, BAD)), 0);
	assert_int_equal(get(child, nth(anon, BAD + 1)), BAD + 301);
	gone(child);
}

static void a_page_on_a_bad_frame_is_lost_in_both(void **state)
{
	(void)state;
	at_each_step(check_failed);
}

static void a_report_waits(void **state)
{
	(void)state;
	at_each_step(check_reported);
}

/*
 * A page that is copied between a truncation's visits to the two would be missed if the child came
 * first.
 */
static void look_at_order(enum fork_step step, struct samara_mm *parent, struct samara_mm *child)
{
	struct interval_node *node = interval_tree_iter_first(&file->inode->i_mmap.tree, 0, PAGES);
	unsigned int parents = 0, children = 0;

	if (step != FORK_PAGES)
		return;
	done = true;
	for (; node; node = interval_tree_iter_next(node, 0, PAGES)) {
		const struct samara_mm *mm = node_link(node)->vma->vm_mm;

		done &= mm == parent ? !children : mm == child;
		parents += mm == parent;
		children += mm == child;
	}
	done &= parents == 2 && children == 2;
}

static void whoever_goes_through_a_files_mappings_meets_the_child_after_the_parent(void **state)
{
	(void)state;
	done = false;
	at_fork_steps(look_at_order);
	samara_mm_exit(forked(&m));
	assert_true(done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_truncated_page_is_in_neither),
		TEST(a_hole_is_in_both_and_private_copies_stay),
		TEST(what_is_written_back_meanwhile_is_whole_and_later_writes_are_noticed),
		TEST(who_asks_for_accesses_sees_the_parent_only),
		TEST(a_page_is_not_taken_from_a_child_that_is_being_built),
		TEST(a_report_waits),
		TEST(reclaim_loses_nothing_of_a_child_that_is_being_built),
		TEST(swapoff_brings_back_what_a_child_that_is_being_built_has),
		TEST(a_page_does_not_move_under_a_child_that_is_being_built),
		TEST(a_page_on_a_bad_frame_is_lost_in_both),
		TEST(the_reaper_stays_out_of_a_child_that_is_being_built),
		TEST(whoever_goes_through_a_files_mappings_meets_the_child_after_the_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
