/* SPDX-License-Identifier: MIT */
/*
 * samara_pagemap(): which entries it gives, and that they are those of the pages.
 */
#include <errno.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

MEM_FIXTURE(m, 1 << 20);

static void entries_are_those_of_the_pages(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	const unsigned long f = mem_map(&m, 2, RW, MAP_SHARED, file);
	unsigned long long e[4];

	(void)state;
	assert_int_equal(samara_munmap(m.mm, a + 3 * MEM_PAGE, MEM_PAGE), 0);
	assert_int_equal(samara_write(m.mm, a, "x", 1, NULL), 1);
	assert_int_equal(samara_touch(m.mm, a + MEM_PAGE, 1, PROT_READ), 0);
	assert_int_equal(samara_pagemap(m.mm, a, 4, e), 0);
	assert_true(e[0] & SAMARA_PM_PRESENT);
	assert_true(e[0] & SAMARA_PM_MMAP_EXCLUSIVE);
	assert_false(e[0] & SAMARA_PM_FILE);
	assert_int_equal(e[0] & SAMARA_PM_PFN, pte_pfn(mem_pte(&m, a)));
	assert_true(e[1] & SAMARA_PM_PRESENT);
	assert_int_equal(e[1] & SAMARA_PM_PFN, ZERO_FRAME);
	assert_false((e[2] | e[3]) & SAMARA_PM_PRESENT);
	assert_int_equal(samara_touch(m.mm, f, 1, PROT_READ), 0);
	assert_int_equal(samara_pagemap(m.mm, f, 1, e), 0);
	assert_true(e[0] & SAMARA_PM_FILE);
	samara_file_put(file);
}

static void ranges_that_cannot_be_are_refused(void **state)
{
	unsigned long long e[2];

	(void)state;
	assert_int_equal(samara_pagemap(m.mm, 1, 1, e), -EINVAL);
	assert_int_equal(samara_pagemap(m.mm, ~(MEM_PAGE - 1), 2, e), -EINVAL);
	assert_int_equal(samara_pagemap(m.mm, ~(MEM_PAGE - 1), 1, e), 0);
	assert_int_equal(e[0], 0);
	assert_int_equal(samara_pagemap(m.mm, 0, 0, e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(entries_are_those_of_the_pages),
		TEST(ranges_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
