/* SPDX-License-Identifier: MIT */
/*
 * What a replay takes for written, and so what merges. In each test two mappings, A and
 * C, are joined by a third, B: to one mapping if A or C was not written to, else to two.
 *
 *	7ffff0000000  2000  4000  6000
 *	     |   A    |  B   |  C   |
 */
#include <errno.h>

#include "feed.h"

#define HEAD "# samara maps 1\n"
#define TEXT "400000-401000 r-xp 00000000 00:00 0 \n"
#define GATE "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n"
#define EXEC "@ line 1 pid 7 kind exec\n" TEXT GATE
#define ONE "7ffff0000000-7ffff0006000 rw-p 00000000 00:00 0 \n" GATE
#define TWO \
	"7ffff0000000-7ffff0004000 rw-p 00000000 00:00 0 \n" \
	"7ffff0004000-7ffff0006000 rw-p 00000000 00:00 0 \n" GATE
#define APART \
	"7ffff0000000-7ffff0002000 rw-p 00000000 00:00 0 \n" \
	"7ffff0004000-7ffff0006000 rw-p 00000000 00:00 0 \n" GATE

/* Replay execve, A, C, B beside these maps; then more calls. */
static void replay_beside(const char *maps, const char *const *more)
{
	begin_beside(maps, PLACE_RECORDED);
	feed_all((const char *const[]){
		"7 execve(\"/bin/x\", [\"x\"], 0x7ffe /* 1 var */) = 0",
		"7 mmap(NULL, 8192, " RW ") = 0x7ffff0000000",
		"7 mmap(NULL, 8192, " RW ") = 0x7ffff0004000",
		"7 mmap(0x7ffff0002000, 8192, " RW ") = 0x7ffff0002000",
		NULL,
	});
	if (more)
		feed_all(more);
}

static void the_maps_are(unsigned long compared, unsigned long differing, unsigned long mapped)
{
	assert_int_equal(r.stats.maps, compared);
	assert_int_equal(r.stats.map_diffs, differing);
	assert_int_equal(r.stats.call_diffs, 0);
	assert_int_equal(mappings(7), mapped + 1 /* the text */);
	replay_end(&r);
}

static void without_a_snapshot_all_is_written(void **state)
{
	(void)state;
	replay_beside(HEAD EXEC, NULL);
	the_maps_are(0, 0, 2);
}

static void what_a_later_snapshot_shows_untouched_is_not_written(void **state)
{
	(void)state;
	replay_beside(HEAD EXEC
		      "@ line 3 pid 7 kind mid\n" TEXT APART "~ 7ffff0004000-7ffff0006000\n"
		      "@ line 4 pid 7 kind mid\n" TEXT ONE "~ 7ffff0000000-7ffff0006000\n",
		      NULL);
	the_maps_are(2, 0, 1);
}

/* Untouched in one snapshot, written to before the next. */
static void a_snapshot_that_has_been_passed_says_nothing_of_later(void **state)
{
	static const char *const more[] = {
		"7 madvise(0x400000, 4096, MADV_NORMAL) = 0",
		"7 mmap(0x7ffff0006000, 8192, " RW ") = 0x7ffff0006000",
		"7 madvise(0x400000, 4096, MADV_NORMAL) = 0",
		NULL,
	};

	(void)state;
	replay_beside(HEAD EXEC "@ line 3 pid 7 kind mid\n" TEXT APART
				"~ 7ffff0004000-7ffff0006000\n"
				"@ line 4 pid 7 kind mid\n" TEXT TWO "~ 7ffff0000000-7ffff0004000\n"
				"~ 7ffff0004000-7ffff0006000\n",
		      more);
	the_maps_are(2, 0, 2);
}

static void what_became_one_had_no_two_families(void **state)
{
	(void)state;
	replay_beside(HEAD EXEC "@ line 4 pid 7 kind mid\n" TEXT ONE
				"~ 7ffff0000000-7ffff0006000\n",
		      NULL);
	the_maps_are(1, 0, 1);
}

static void what_is_kept_apart_had_two(void **state)
{
	(void)state;
	replay_beside(HEAD EXEC "@ line 4 pid 7 kind mid\n" TEXT TWO "~ 7ffff0000000-7ffff0004000\n"
				"~ 7ffff0004000-7ffff0006000\n",
		      NULL);
	the_maps_are(1, 0, 2);
}

static void another_process_s_snapshots_say_nothing(void **state)
{
	(void)state;
	replay_beside(HEAD EXEC "@ line 3 pid 8 kind mid\n" TEXT APART, NULL);
	the_maps_are(0, 0, 2);
}

static void recorded_writes_are_the_only_ones(void **state)
{
	(void)state;
	replay_beside(HEAD "touched calls\n" EXEC "@ line 2 pid 7 kind touch tid 7\n"
			   "~ 7ffff0000000-7ffff0001000\n",
		      NULL);
	the_maps_are(0, 0, 1);
	replay_beside(HEAD "touched calls\n" EXEC "@ line 2 pid 7 kind touch tid 7\n"
			   "~ 7ffff0001000-7ffff0002000\n"
			   "@ line 3 pid 7 kind touch tid 7\n"
			   "~ 7ffff0004000-7ffff0005000\n",
		      NULL);
	the_maps_are(0, 0, 2);
}

/* It is read ahead at the first call, and is told where the replay comes to it. */
static void a_damaged_block_is_told_at_its_line(void **state)
{
	char why[160] = "";

	(void)state;
	replay_beside(HEAD EXEC "@ line 5 pid 8 kind mid\n" TEXT "@ line 6 pid 7 kind mid\n" TEXT
				"what is this\n",
		      NULL);
	assert_int_equal(replay_line(&r, "test", 5, "7 brk(NULL) = 0x1000", 0, why), -EINVAL);
	assert_non_null(strstr(why, "not as tools/capture writes it"));
	replay_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_snapshot_all_is_written),
		cmocka_unit_test(what_a_later_snapshot_shows_untouched_is_not_written),
		cmocka_unit_test(a_snapshot_that_has_been_passed_says_nothing_of_later),
		cmocka_unit_test(what_became_one_had_no_two_families),
		cmocka_unit_test(what_is_kept_apart_had_two),
		cmocka_unit_test(another_process_s_snapshots_say_nothing),
		cmocka_unit_test(recorded_writes_are_the_only_ones),
		cmocka_unit_test(a_damaged_block_is_told_at_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
