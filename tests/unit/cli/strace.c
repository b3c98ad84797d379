/* SPDX-License-Identifier: MIT */
/*
 * The parser of strace's output, on real lines of each flavour.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"

#include "replay/call.h"

struct fixture {
	struct trace_parser *p;
	struct trace_event ev;
	struct call call;
	char why[120];
};

static int setup(void **state)
{
	static struct fixture f;

	f.p = trace_parser_new();
	*state = &f;
	return f.p ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	trace_parser_free(f->p);
	return 0;
}

static int parse(struct fixture *f, const char *line)
{
	f->why[0] = '\0';
	return trace_parse(f->p, line, 0, &f->ev, f->why);
}

static void parse_call(struct fixture *f, const char *line)
{
	if (parse(f, line))
		fail_msg("%s: %s", line, f->why);
	assert_int_equal(f->ev.kind, TRACE_CALL);
	if (call_decode(&f->ev, &f->call, f->why))
		fail_msg("%s: %s", line, f->why);
}

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
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse_call(f, cases[i].line);
		assert_int_equal(f->call.kind, CALL_MUNMAP);
		assert_int_equal(f->call.addr, 0x7ffff7fb4000);
		assert_int_equal(f->call.len, 47459);
		assert_int_equal(f->ev.tid, cases[i].tid);
		assert_true(f->ev.time == cases[i].time);
		assert_int_equal(f->ev.result, RESULT_VALUE);
		assert_int_equal(f->ev.value, 0);
	}
}

static void mmap_of_a_file_names_it(void **state)
{
	struct fixture *f = *state;

	parse_call(f,
		   "7  mmap(0x7ffff7df8000, 1400832, PROT_READ|PROT_EXEC, "
		   "MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3</usr/lib/x86_64-linux-gnu/libc.so.6>, "
		   "0x26000) = 0x7ffff7df8000");
	assert_int_equal(f->call.kind, CALL_MMAP);
	assert_int_equal(f->call.prot, PROT_READ | PROT_EXEC);
	assert_int_equal(f->call.flags, MAP_PRIVATE | MAP_FIXED | MAP_DENYWRITE);
	assert_int_equal(f->call.offset, 0x26000);
	assert_int_equal(f->call.file.fd, 3);
	assert_string_equal(f->call.file.path, "/usr/lib/x86_64-linux-gnu/libc.so.6");
	assert_int_equal(f->ev.value, 0x7ffff7df8000);

	parse_call(f,
		   "mmap(NULL, 8192, PROT_READ, MAP_SHARED, 3</memfd:hi>(deleted), 0) = 0x7f0000");
	assert_string_equal(f->call.file.path, "/memfd:hi");
	assert_true(f->call.file.deleted);

	parse_call(f,
		   "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 8</dev/zero<char 1:5>>, 0) = 0x7f0000");
	assert_string_equal(f->call.file.path, "/dev/zero");

	parse_call(f, "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</tmp/a\\74b\\76, "
		      "\\\"c\\303\\251>, 0) = 1");
	assert_string_equal(f->call.file.path, "/tmp/a<b>, \"c\303\251");

	parse_call(
		f,
		"mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4<TCP:[127.0.0.1:80->[::1]:9]>, 0) = 1");
	assert_int_equal(f->call.file.fd, 4);

	parse_call(f, "mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000");
	assert_int_equal(f->call.file.fd, -1);
	assert_int_equal(f->call.prot, PROT_NONE);
}

static void flags_are_names_numbers_and_both(void **state)
{
	struct fixture *f = *state;

	parse_call(f, "mmap(0x10000, 2097152, PROT_READ|0x40, "
		      "MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT, -1, 0) = 0x10000");
	assert_int_equal(f->call.flags, 0x22UL | 0x40000 | 21UL << 26);
	assert_int_equal(f->call.prot, 0x41);
	parse_call(f, "mmap(NULL, 4096, PROT_NONE, 0x4 /* MAP_??? */, -1, 0) = -1 "
		      "EINVAL (Invalid argument)");
	assert_int_equal(f->call.flags, 4);
	assert_int_equal(f->ev.err, EINVAL);
	parse_call(f, "madvise(0x7ffff0000000, 4096, 0x66 /* MADV_??? */) = 0");
	assert_int_equal(f->call.advice, 102);
	parse_call(f, "madvise(0x7ffff0000000, 4096, MADV_DONTNEED_LOCKED) = 0");
	assert_int_equal(f->call.advice, 24);
	parse_call(
		f,
		"mlock2(0x7ffff0000000, 4096, MLOCK_ONFAULT) = -1 EPERM (Operation not permitted)");
	assert_int_equal(f->call.flags, 1);
	assert_int_equal(f->ev.err, EPERM);
	parse_call(f, "prlimit64(0, RLIMIT_STACK, {rlim_cur=65536*1024, "
		      "rlim_max=RLIM64_INFINITY}, NULL) = 0");
	assert_int_equal(f->call.kind, CALL_RLIMIT);
	assert_int_equal(f->call.resource, 3);
	assert_int_equal(f->call.cur, 64UL << 20);
	assert_true(f->call.max == ~0UL);
	parse_call(f, "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, "
		      "rlim_max=RLIM64_INFINITY}) = 0");
	assert_int_equal(f->call.kind, CALL_OTHER);
}

