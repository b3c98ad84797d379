/* SPDX-License-Identifier: MIT */
/*
 * Pages faulted in ahead: through the calls that do it, and what they answer.
 */
#include <errno.h>
#include <sys/mman.h>

#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	samara_set_caps(m.mm, SAMARA_CAP_IPC_LOCK);
	return 0;
}

MEM_TEAR_DOWN(m);

static unsigned long present(unsigned long addr, unsigned long pages)
{
	unsigned long n = 0;

	for (unsigned long i = 0; i < pages; i++)
		n += pte_present(mem_pte(&m, addr + i * MEM_PAGE));
	return n;
}

static void map_populate_writes_private_and_reads_shared_memory(void **state)
{
	const unsigned long a = mem_map(&m, 5, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	const unsigned long r = mem_map(&m, 5, PROT_READ, MAP_PRIVATE | MAP_POPULATE, NULL);
	const unsigned long s = mem_map(&m, 5, RW, MAP_SHARED | MAP_POPULATE, NULL);
	const unsigned long n = mem_map(&m, 5, PROT_NONE, MAP_PRIVATE | MAP_POPULATE, NULL);

	(void)state;
	assert_int_equal(present(a, 5), 5);
	assert_true(pte_write(mem_pte(&m, a + 4 * MEM_PAGE)));
	assert_int_equal(present(r, 5), 5);
	assert_true(pte_special(mem_pte(&m, r)));
	assert_int_equal(present(s, 5), 5);
	assert_false(pte_dirty(mem_pte(&m, s)));
	assert_int_equal(present(n, 5), 0);
	assert_int_equal(mem_frames(&m), 10);
}

static void what_there_is_no_room_for_is_left_out(void **state)
{
	const unsigned long a = mem_map(&m, 300, RW, MAP_PRIVATE | MAP_POPULATE, NULL);

	(void)state;
	assert_int_equal(present(a, 300), 256);
}

static void mlock_populates_its_range(void **state)
{
	const unsigned long a = mem_map(&m, 6, RW, MAP_PRIVATE, NULL);
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long f = mem_map(&m, 3, PROT_READ, MAP_PRIVATE, file);

	(void)state;
	assert_int_equal(samara_mlock(m.mm, a + MEM_PAGE, 3 * MEM_PAGE), 0);
	assert_int_equal(present(a, 6), 3);
	assert_true(pte_write(mem_pte(&m, a + MEM_PAGE)));
	assert_int_equal(samara_mlock2(m.mm, a, 6 * MEM_PAGE, 1 /* MLOCK_ONFAULT */), 0);
	assert_int_equal(present(a, 6), 3);
	assert_int_equal(samara_mlock(m.mm, f, 3 * MEM_PAGE), -ENOMEM); /* beyond the end */
	assert_int_equal(present(f, 3), 2);
	samara_file_put(file);
}

static void mlockall_populates_all_that_can_be(void **state)
{
	const unsigned long n = mem_map(&m, 3, PROT_NONE, MAP_PRIVATE, NULL);
	const unsigned long a = mem_map(&m, 3, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(samara_mlockall(m.mm, MCL_CURRENT | MCL_FUTURE), 0);
	assert_int_equal(present(a, 3), 3);
	assert_int_equal(present(n, 3), 0);
	assert_int_equal(present(mem_map(&m, 2, RW, MAP_PRIVATE, NULL), 2), 2);
}

static void madvise_populates_and_says_what_it_could_not(void **state)
{
	const unsigned long a = mem_map(&m, 6, RW, MAP_PRIVATE, NULL);
	struct samara_file *file = mem_file(&m, 1);
	const unsigned long f = mem_map(&m, 2, RW, MAP_SHARED, file);

	(void)state;
	assert_int_equal(samara_madvise(m.mm, a + MEM_PAGE, 2 * MEM_PAGE, MADV_POPULATE_READ), 0);
	assert_int_equal(present(a, 6), 2);
	assert_true(pte_special(mem_pte(&m, a + MEM_PAGE)));
	assert_int_equal(samara_madvise(m.mm, a + 2 * MEM_PAGE, 2 * MEM_PAGE, MADV_POPULATE_WRITE),
			 0);
	assert_int_equal(present(a, 6), 3);
	assert_true(pte_special(mem_pte(&m, a + MEM_PAGE)));
	assert_true(pte_write(mem_pte(&m, a + 2 * MEM_PAGE)));
	assert_int_equal(samara_madvise(m.mm, a + 5 * MEM_PAGE, MEM_PAGE, MADV_GUARD_INSTALL), 0);
	assert_int_equal(samara_madvise(m.mm, a, 6 * MEM_PAGE, MADV_POPULATE_READ), -EFAULT);
	assert_int_equal(samara_madvise(m.mm, a, 6 * MEM_PAGE, MADV_POPULATE_WRITE), -EFAULT);
	assert_int_equal(present(a, 6), 5);
	assert_int_equal(samara_madvise(m.mm, f, 2 * MEM_PAGE, MADV_POPULATE_READ), -EFAULT);
	assert_int_equal(samara_madvise(m.mm, f, 2 * MEM_PAGE, MADV_POPULATE_WRITE), -EFAULT);
	assert_true(pte_dirty(mem_pte(&m, f)));
	assert_int_equal(samara_munmap(m.mm, a, 6 * MEM_PAGE), 0);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_POPULATE_READ), -ENOMEM);
	mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	mem_mark(&m, f + MEM_PAGE, MARKER_POISON);
	assert_int_equal(samara_madvise(m.mm, f, 2 * MEM_PAGE, MADV_POPULATE_READ), -EHWPOISON);
	samara_file_put(file);
}

static void touching_is_accessing(void **state)
{
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(samara_touch(m.mm, a + 100, MEM_PAGE, PROT_READ), 0);
	assert_int_equal(present(a, 4), 2);
	assert_int_equal(mem_frames(&m), 0);
	assert_int_equal(samara_touch(m.mm, a, 3 * MEM_PAGE, PROT_WRITE), 0);
	assert_int_equal(mem_frames(&m), 3);
	assert_int_equal(samara_touch(m.mm, a, MEM_PAGE, PROT_EXEC), -EFAULT);
	assert_int_equal(samara_touch(m.mm, a, 5 * MEM_PAGE, PROT_WRITE), -EFAULT);
	assert_int_equal(mem_frames(&m), 4);
	assert_int_equal(samara_touch(m.mm, a, 0, PROT_WRITE), 0);
	assert_int_equal(samara_touch(m.mm, ~0UL - 10, 100, PROT_READ), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(map_populate_writes_private_and_reads_shared_memory),
		TEST(what_there_is_no_room_for_is_left_out),
		TEST(mlock_populates_its_range),
		TEST(mlockall_populates_all_that_can_be),
		TEST(madvise_populates_and_says_what_it_could_not),
		TEST(touching_is_accessing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
