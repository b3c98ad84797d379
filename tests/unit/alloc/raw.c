/* SPDX-License-Identifier: MIT */
/* The default allocator: where blocks lie, and that they cost what they are asked for. */
#include "support/cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc/raw.h"

#define BLOCKS 24

/* Bytes of address space that the process has. */
static unsigned long mapped(void)
{
	const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoul(text, NULL, 10) * (unsigned long)sysconf(_SC_PAGESIZE);
}

static void blocks_are_aligned_and_nothing_beside_them_stays(void **state)
{
	static const struct {
		size_t size, align;
	} rows[] = {
		{ 64UL << 10, 64 },           { 65UL << 10, 4096 },
		{ 1UL << 20, 1UL << 16 },     { HUGE_PAGE, HUGE_PAGE },
		{ 3 * HUGE_PAGE, HUGE_PAGE }, { HUGE_PAGE + 1, 1UL << 20 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const unsigned long before = mapped();
		unsigned long now;
		char *block[BLOCKS];

		for (int k = 0; k < BLOCKS; k++) {
			block[k] = raw_alloc(rows[i].size, rows[i].align);
			assert_non_null(block[k]);
			assert_int_equal((uintptr_t)block[k] % rows[i].align, 0);
			block[k][0] = block[k][rows[i].size - 1] = 'b';
		}
		now = mapped();
		assert_in_range(now - before, BLOCKS * rows[i].size,
				BLOCKS * (rows[i].size + 4096) + (1UL << 20));
		for (int k = 0; k < BLOCKS; k++)
			raw_free(block[k], rows[i].size);
		assert_true(mapped() < before + (1UL << 20));
	}
}

/* Whether the host was asked for huge pages behind addr; -1: no mapping is there. */
static int wants_huge_pages(const char *addr)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool inside = false;
	char line[512];
	int wants = -1;

	assert_non_null(smaps);
	while (wants < 0 && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)addr >= start && (uintptr_t)addr < end;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			wants = strstr(line, " hg") != NULL;
	}
	fclose(smaps);
	return wants;
}

static void huge_pages_are_wanted_for_whole_ones_only(void **state)
{
	static const struct {
		size_t size, align;
		int wanted;
	} rows[] = {
		{ HUGE_PAGE, HUGE_PAGE, 1 },
		{ 3 * HUGE_PAGE, 2 * HUGE_PAGE, 1 },
		{ HUGE_PAGE, 4096, 0 },
		{ HUGE_PAGE + 4096, HUGE_PAGE, 0 },
	};

	(void)state;
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
		skip(); /* the host knows none */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *block = raw_alloc(rows[i].size, rows[i].align);
		const int wants = wants_huge_pages(block);

		raw_free(block, rows[i].size);
		assert_int_equal(wants, rows[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_aligned_and_nothing_beside_them_stays),
		cmocka_unit_test(huge_pages_are_wanted_for_whole_ones_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
