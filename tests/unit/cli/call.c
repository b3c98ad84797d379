/* SPDX-License-Identifier: MIT */
/*
 * Arguments: what the calls about memory are, and which are not made again.
 */
#include <sys/mman.h>

#include "unit/cli/parsed.h"

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
	assert_int_equal(f->call.source.offset, 0x26000);
	assert_int_equal(f->call.source.file.fd, 3);
	assert_string_equal(f->call.source.file.path, "/usr/lib/x86_64-linux-gnu/libc.so.6");
	assert_int_equal(f->ev.result.value, 0x7ffff7df8000);

	parse_call(f,
		   "mmap(NULL, 8192, PROT_READ, MAP_SHARED, 3</memfd:hi>(deleted), 0) = 0x7f0000");
	assert_string_equal(f->call.source.file.path, "/memfd:hi");
	assert_true(f->call.source.file.deleted);

	parse_call(f,
		   "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 8</dev/zero<char 1:5>>, 0) = 0x7f0000");
	assert_string_equal(f->call.source.file.path, "/dev/zero");

	parse_call(f, "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</tmp/a\\74b\\76, "
		      "\\\"c\\303\\251>, 0) = 1");
	assert_string_equal(f->call.source.file.path, "/tmp/a<b>, \"c\303\251");

	parse_call(
		f,
		"mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4<TCP:[127.0.0.1:80->[::1]:9]>, 0) = 1");
	assert_int_equal(f->call.source.file.fd, 4);

	/* --secontext, wherever it puts the label */
	parse_call(f, "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</etc/passwd> [etc_t], 0) = 1");
	assert_string_equal(f->call.source.file.path, "/etc/passwd");
	parse_call(f, "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4 [etc_t]</etc/passwd>, 0) = 1");
	assert_string_equal(f->call.source.file.path, "/etc/passwd");
	parse_call(
		f,
		"mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</memfd:x>(deleted) [tmpfs_t], 0) = 1");
	assert_string_equal(f->call.source.file.path, "/memfd:x");
	assert_true(f->call.source.file.deleted);

	parse_call(f, "mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000");
	assert_int_equal(f->call.source.file.fd, -1);
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
	assert_int_equal(f->ev.result.err, EINVAL);
	parse_call(f, "madvise(0x7ffff0000000, 4096, 0x66 /* MADV_??? */) = 0");
	assert_int_equal(f->call.advice, 102);
	parse_call(f, "madvise(0x7ffff0000000, 4096, MADV_DONTNEED_LOCKED) = 0");
	assert_int_equal(f->call.advice, 24);
	parse_call(
		f,
		"mlock2(0x7ffff0000000, 4096, MLOCK_ONFAULT) = -1 EPERM (Operation not permitted)");
	assert_int_equal(f->call.flags, 1);
	assert_int_equal(f->ev.result.err, EPERM);
	parse_call(f, "prlimit64(0, RLIMIT_STACK, {rlim_cur=65536*1024, "
		      "rlim_max=RLIM64_INFINITY}, NULL) = 0");
	assert_int_equal(f->call.kind, CALL_RLIMIT);
	assert_int_equal(f->call.limit.resource, 3);
	assert_int_equal(f->call.limit.cur, 64UL << 20);
	assert_true(f->call.limit.max == ~0UL);
	parse_call(f, "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, "
		      "rlim_max=RLIM64_INFINITY}) = 0");
	assert_int_equal(f->call.kind, CALL_OTHER);
}

/* -X raw, -X verbose and -e raw=all say the same as names do. */
static void numbers_in_place_of_names(void **state)
{
	static const char *const lines[] = {
		"mmap(0x10000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = "
		"65536",
		"mmap(0x10000, 8192, 0x3, 0x22, -1, 0) = 65536",
		"mmap(0x10000, 8192, 0x3 /* PROT_READ|PROT_WRITE */, "
		"0x22 /* MAP_PRIVATE|MAP_ANONYMOUS */, -1, 0) = 65536",
		"mmap(0x10000, 0x2000, 0x3, 0x22, 0xffffffff, 0) = 0x10000",
		"mmap(0x10000, 0x2000, 0x3, 0x22, 0xffffffffffffffff, 0) = 0x10000",
		"mmap(0x10000,8192,PROT_READ|PROT_WRITE,MAP_PRIVATE|MAP_ANONYMOUS,-1,0) = 65536",
		"old_mmap(0x10000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = "
		"65536",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		parse_call(f, lines[i]);
		assert_int_equal(f->call.kind, CALL_MMAP);
		assert_int_equal(f->call.addr, 0x10000);
		assert_int_equal(f->call.len, 8192);
		assert_int_equal(f->call.prot, 3);
		assert_int_equal(f->call.flags, 0x22);
		assert_int_equal(f->call.source.file.fd, -1);
		assert_int_equal(f->ev.result.value, 0x10000);
	}
	parse_call(f, "prlimit64(0, 0x3 /* RLIMIT_STACK */, {rlim_cur=8388608 /* 8192*1024 */, "
		      "rlim_max=18446744073709551615 /* RLIM64_INFINITY */}, NULL) = 0");
	assert_int_equal(f->call.limit.cur, 8UL << 20);
	assert_true(f->call.limit.max == ~0UL);
}

