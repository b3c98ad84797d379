/* SPDX-License-Identifier: MIT */
/*
 * Calls that the recorded kernel refused: they change here what they changed there,
 * which is mostly nothing.
 */
#include <errno.h>
#include "feed.h"

#define AT "0x7ffff0000000"
#define FIXED "MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0"

static struct samara_vma_info vma_at(unsigned long addr)
{
	struct samara_vma_info vma = { 0 };

	if (samara_vma_next(world_process(&r.world, 7)->space->mm, addr, &vma) || vma.start > addr)
		return (struct samara_vma_info){ 0 };
	return vma;
}

static void perms_are(unsigned long addr, const char *perms)
{
	assert_string_equal(vma_at(addr).perms, perms);
}

/* Each of these would be allowed here, and none of them is made. */
static void what_only_the_recording_refuses_changes_nothing(void **state)
{
	static const char *const calls[] = {
		"7 mprotect(" AT ", 8192, PROT_WRITE) = -1 EACCES (x)",
		"7 mprotect(" AT ", 4096, PROT_NONE) = -1 EPERM (x)",
		"7 munmap(" AT ", 4096) = -1 EPERM (x)",
		"7 mmap(" AT ", 4096, PROT_READ, " FIXED ") = -1 EACCES (x)",
		"7 mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 EPERM (x)",
		"7 mmap(NULL, 134217728, " RW ") = -1 ENOMEM (x)",
		"7 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</dev/one>, 0) = -1 ENODEV (x)",
		"7 mremap(" AT ", 8192, 16384, MREMAP_MAYMOVE) = -1 ENOSYS (x)",
		"7 mremap(" AT ", 8192, 4096, 0) = -1 EFAULT (x)",
		"7 madvise(" AT ", 4096, MADV_DONTFORK) = -1 EPERM (x)",
		"7 madvise(" AT ", 4096, MADV_COLD) = -1 EINVAL (an older kernel)",
		"7 mlock(" AT ", 4096) = -1 ENOMEM (x)",
		"7 mlock2(" AT ", 4096, 0) = -1 ENOSYS (x)",
		"7 mlockall(MCL_FUTURE) = -1 EPERM (x)",
		"7 mseal(" AT ", 8192, 0) = -1 ENOSYS (x)",
		"7 remap_file_pages(" AT ", 4096, 0, 1, 0) = -1 ENOSYS (x)",
		"7 brk(0x555555580000) = 0x555555570000",
		"7 brk(0x55555556f000) = 0x555555570000",
		"7 shmat(3, NULL, 0) = -1 EACCES (x)",
		NULL,
	};
	unsigned long n = 0;

	(void)state;
	feed("7 brk(NULL) = 0x555555500000");
	feed("7 brk(0x555555570000) = 0x555555570000");
	feed("7 shmget(IPC_PRIVATE, 4096, IPC_CREAT|0600) = 3");
	feed("7 mmap(NULL, 8192, PROT_READ, MAP_SHARED, 3</some/file>, 0) = " AT);
	for (; calls[n]; n++) {
		feed(calls[n]);
		assert_int_equal(mappings(7), 2);
		assert_string_equal(vma_at(0x7ffff0000000).perms, "r--s");
		assert_int_equal(vma_at(0x7ffff0000000).end, 0x7ffff0002000);
		assert_int_equal(vma_at(0x555555500000).end, 0x555555570000);
		assert_false(vma_at(0x7ffff0000000).flags &
			     (SAMARA_VM_DONTCOPY | SAMARA_VM_LOCKED | SAMARA_VM_SEALED |
			      SAMARA_VM_WIPEONFORK));
		assert_int_equal(r.stats.refused, n + 1);
	}
	feed("7 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff1000000");
	assert_false(vma_at(0x7ffff1000000).flags & SAMARA_VM_LOCKED);
	assert_int_equal(r.stats.call_diffs, 0);
	assert_int_equal(r.stats.calls, n + 4);
}

static void the_reason_is_asked_for_before_the_map(void **state)
{
	(void)state;
	/* a filter refuses what the map would have refused otherwise */
	feed("7 mprotect(" AT ", 4096, PROT_READ) = -1 EPERM (x)");
	feed("7 mmap(NULL, 0, PROT_READ, MAP_SHARED, 3</x>, 0) = -1 EACCES (x)");
	assert_int_equal(r.stats.refused, 2);
	assert_int_equal(r.stats.call_diffs, 0);
}

static void an_error_that_only_the_map_gives_is_a_difference(void **state)
{
	(void)state;
	feed("7 mmap(NULL, 8192, " RW ") = " AT);
	feed("7 munmap(" AT ", 4096) = -1 EINVAL (x)");
	feed("7 mprotect(" AT ", 4096, PROT_READ) = -1 EINVAL (x)");
	feed("7 madvise(" AT ", 4096, MADV_DONTFORK) = -1 EINVAL (x)");
	feed("7 madvise(0x7ffff0001000, 8192, MADV_DONTFORK) = -1 EINVAL (x)");
	assert_int_equal(r.stats.call_diffs, 4);
	assert_int_equal(r.stats.refused, 0);
	assert_int_equal(mappings(7), 1); /* and yet it is not made */
}

