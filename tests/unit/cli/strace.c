/* SPDX-License-Identifier: MIT */
/*
 * The parser of strace's output, on real lines of each flavour.
 */
#include "unit/cli/parsed.h"

static void torn_calls_are_put_together(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, "7  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, "
				  "-1, 0 <unfinished ...>"),
			 0);
	assert_int_equal(f->ev.kind, TRACE_ENTRY);
	assert_int_equal(parse(f, "8  munmap(0x7f0000000000, 4096 <unfinished ...>"), 0);
	parse_call(f, "7  <... mmap resumed>)               = 0x7fffa0000000");
	assert_int_equal(f->call.kind, CALL_MMAP);
	assert_int_equal(f->call.len, 4096);
	assert_int_equal(f->ev.result.value, 0x7fffa0000000);
	assert_int_equal(f->ev.tid, 7);
	parse_call(f, "8  <... munmap resumed> )            = 0");
	assert_int_equal(f->call.kind, CALL_MUNMAP);
	assert_int_equal(f->call.addr, 0x7f0000000000);

	assert_int_equal(parse(f, "7  <... mmap resumed>) = 0x7fffa0000000"), -EINVAL);
	assert_int_equal(parse(f, "9  mmap(NULL <unfinished ...>"), 0);
	assert_int_equal(parse(f, "9  <... munmap resumed>) = 0"), -EINVAL);
	assert_int_equal(parse(f, "9  <... mmap resumed>) = 0"), -EINVAL);
}

static void a_torn_call_survives_a_change_of_prefix(void **state)
{
	struct fixture *f = *state;

	/* strace writes no number while there is one process only */
	assert_int_equal(
		parse(f, "clone(child_stack=NULL, flags=SIGCHLDstrace: Process 8 attached"), 0);
	assert_int_equal(f->ev.kind, TRACE_ATTACHED);
	assert_int_equal(f->ev.number, 8);
	parse_call(f, ", child_tidptr=0x7f3a26753a10) = 8");
	assert_int_equal(f->call.kind, CALL_CLONE);
	assert_int_equal(f->ev.result.value, 8);

	assert_int_equal(parse(f, "wait4(-1, strace: Process 9 attached"), 0);
	assert_int_equal(parse(f, " <unfinished ...>"), 0);
	assert_int_equal(f->ev.kind, TRACE_ENTRY);
	parse_call(f, "[pid 7] <... wait4 resumed>NULL, 0, NULL) = 9");
	assert_int_equal(f->ev.tid, 7);

	assert_int_equal(parse(f, "[pid 7] wait4(-1,  <unfinished ...>"), 0);
	parse_call(f, "<... wait4 resumed>NULL, 0, NULL) = 9");
	assert_int_equal(f->ev.tid, 7);
}

static void strace_s_own_message_cuts_a_line_behind_a_string(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, "[pid 5] newfstatat(3, \"\", strace: Process 8 attached"), 0);
	assert_int_equal(f->ev.kind, TRACE_ATTACHED);
	assert_int_equal(f->ev.number, 8);
	assert_int_equal(parse(f, "{st_mode=S_IFREG|0755, ...}, AT_EMPTY_PATH) = 0"), 0);
	assert_int_equal(f->ev.kind, TRACE_CALL);
	assert_int_equal(f->ev.tid, 5);

	/* the same words inside a string cut nothing */
	assert_int_equal(parse(f, "write(1, \"a \\\" strace: Process 9 attached\", 28) = 28"), 0);
	assert_int_equal(f->ev.kind, TRACE_CALL);
}

static void execve_by_a_thread_changes_its_number(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, "9  execve(\"/bin/true\", [\"true\"], 0x7ffe /* 37 vars */ "
				  "<pid changed to 7 ...>"),
			 0);
	assert_int_equal(f->ev.kind, TRACE_ENTRY);
	assert_int_equal(f->ev.tid, 9);
	assert_int_equal(parse(f, "7  +++ superseded by execve in pid 9 +++"), 0);
	assert_int_equal(f->ev.kind, TRACE_SUPERSEDED);
	assert_int_equal(f->ev.number, 9);
	parse_call(f, "7  <... execve resumed>)             = 0");
	assert_int_equal(f->call.kind, CALL_EXEC);
	assert_int_equal(f->ev.tid, 7);
}