/* What is about memory and not made again has a name; what is not has none. */
static void calls_that_are_left_out_have_a_name(void **state)
{
	static const struct {
		const char *line, *name;
	} cases[] = {
		{ "map_shadow_stack(0x10000, 4096, 0) = 0x10000", "map_shadow_stack" },
		{ "process_madvise(3, [{iov_base=0x10000, iov_len=4096}], 1, 20, 0) = 0",
		  "process_madvise" },
		{ "process_mrelease(3, 0) = 0", "process_mrelease" },
		{ "userfaultfd(O_CLOEXEC) = 3", "userfaultfd" },
		{ "ioctl(3, UFFDIO_REGISTER, {range={start=0, len=1}}) = 0", "UFFDIO_REGISTER" },
		{ "mbind(0x10000, 4096, MPOL_BIND, [0], 1, 0) = 0", "mbind" },
		{ "io_setup(128, [0x7f0000000000]) = 0", "io_setup" },
		{ "prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x1000, 4096, \"x\") = 0",
		  "PR_SET_VMA" },
		{ "prctl(0x53564d41 /* PR_SET_VMA */, 0, 0x1000, 4096, \"x\") = 0", "PR_SET_VMA" },
		{ "prctl(35, 1, 0x1000, 0, 0) = 0", "PR_SET_MM" },
		{ "personality(PER_LINUX|READ_IMPLIES_EXEC) = 0", "READ_IMPLIES_EXEC" },
		{ "personality(0x440000) = 0", "READ_IMPLIES_EXEC" },
		{ "syscall_0x1f0(0x1, 0x2) = 0", "syscall_0x1f0" },
		{ "xyz_mmap_new(0x1, 0x2) = 0", "xyz_mmap_new" },
		{ "personality(0xffffffff) = 0", "" },
		{ "prctl(PR_SET_NAME, \"x\") = 0", "" },
		{ "ioctl(3, TCGETS, {}) = 0", "" },
		{ "read(3, \"mmap\", 4) = 4", "" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse_call(f, cases[i].line);
		assert_int_equal(f->call.kind, cases[i].name[0] ? CALL_FOREIGN : CALL_OTHER);
		assert_string_equal(f->call.left_out, cases[i].name);
	}
	parse_call(f, "pkey_mprotect(0x10000, 4096, PROT_READ, 2) = 0");
	assert_int_equal(f->call.kind, CALL_MPROTECT);
	assert_string_equal(f->call.left_out, "pkey_mprotect's key");
	parse_call(f, "pkey_mprotect(0x10000, 4096, PROT_READ, -1) = 0");
	assert_string_equal(f->call.left_out, "");
}

static void a_line_s_memory_calls_are_found(void **state)
{
	struct tally names = { .nr = 0 };

	(void)state;
	call_mentions("7  mmap(NULL, 4096) and munmap(0x1, 2), hash_map(1), brk (2), ((", &names);
	call_mentions("map_shadow_stack( mmap(", &names);
	assert_int_equal(names.all, 4);
	assert_int_equal(names.nr, 3);
	assert_string_equal(names.row[0].name, "mmap");
	assert_int_equal(names.row[0].count, 2);
	assert_string_equal(names.row[1].name, "munmap");
	assert_string_equal(names.row[2].name, "map_shadow_stack");
}

static void what_a_trace_does_not_have_is_refused(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{ "clone3(0x7ffe00, 88) = 12", "does not have its flags" },
		{ "prlimit64(0, RLIMIT_STACK, 0x7ffe00, NULL) = 0", "cannot read argument 3" },
		{ "prlimit64(0, RLIMIT_BANANA, {rlim_cur=1, rlim_max=1}, NULL) = 0",
		  "cannot read argument 2" },
		{ "mmap(0x7ffe00) = 0x10000", "argument 2 is missing" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(f, cases[i].line), 0);
		assert_int_equal(call_decode(&f->ev, &f->call, f->why), -EINVAL);
		if (!strstr(f->why, cases[i].why))
			fail_msg("`%s`: `%s`", cases[i].line, f->why);
	}
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
	parse_call(f, "7  clone(0x10100, 0x7f00, 0, 0, 0) = 12"); /* -e raw=clone */
	assert_int_equal(f->call.flags, 0x10100);
	parse_call(f, "7  vfork() = 12");
	assert_int_equal(f->call.flags, 0x100);
	parse_call(f, "7  fork() = 12");
	assert_int_equal(f->call.flags, 0);
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
	const struct CMUnitTest tests[] = {
		TEST(mmap_of_a_file_names_it),         TEST(flags_are_names_numbers_and_both),
		TEST(numbers_in_place_of_names),       TEST(calls_that_are_left_out_have_a_name),
		TEST(a_line_s_memory_calls_are_found), TEST(what_a_trace_does_not_have_is_refused),
		TEST(clone_flags_from_every_form),     TEST(names_of_flags_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
