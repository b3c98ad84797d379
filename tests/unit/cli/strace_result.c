/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a call: its result, strace's remarks, and more text.
 */
#include <stdio.h>

#include "unit/cli/parsed.h"

static void results_of_all_kinds(void **state)
{
	struct fixture *f = *state;

	parse_call(f, "7  mremap(0x7ffff7fb4000, 4096, 8192, "
		      "MREMAP_MAYMOVE|MREMAP_FIXED, 0x7ffff0000000) = "
		      "-1 ENOMEM (Cannot allocate memory) <0.000011>");
	assert_int_equal(f->ev.result.kind, RESULT_ERROR);
	assert_int_equal(f->ev.result.err, ENOMEM);
	assert_int_equal(f->call.to.addr, 0x7ffff0000000);
	parse_call(f, "7  exit_group(0)                     = ?");
	assert_int_equal(f->ev.result.kind, RESULT_NONE);
	parse_call(f,
		   "7  clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, "
		   "child_tidptr=0x7ffff7dcfa10) = ? ERESTARTNOINTR (To be restarted) (DELAYED)");
	assert_int_equal(f->ev.result.kind, RESULT_RESTART);
	parse_call(f, "7  brk(NULL)                         = 0x555555576000 (DELAYED)");
	assert_int_equal(f->ev.result.value, 0x555555576000);
	parse_call(f, "munmap(0x7f0000000000, 4096) = -1 (errno 512)");
	assert_int_equal(f->ev.result.err, 512);
	parse_call(f, "munmap(0x7f0000000000, 4096) = ? <unavailable>");
	assert_int_equal(f->ev.result.kind, RESULT_NONE);
}

/* strace gave the answer: the kernel has not made the call. DELAYED is none of that. */
static void an_injected_answer_is_no_answer(void **state)
{
	static const struct {
		const char *rest;
		bool injected;
	} cases[] = {
		{ "0 (INJECTED)", true },
		{ "-1 ENOMEM (Cannot allocate memory) (INJECTED)", true },
		{ "0 (INJECTED: retval)", true },
		{ "0 (INJECTED: args, retval)", true },
		{ "0 (DELAYED) (INJECTED) <0.000011>", true },
		{ "0 (INJECTED: args)", false },
		{ "0 (DELAYED)", false },
		{ "0 (Timeout)", false },
	};
	struct fixture *f = *state;
	char line[200];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "7  munmap(0x7f0000000000, 4096) = %s", cases[i].rest);
		parse_call(f, line);
		assert_int_equal(f->ev.result.injected, cases[i].injected);
		assert_int_equal(f->ev.result.kind, cases[i].injected ? RESULT_NONE : RESULT_VALUE);
		assert_null(f->ev.rest);
	}
}

static void remarks_belong_to_the_result(void **state)
{
	static const struct {
		const char *rest;
		unsigned long value;
	} cases[] = {
		{ "3</etc/passwd>", 3 },
		{ "3</memfd:x>(deleted)", 3 },
		{ "3</dev/null<char 1:3>> <0.000012>", 3 },
		{ "3</etc/passwd> [passwd_file_t]", 3 },
		{ "3 [passwd_file_t!!etc_t]", 3 },
		{ "4827<prog>", 4827 },
		{ "2 /* 4827 in strace's PID NS */", 4827 },
		{ "2<prog> /* 4827 in strace's PID NS */", 4827 },
		{ "0x8002 (flags O_RDWR|O_LARGEFILE)", 0x8002 },
		{ "1 ([{fd=3, revents=POLLIN}])", 1 },
		{ "1 (in [3], left {tv_sec=1, tv_usec=2})", 1 },
		{ "5 (\"a ) b\")", 5 },
		{ "022", 18 },
	};
	struct fixture *f = *state;
	char line[200];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "7  gettid() = %s", cases[i].rest);
		parse_call(f, line);
		assert_int_equal(f->ev.result.value, cases[i].value);
		if (f->ev.rest)
			fail_msg("%s: rest `%s`", line, f->ev.rest);
	}
}

static void errors_by_other_names(void **state)
{
	static const struct {
		const char *rest;
		int err;
		enum trace_result result;
	} cases[] = {
		{ "-1 EWOULDBLOCK (x)", EAGAIN, RESULT_ERROR },
		{ "-1 ENOTSUPP (Unknown error 524)", 524, RESULT_ERROR },
		{ "-1 errno=12 (Cannot allocate memory)", ENOMEM, RESULT_ERROR },
		{ "-1 (errno 12)", ENOMEM, RESULT_ERROR },
		{ "-1 (errno 514)", 514, RESULT_RESTART },
		{ "-1 ERESTARTSYS (x)", 512, RESULT_RESTART },
		{ "? ERESTART_RESTARTBLOCK (Interrupted by signal)", 0, RESULT_RESTART },
	};
	struct fixture *f = *state;
	char line[200];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "7  munmap(0x7f0000000000, 4096) = %s", cases[i].rest);
		parse_call(f, line);
		assert_int_equal(f->ev.result.err, cases[i].err);
		assert_int_equal(f->ev.result.kind, cases[i].result);
		assert_null(f->ev.rest);
	}
}

static void text_behind_a_call_is_handed_on(void **state)
{
	static const struct {
		const char *line, *rest;
	} cases[] = {
		{ "brk(NULL) = 0x1000 munmap(0x1000, 4096) = 0", "munmap(0x1000, 4096) = 0" },
		{ "munmap(0x1000, 4096) = 0munmap(0x2000, 4096) = 0", "munmap(0x2000, 4096) = 0" },
		{ "munmap(0x1000, 4096) = -1 EINVAL (Invalid argument)brk(NULL) = 0x1000",
		  "brk(NULL) = 0x1000" },
		{ "munmap(0x1000, 4096) = 0 <0.000012> [pid 8] brk(NULL) = 0x1000",
		  "[pid 8] brk(NULL) = 0x1000" },
		{ "munmap(0x1000, 4096) = 0; brk(NULL) = 0x1000", NULL },
		{ "munmap(0x1000, 4096) = 0 # freed", "# freed" },
		{ "munmap(0x1000, 4096 <unfinished ...>8 brk(NULL) = 0x1000",
		  "8 brk(NULL) = 0x1000" },
		{ "read(3,  <unfinished ...>) = ?", "" },
		{ "read(3,  <unfinished ...>) = ? <unavailable> hello", "hello" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err = parse(f, cases[i].line);

		if (!cases[i].rest) { /* `0;` is no number */
			assert_int_equal(err, -EINVAL);
			continue;
		}
		if (err)
			fail_msg("%s: %s", cases[i].line, f->why);
		assert_string_equal(f->ev.rest ? f->ev.rest : "", cases[i].rest);
	}
	/* which letters belong to the number is not known */
	assert_int_equal(parse(f, "brk(NULL) = 0x1000brk(NULL) = 0x1000"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(results_of_all_kinds),
		TEST(an_injected_answer_is_no_answer),
		TEST(remarks_belong_to_the_result),
		TEST(errors_by_other_names),
		TEST(text_behind_a_call_is_handed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