static void results_of_all_kinds(void **state)
{
	struct fixture *f = *state;

	parse_call(f, "7  mremap(0x7ffff7fb4000, 4096, 8192, "
		      "MREMAP_MAYMOVE|MREMAP_FIXED, 0x7ffff0000000) = "
		      "-1 ENOMEM (Cannot allocate memory) <0.000011>");
	assert_int_equal(f->ev.result, RESULT_ERROR);
	assert_int_equal(f->ev.err, ENOMEM);
	assert_int_equal(f->call.new_addr, 0x7ffff0000000);
	parse_call(f, "7  exit_group(0)                     = ?");
	assert_int_equal(f->ev.result, RESULT_NONE);
	parse_call(f,
		   "7  clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, "
		   "child_tidptr=0x7ffff7dcfa10) = ? ERESTARTNOINTR (To be restarted) (DELAYED)");
	assert_int_equal(f->ev.result, RESULT_RESTART);
	parse_call(f, "7  brk(NULL)                         = 0x555555576000 (DELAYED)");
	assert_int_equal(f->ev.value, 0x555555576000);
	parse_call(f, "munmap(0x7f0000000000, 4096) = 0 (INJECTED)");
	parse_call(f, "munmap(0x7f0000000000, 4096) = -1 (errno 512)");
	assert_int_equal(f->ev.err, 512);
	parse_call(f, "munmap(0x7f0000000000, 4096) = ? <unavailable>");
	assert_int_equal(f->ev.result, RESULT_NONE);
}

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
	assert_int_equal(f->ev.value, 0x7fffa0000000);
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
	assert_int_equal(f->ev.value, 8);

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

static void clone_flags_from_every_form(void **state)
{
	struct fixture *f = *state;

	parse_call(f,
		   "7  "
		   "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_"
		   "SETTLS, "
		   "child_tid=0x7ffff7a1d990, exit_signal=0, stack=0x7ffff721d000, "
		   "stack_size=0x7fff00} => "
		   "{parent_tid=[7920]}, 88) = 7920");
	assert_int_equal(f->call.flags, 0x10100);
	parse_call(
		f,
		"7  clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=0x7ffff729d000, "
		"stack_size=0x9000}, 88) = 5288");
	assert_int_equal(f->call.flags, 0x100);
	parse_call(
		f,
		"7  clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, "
		"child_tidptr=0x7ffff7dcfa10) = 7123");
	assert_int_equal(f->call.flags, 0);
	parse_call(f, "7  vfork() = 12");
	assert_int_equal(f->call.flags, 0x100);
	parse_call(f, "7  fork() = 12");
	assert_int_equal(f->call.flags, 0);
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

static void names_of_flags_are_found(void **state)
{
	static const char *const names[] = { "CLONE_CHILD_CLEARTID",
					     "CLONE_VM",
					     "MADV_COLD",
					     "MADV_DONTNEED",
					     "MAP_32BIT",
					     "MAP_ANON",
					     "MAP_SYNC",
					     "MCL_FUTURE",
					     "PROT_EXEC",
					     "PR_SET_VMA",
					     "RLIM64_INFINITY",
					     "RLIMIT_AS",
					     "RLIM_INFINITY",
					     "SHM_EXEC",
					     "SHM_RND" };
	unsigned long value;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(
			trace_constant((struct slice){ names[i], strlen(names[i]) }, &value), 0);
	assert_int_equal(trace_constant((struct slice){ "MAP_", 4 }, &value), -ENOENT);
	assert_int_equal(trace_constant((struct slice){ "ZZZ", 3 }, &value), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_prefix_gives_thread_and_time),
		TEST(mmap_of_a_file_names_it),
		TEST(flags_are_names_numbers_and_both),
		TEST(results_of_all_kinds),
		TEST(torn_calls_are_put_together),
		TEST(a_torn_call_survives_a_change_of_prefix),
		TEST(strace_s_own_message_cuts_a_line_behind_a_string),
		TEST(execve_by_a_thread_changes_its_number),
		TEST(execve_by_a_thread_without_a_mark),
		TEST(endings_signals_and_notes),
		TEST(clone_flags_from_every_form),
		TEST(malformed_lines_say_why),
		TEST(names_of_flags_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