static void execve_by_a_thread_without_a_mark(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, "8902  pause( <unfinished ...>"), 0);
	assert_int_equal(
		parse(f, "8908  execve(\"/bin/true\", [\"true\"], 0x7ffe <unfinished ...>"), 0);
	assert_int_equal(parse(f, "8902  +++ superseded by execve in pid 8908 +++"), 0);
	parse_call(f, "8902  <... execve resumed>)             = 0 (DELAYED)");
	assert_int_equal(f->call.kind, CALL_EXEC);
	assert_int_equal(f->ev.tid, 8902);
}

static void endings_signals_and_notes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, "7  +++ exited with 3 +++"), 0);
	assert_int_equal(f->ev.kind, TRACE_EXITED);
	assert_int_equal(f->ev.number, 3);
	assert_int_equal(parse(f, "[pid 7] +++ killed by SIGKILL (core dumped) +++"), 0);
	assert_int_equal(f->ev.kind, TRACE_KILLED);
	assert_int_equal(
		parse(f, "7  --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=8} ---"), 0);
	assert_int_equal(f->ev.kind, TRACE_SIGNAL);
	assert_int_equal(parse(f, "7  --- stopped by SIGSTOP ---"), 0);
	assert_int_equal(f->ev.kind, TRACE_SIGNAL);
	assert_int_equal(parse(f, "strace: Process 11 attached"), 0);
	assert_int_equal(f->ev.kind, TRACE_ATTACHED);
	assert_int_equal(parse(f, "strace: Process 11 detached"), 0);
	assert_int_equal(f->ev.kind, TRACE_OTHER);
	assert_int_equal(parse(f, " > /usr/lib/libc.so.6(mmap+0x8823) [0x20ca3]"), 0);
	assert_int_equal(f->ev.kind, TRACE_OTHER);
}

static void malformed_lines_say_why(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{ "hello world", "neither a call nor an event" },
		{ "7  mmap(NULL, 4096", "the arguments of mmap do not end" },
		{ "7  mmap(NULL, 4096)", "no result" },
		{ "7  munmap(0x1000, 4096) = banana", "is no number" },
		{ "7  munmap(0x1000, 4096) = -1 EBANANA (Unknown)", "unknown error" },
		{ "7  +++ sublimated +++", "unknown ending" },
		{ "7  <... mmap resumed>) = 0", "has not begun" },
		{ "7  <... what is this", "without `resumed>`" },
		{ "7  \"abc", "neither a call nor an event" },
		{ "7  execve(\"/bin/tr", "do not end" },
		{ "7  execve(1 <pid changed to 8 )", "do not end" },
	};
	static const struct {
		const char *line, *why;
	} calls[] = {
		{ "7  munmap(0x1000) = 0", "argument 2 is missing" },
		{ "7  munmap(0x1000, many) = 0", "cannot read argument 2" },
		{ "7  mprotect(0x1000, 4096, PROT_BANANA) = 0", "cannot read argument 3" },
		{ "7  munmap(99999999999999999999, 1) = 0", "cannot read argument 1" },
		{ "7  mmap(NULL, 1, PROT_READ, MAP_SHARED, 3</a, 0) = 0", NULL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(f, cases[i].line), -EINVAL);
		if (!strstr(f->why, cases[i].why))
			fail_msg("`%s`: `%s`", cases[i].line, f->why);
	}
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int err = parse(f, calls[i].line);

		if (!err)
			err = call_decode(&f->ev, &f->call, f->why);
		assert_int_equal(err, -EINVAL);
		if (calls[i].why && !strstr(f->why, calls[i].why))
			fail_msg("`%s`: `%s`", calls[i].line, f->why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(torn_calls_are_put_together),
		TEST(a_torn_call_survives_a_change_of_prefix),
		TEST(strace_s_own_message_cuts_a_line_behind_a_string),
		TEST(execve_by_a_thread_changes_its_number),
		TEST(execve_by_a_thread_without_a_mark),
		TEST(endings_signals_and_notes),
		TEST(malformed_lines_say_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
