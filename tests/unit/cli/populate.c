/* SPDX-License-Identifier: MIT */
/*
 * Calls that fill memory with pages, far more than the machine of a replay has frames.
 */
#include "feed.h"

#define AT "0x7fff00000000"

static void what_the_kernel_had_memory_for_is_granted(void **state)
{
	(void)state;
	feed_all((const char *const[]){
		"7 execve(\"/bin/x\", [\"x\"], 0x7ffe /* 1 var */) = 0",
		"7 mmap(NULL, 402653184, " RW ") = " AT,
		"7 madvise(" AT ", 402653184, MADV_POPULATE_READ) = 0",
		"7 madvise(" AT ", 402653184, MADV_POPULATE_WRITE) = 0",
		"7 mlock(" AT ", 402653184) = 0",
		"7 munlock(" AT ", 402653184) = 0",
		"7 mlockall(MCL_CURRENT|MCL_FUTURE) = 0",
		"7 mmap(NULL, 402653184, " RW ") = 0x7ffe00000000",
		"7 mmap(NULL, 16384, " RW ") = 0x7ffd00000000",
		"7 madvise(0x7ffd00000000, 16384, MADV_POPULATE_WRITE) = 0",
		NULL,
	});
	assert_int_equal(r.stats.call_diffs + r.stats.refused + r.stats.malformed, 0);
	assert_int_equal(mappings(7), 3);
}

/* The map decides as before. */
static void what_is_not_mapped_is_no_want_of_memory(void **state)
{
	(void)state;
	feed_all((const char *const[]){
		"7 execve(\"/bin/x\", [\"x\"], 0x7ffe /* 1 var */) = 0",
		"7 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = " AT,
		"7 madvise(" AT ", 8192, MADV_POPULATE_WRITE) = 0",
		"7 munmap(0x7fff00001000, 4096) = 0",
		"7 mremap(" AT ", 8192, 4096, 0) = 0x7fff00000000",
		NULL,
	});
	assert_int_equal(r.stats.call_diffs, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_the_kernel_had_memory_for_is_granted),
		TEST(what_is_not_mapped_is_no_want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