/* What Linux does before it fails is done here as well. */
static void our_own_refusal_leaves_what_linux_leaves(void **state)
{
	(void)state;
	feed("7 mmap(NULL, 8192, " RW ") = " AT);
	feed("7 mprotect(" AT ", 12288, PROT_READ) = -1 ENOMEM (Cannot allocate memory)");
	perms_are(0x7ffff0000000, "r--p");
	feed("7 mmap(0x7ffff0003000, 4096, PROT_NONE, " FIXED ") = 0x7ffff0003000");
	feed("7 madvise(" AT ", 16384, MADV_DONTFORK) = -1 ENOMEM (x)");
	assert_true(vma_at(0x7ffff0003000).flags & SAMARA_VM_DONTCOPY);
	feed("7 mlock(" AT ", 16384) = -1 ENOMEM (x)");
	assert_true(vma_at(0x7ffff0000000).flags & SAMARA_VM_LOCKED);
	assert_int_equal(r.stats.call_diffs + r.stats.refused, 0);
}

static void a_right_that_a_later_mapping_lacks_stops_there(void **state)
{
	(void)state;
	feed("7 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = " AT);
	feed("7 mmap(0x7ffff0002000, 4096, PROT_READ, MAP_SHARED|MAP_FIXED, 3</x>, 0) = "
	     "0x7ffff0002000");
	feed("7 mmap(0x7ffff0003000, 4096, PROT_READ, " FIXED ") = 0x7ffff0003000");
	feed("7 mprotect(0x7ffff0001000, 12288, PROT_READ|PROT_WRITE) = -1 EACCES (x)");
	assert_int_equal(r.stats.refused, 1);
	perms_are(0x7ffff0000000, "r--p");
	perms_are(0x7ffff0001000, "rw-p");
	perms_are(0x7ffff0002000, "r--s");
	perms_are(0x7ffff0003000, "r--p");
}

/* Whether a call would be refused is tried in a copy, which knows locks and MADV_DONTFORK. */
static void the_trial_knows_locks_and_what_fork_leaves_out(void **state)
{
	(void)state;
	feed("7 mmap(NULL, 131072, " RW ") = " AT);
	feed("7 prlimit64(0, RLIMIT_MEMLOCK, {rlim_cur=64*1024, rlim_max=64*1024}, NULL) = 0");
	space_caps(world_process(&r.world, 7)->space, 0);
	feed("7 mlock(" AT ", 32768) = 0");
	feed("7 mlock(0x7ffff0010000, 49152) = -1 ENOMEM (x)");
	assert_int_equal(r.stats.refused, 0);
	feed("7 munlock(" AT ", 131072) = 0");
	feed("7 madvise(0x7ffff0010000, 4096, MADV_DONTFORK) = 0");
	feed("7 mprotect(0x7ffff0010000, 126976, PROT_READ) = -1 ENOMEM (x)");
	assert_int_equal(r.stats.refused + r.stats.call_diffs, 0);
	perms_are(0x7ffff0010000, "r--p");
	feed("7 mlockall(MCL_FUTURE) = 0");
	feed("7 mmap(NULL, 69632, " RW ") = -1 EAGAIN (x)");
	assert_int_equal(r.stats.refused + r.stats.call_diffs, 0);
}

static void limits_outlive_execve_and_belong_to_the_named_process(void **state)
{
	(void)state;
	feed("7 brk(NULL) = 0x555555570000");
	feed("7 fork() = 8");
	feed("7 prlimit64(8, RLIMIT_AS, {rlim_cur=16384, rlim_max=RLIM64_INFINITY}, NULL) = 0");
	feed("7 mmap(NULL, 32768, " RW ") = 0x7ffff0000000");
	feed("8 mmap(NULL, 32768, " RW ") = -1 ENOMEM (x)");
	feed("8 execve(\"/bin/true\", [\"true\"], 0x7ffe /* 1 var */) = 0");
	feed("8 mmap(NULL, 32768, " RW ") = -1 ENOMEM (x)");
	feed("8 prlimit64(0, RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=1024}, NULL) = 0");
	assert_int_equal(r.stats.refused + r.stats.call_diffs, 0);
	assert_int_equal(r.stats.malformed, 0);
}

/* Another thread's munmap was done before, though its line comes later. */
static void a_refusal_waits_for_calls_that_overlap(void **state)
{
	(void)state;
	feed("7 mmap(NULL, 8192, " RW ") = 0x7ffff7ffe000");
	feed("7 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 8");
	feed("7 munmap(0x7ffff7fff000, 4096 <unfinished ...>");
	feed("8 mprotect(0x7ffff7ffe000, 8192, PROT_READ) = -1 ENOMEM (x)");
	feed("7 <... munmap resumed>) = 0");
	assert_int_equal(r.stats.refused + r.stats.call_diffs, 0);
	assert_int_equal(r.stats.calls, 3);
	perms_are(0x7ffff7ffe000, "r--p");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_only_the_recording_refuses_changes_nothing),
		TEST(the_reason_is_asked_for_before_the_map),
		TEST(an_error_that_only_the_map_gives_is_a_difference),
		TEST(our_own_refusal_leaves_what_linux_leaves),
		TEST(a_right_that_a_later_mapping_lacks_stops_there),
		TEST(the_trial_knows_locks_and_what_fork_leaves_out),
		TEST(limits_outlive_execve_and_belong_to_the_named_process),
		TEST(a_refusal_waits_for_calls_that_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
