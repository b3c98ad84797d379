/* SPDX-License-Identifier: MIT */
/*
 * The replay engine, on short traces written for what they show. Processes
 * begin with an unknown map here, so every call's answer is judged but no map.
 */
#include <errno.h>

#include "feed.h"

static void fork_copies_and_vfork_shares(void **state)
{
	(void)state;
	feed_all((const char *const[]){
		"7 mmap(NULL, 4096, " RW ") = 0x7ffff0000000",
		"7 fork() = 8",
		"8 mmap(NULL, 4096, " RW ") = 0x7ffff1000000",
		"7 vfork( <unfinished ...>",
		"9 mmap(NULL, 4096, " RW ") = 0x7ffff2000000",
		NULL,
	});
	assert_int_equal(mappings(7), 2);
	assert_int_equal(mappings(8), 2);
	assert_ptr_equal(world_process(&r.world, 9)->space, world_process(&r.world, 7)->space);
	feed("9 execve(\"/bin/true\", [\"true\"], 0x7ffe /* 1 var */) = 0");
	feed("7 <... vfork resumed>) = 9");
	assert_int_equal(mappings(9), 0);
	assert_int_equal(mappings(7), 2);
	feed("9 +++ exited with 0 +++");
	assert_null(world_process(&r.world, 9));
	assert_int_equal(r.stats.call_diffs + r.stats.malformed, 0);
}

static void a_wrong_answer_is_counted(void **state)
{
	(void)state;
	feed_all((const char *const[]){
		"7 mmap(NULL, 4096, " RW ") = 0x7ffff0000000",
		"7 mmap(NULL, 4096, " RW ") = 0x7ffff0000000",
		"7 munmap(0x7ffff0000001, 4096) = 0",
		"7 munmap(0x7ffff0000000, 4096) = -1 ENOMEM (Cannot allocate memory)",
		"7 mmap(NULL, 0, " RW ") = -1 EINVAL (Invalid argument)",
		NULL,
	});
	assert_int_equal(r.stats.calls, 5);
	assert_int_equal(r.stats.call_diffs, 3);
}

static void a_child_of_one_of_two_clones_waits(void **state)
{
	(void)state;
	feed_all((const char *const[]){
		"7 mmap(NULL, 4096, " RW ") = 0x7ffff0000000",
		"7 fork() = 8",
		"8 munmap(0x7ffff0000000, 4096) = 0",
		"7 fork( <unfinished ...>",
		"8 fork( <unfinished ...>",
		"10 mmap(NULL, 4096, " RW ") = 0x7ffff0000000", /* free in 8's child only */
		NULL,
	});
	assert_null(world_process(&r.world, 10));
	feed("7 <... fork resumed>) = 9");
	assert_int_equal(mappings(10), 1);
	assert_int_equal(mappings(9), 1);
	feed("8 <... fork resumed>) = 10");
	assert_int_equal(r.stats.call_diffs + r.stats.malformed, 0);
	assert_int_equal(r.stats.calls, 3);
}

#define THREADS \
	"7 mmap(NULL, 4096, " RW ") = 0x7ffff7ffe000", \
		"7 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 8"

/* The kernel gave thread 8 what thread 7 unmapped; strace saw 8's end first. */
static void calls_that_overlap_are_put_in_order(void **state)
{
	(void)state;
	feed_all((const char *const[]){
		THREADS,
		"7 munmap(0x7ffff7ffe000, 4096 <unfinished ...>",
		"8 mmap(NULL, 4096, " RW ") = 0x7ffff7ffe000",
		"8 mprotect(0x7ffff7ffe000, 4096, PROT_READ) = 0",
		NULL,
	});
	assert_int_equal(r.stats.calls, 1);
	feed("7 <... munmap resumed>) = 0");
	assert_int_equal(r.stats.calls, 4);
	assert_int_equal(r.stats.call_diffs, 0);
	assert_int_equal(mappings(7), 1);
}

