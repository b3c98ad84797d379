/* SPDX-License-Identifier: MIT */
/*
 * What stands before a call: strace's own prefixes, and what loggers add.
 */
#include "unit/cli/parsed.h"

static void every_prefix_gives_thread_and_time(void **state)
{
	static const struct {
		const char *line;
		int tid;
		double time;
	} cases[] = {
		{ "munmap(0x7ffff7fb4000, 47459) = 0", 0, -1 },
		{ "7117  munmap(0x7ffff7fb4000, 47459)     = 0", 7117, -1 },
		{ "[pid 11128] munmap(0x7ffff7fb4000, 47459) = 0", 11128, -1 },
		{ "[pid   128] munmap(0x7ffff7fb4000, 47459) = 0", 128, -1 },
		{ "7117  01:41:05 munmap(0x7ffff7fb4000, 47459) = 0", 7117, 6065 },
		{ "7117  01:41:05.047908 munmap(0x7ffff7fb4000, 47459) = 0", 7117, 6065.047908 },
		{ "1763689265.047908 munmap(0x7ffff7fb4000, 47459) = 0", 0, 1763689265.047908 },
		{ "7117  1763689265.047908 munmap(0x7ffff7fb4000, 47459) = 0 <0.000016>", 7117,
		  1763689265.047908 },
		{ "1763689265 munmap(0x7ffff7fb4000, 47459) = 0", 0, 1763689265 },
		{ "     0.000131 munmap(0x7ffff7fb4000, 47459) = 0", 0, 0.000131 },
		{ "7117       0.000131 munmap(0x7ffff7fb4000, 47459) = 0", 7117, 0.000131 },
		{ "[pid 12] 01:41:05.047908 [00007f3a2696eca3] munmap(0x7ffff7fb4000, 47459) = 0",
		  12, 6065.047908 },
		{ "7117  [00007f3a2696eca3] munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
		{ "7117  [  11] munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
		{ "7117  [????????????????] munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
		{ "7117  01:41:05 (+     0.000131) munmap(0x7ffff7fb4000, 47459) = 0", 7117, 6065 },
		/* -Y */
		{ "4826<prog> munmap(0x7ffff7fb4000, 47459) = 0", 4826, -1 },
		{ "[pid  4826<a\\74b\\76 c>] munmap(0x7ffff7fb4000, 47459) = 0", 4826, -1 },
		{ "4826<kworker/0:1> 01:41:05 munmap(0x7ffff7fb4000, 47459) = 0", 4826, 6065 },
		/* --secontext */
		{ "7117  [unconfined_t] munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
		{ "[pid 12] [unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023] "
		  "munmap(0x7ffff7fb4000, 47459) = 0",
		  12, -1 },
		{ "7117  01:41:05 [ 11] [00007f3a2696eca3] munmap(0x7ffff7fb4000, 47459) = 0", 7117,
		  6065 },
		/* loggers */
		{ "Nov 28 16:29:48 host strace[99]: 7117  munmap(0x7ffff7fb4000, 47459) = 0", 7117,
		  -1 },
		{ "Nov  8 16:29:48 host strace[99]: [pid 12] munmap(0x7ffff7fb4000, 47459) = 0", 12,
		  -1 },
		{ "Nov 28 16:29:48 munmap(0x7ffff7fb4000, 47459) = 0", 0, 59388 },
		{ "2026-11-28T16:29:48.123456+00:00 host strace[99]: 7117 01:41:05 "
		  "munmap(0x7ffff7fb4000, 47459) = 0",
		  7117, 6065 },
		{ "2026-11-28T16:29:48.123456789Z stderr F 7117  munmap(0x7ffff7fb4000, 47459) = 0",
		  7117, -1 },
		{ "[   12.345678] strace[99]: 7117  munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
		{ "strace[99]: 7117  munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
		{ "web_1  | 7117  munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
		/* quoted where a stack's frame would be */
		{ " > 7117  munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
		{ " > 7117  munmap(0x7ffff7fb4000, 47459)     = 0", 7117, -1 },
		{ " > > [pid 7117] munmap(0x7ffff7fb4000, 47459) = 0", 7117, -1 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse_call(f, cases[i].line);
		assert_int_equal(f->call.kind, CALL_MUNMAP);
		assert_int_equal(f->call.addr, 0x7ffff7fb4000);
		assert_int_equal(f->call.len, 47459);
		assert_int_equal(f->ev.tid, cases[i].tid);
		assert_true(f->ev.stamp.time == cases[i].time);
		assert_int_equal(f->ev.result.kind, RESULT_VALUE);
		assert_int_equal(f->ev.result.value, 0);
	}
}

static void prose_is_no_call(void **state)
{
	static const char *const lines[] = {
		"we saw that munmap(0x7ffff7fb4000, 47459) = 0 there",
		"hello: munmap(0x7ffff7fb4000, 47459) = 0",
		"Nov 28 16:29:48 host strace[99]: hello",
		"2026-11-28 nothing (here)",
		"[pid 7<prog munmap(0x7ffff7fb4000, 47459) = 0",
		"4826<prog munmap(0x7ffff7fb4000, 47459) = 0",
		" > he wrote:",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (parse(f, lines[i]) != -EINVAL)
			fail_msg("%s was read", lines[i]);
}

static void other_events_have_the_same_prefixes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, "4826<prog> +++ exited with 3 +++"), 0);
	assert_int_equal(f->ev.kind, TRACE_EXITED);
	assert_int_equal(f->ev.tid, 4826);
	assert_int_equal(parse(f, "Nov 28 16:29:48 host strace[9]: 7  --- SIGCHLD {} ---"), 0);
	assert_int_equal(f->ev.kind, TRACE_SIGNAL);
	assert_int_equal(f->ev.tid, 7);
	assert_int_equal(parse(f, "strace: Process 4826<prog> attached"), 0);
	assert_int_equal(f->ev.kind, TRACE_ATTACHED);
	assert_int_equal(f->ev.number, 4826);
	assert_int_equal(parse(f, "/usr/bin/strace: Process 4827 attached"), 0);
	assert_int_equal(f->ev.kind, TRACE_ATTACHED);
	assert_int_equal(f->ev.number, 4827);
	assert_int_equal(parse(f, "4826<prog> mmap(NULL, 4096 <unfinished ...>"), 0);
	parse_call(f, "4826<other> <... mmap resumed>, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000");
	assert_int_equal(f->call.len, 4096);
}

static void a_process_s_mode_is_read(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, "[ Process PID=9 runs in 32 bit mode. ]"), 0);
	assert_int_equal(f->ev.kind, TRACE_MODE);
	assert_int_equal(f->ev.mode, MODE_32);
	assert_int_equal(f->ev.tid, 9);
	assert_int_equal(parse(f, "strace: [ Process PID=9 runs in 32 bit mode. ]"), 0);
	assert_int_equal(f->ev.kind, TRACE_MODE);
	assert_int_equal(parse(f, "[pid 7] [ Process PID=7 runs in 64 bit mode. ]"), 0);
	assert_int_equal(f->ev.mode, MODE_64);
	assert_int_equal(f->ev.tid, 7);
	assert_int_equal(parse(f, "[ Process PID=9 runs in x32 mode. ]"), 0);
	assert_int_equal(f->ev.mode, MODE_X32);
	assert_int_equal(parse(f, "[ Process PID=9 runs in 16 bit mode. ]"), -EINVAL);
}

static void stacks_and_tables_say_nothing(void **state)
{
	static const char *const lines[] = {
		" > /usr/lib/x86_64-linux-gnu/libc.so.6(mmap+0x23) [0x101b97]",
		" > /opt/x(std::foo(int) const+0x12) [0x12]",
		" > unexpected_backtracing_error [0x7f0000]",
		"% time     seconds  usecs/call     calls    errors syscall",
		"------ ----------- ----------- --------- --------- ----------------",
		"  4.46    0.000314          13        23         1 mmap",
		"100.00    0.007043          44       160         9 total",
		"",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (parse(f, lines[i]))
			fail_msg("%s: %s", lines[i], f->why);
		assert_int_equal(f->ev.kind, TRACE_OTHER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_prefix_gives_thread_and_time),  TEST(prose_is_no_call),
		TEST(other_events_have_the_same_prefixes), TEST(a_process_s_mode_is_read),
		TEST(stacks_and_tables_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