static void own_addresses_follow_the_recorded_order(void **state)
{
	(void)state;
	r.how.place = PLACE_OWN;
	feed_all((const char *const[]){
		THREADS,
		/* 8 chose before 7 had unmapped, and was seen to end after it */
		"8 mmap(NULL, 4096, " RW " <unfinished ...>",
		"7 munmap(0x7ffff7ffe000, 4096) = 0",
		"8 <... mmap resumed>) = 0x7ffff7ffd000",
		/* 7 chose first, and was seen to end last */
		"7 mmap(NULL, 4096, " RW " <unfinished ...>",
		"8 mmap(NULL, 4096, " RW ") = 0x7ffff7ffc000",
		"7 <... mmap resumed>) = 0x7ffff7ffe000",
		/* two growing mremaps that change places */
		"7 mremap(0x7ffff7ffd000, 4096, 8192, MREMAP_MAYMOVE <unfinished ...>",
		"8 mremap(0x7ffff7ffc000, 4096, 12288, MREMAP_MAYMOVE) = 0x7ffff7ff7000",
		"7 <... mremap resumed>) = 0x7ffff7ffa000",
		NULL,
	});
	assert_int_equal(r.stats.calls, 7);
	assert_int_equal(r.stats.call_diffs, 0);
	assert_int_equal(r.stats.moved, 0);
	assert_int_equal(replay_finish(&r), 0);
}

static void other_addresses_are_translated(void **state)
{
	(void)state;
	r.how.place = PLACE_OWN;
	feed_all((const char *const[]){
		"7 mmap(NULL, 16384, " RW ") = 0x100000",
		"7 mprotect(0x101000, 4096, PROT_READ) = 0",
		"7 munmap(0x103000, 4096) = 0",
		"7 mremap(0x100000, 4096, 8192, 0) = -1 ENOMEM (Cannot allocate memory)",
		"7 mmap(0x102000, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|"
		"MAP_FIXED, -1, 0) = 0x102000",
		NULL,
	});
	assert_int_equal(r.stats.moved, 1);
	assert_int_equal(r.stats.call_diffs, 0);
	assert_int_equal(mappings(7), 3);
}

static void execve_by_a_thread_ends_the_others(void **state)
{
	(void)state;
	feed_all((const char *const[]){
		THREADS,
		"8 execve(\"/bin/true\", [\"true\"], 0x7ffe /* 1 var */ <unfinished ...>",
		"7 +++ superseded by execve in pid 8 +++",
		"7 <... execve resumed>) = 0",
		NULL,
	});
	assert_int_equal(mappings(7), 0);
	assert_null(world_thread(&r.world, 8));
	assert_string_equal(world_process(&r.world, 7)->command, "true");
	feed("7 +++ exited with 0 +++");
	assert_int_equal(r.world.threads.all.nr, 0);
	assert_int_equal(r.stats.malformed, 0);
}

static void restarted_and_unfinished_calls_change_nothing(void **state)
{
	(void)state;
	feed_all((const char *const[]){
		"7 fork() = ? ERESTARTNOINTR (To be restarted)",
		"7 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=8} ---",
		"7 fork() = 8",
		"8 mmap(NULL, 4096, " RW ") = ?",
		"8 munmap(0x1000, 4096 <unfinished ...>",
		"8 +++ killed by SIGKILL +++",
		NULL,
	});
	assert_int_equal(r.stats.calls, 0);
	assert_null(world_process(&r.world, 8));
	assert_non_null(world_process(&r.world, 7));
	assert_int_equal(r.stats.malformed, 0);
}

static void what_changed_with_success_must_have_been_there(void **state)
{
	(void)state;
	feed("7 mprotect(0x7ffff0001000, 8192, PROT_READ) = 0");
	assert_int_equal(r.stats.assumed, 1);
	assert_int_equal(r.stats.call_diffs, 0);
	feed("7 mprotect(0x7ffff0000000, 12288, PROT_READ) = 0");
	assert_int_equal(r.stats.assumed, 2);
	feed("7 mprotect(0x7ffff0000000, 12288, PROT_NONE) = 0");
	assert_int_equal(r.stats.assumed, 2);
	assert_int_equal(r.stats.call_diffs, 0);
}

static void many_bad_lines_and_no_good_one_are_no_trace(void **state)
{
	char why[160] = "";
	int err = 0;

	(void)state;
	for (int i = 0; !err && i < 100; i++)
		err = replay_line(&r, "test", (unsigned long)i + 1, "dear diary", 0, why);
	assert_int_equal(err, -EBADMSG);
	assert_non_null(strstr(why, "not strace output"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(fork_copies_and_vfork_shares),
		TEST(a_wrong_answer_is_counted),
		TEST(a_child_of_one_of_two_clones_waits),
		TEST(calls_that_overlap_are_put_in_order),
		TEST(own_addresses_follow_the_recorded_order),
		TEST(other_addresses_are_translated),
		TEST(execve_by_a_thread_ends_the_others),
		TEST(restarted_and_unfinished_calls_change_nothing),
		TEST(what_changed_with_success_must_have_been_there),
		TEST(many_bad_lines_and_no_good_one_are_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
