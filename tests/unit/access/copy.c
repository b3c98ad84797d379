/* SPDX-License-Identifier: MIT */
/*
 * samara_read(), samara_write(), samara_fetch(): what arrives, and how much of it.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;
static struct samara_fault fault;
static unsigned char buf[64 * MEM_PAGE], back[64 * MEM_PAGE];

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)(i * 7 + i / 251);
	memset(back, 0xcc, sizeof(back));
	return 0;
}

MEM_TEAR_DOWN(m);

static void what_is_written_is_read(void **state)
{
	static const struct {
		unsigned long offset, len;
	} rows[] = {
		{ 0, 1 },
		{ 4095, 2 },
		{ 3, 4093 },
		{ 0, MEM_PAGE },
		{ 17, 5 * MEM_PAGE },
		{ 4090, 20 * MEM_PAGE + 13 },
		{ 0, 64 * MEM_PAGE },
	};
	const unsigned long a = mem_map(&m, 66, RW, MAP_PRIVATE, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const long len = (long)rows[i].len;

		assert_int_equal(samara_write(m.mm, a + rows[i].offset, buf, rows[i].len, &fault),
				 len);
		assert_int_equal(fault.signo, 0);
		assert_int_equal(samara_read(m.mm, a + rows[i].offset, back, rows[i].len, &fault),
				 len);
		assert_memory_equal(buf, back, rows[i].len);
	}
}

static void nothing_is_nothing(void **state)
{
	(void)state;
	assert_int_equal(samara_read(m.mm, 0, back, 0, &fault), 0);
	assert_int_equal(samara_write(m.mm, ~0UL, buf, 0, NULL), 0);
	assert_int_equal(back[0], 0xcc);
}

static void memory_that_nobody_wrote_reads_as_zeros(void **state)
{
	const unsigned long a = mem_map(&m, 64, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(samara_read(m.mm, a, back, sizeof(back), NULL), sizeof(back));
	for (size_t i = 0; i < sizeof(back); i++)
		assert_int_equal(back[i], 0);
	assert_int_equal(mem_frames(&m), 0);
}

static void a_transfer_stops_at_the_first_byte_that_is_not_allowed(void **state)
{
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(samara_mprotect(m.mm, a + 2 * MEM_PAGE, MEM_PAGE, PROT_READ), 0);
	assert_int_equal(samara_write(m.mm, a + 100, buf, 4 * MEM_PAGE, &fault),
			 2 * MEM_PAGE - 100);
	assert_int_equal(fault.addr, a + 2 * MEM_PAGE);
	assert_int_equal(fault.signo, SIGSEGV);
	assert_int_equal(fault.code, SEGV_ACCERR);
	assert_int_equal(samara_read(m.mm, a + 100, back, 2 * MEM_PAGE - 100, NULL),
			 2 * MEM_PAGE - 100);
	assert_memory_equal(back, buf, 2 * MEM_PAGE - 100);
	assert_int_equal(samara_munmap(m.mm, a + MEM_PAGE, 3 * MEM_PAGE), 0);
	assert_int_equal(samara_read(m.mm, a, back, 4 * MEM_PAGE, NULL), MEM_PAGE);
	assert_int_equal(samara_read(m.mm, a + MEM_PAGE, back, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGSEGV);
}

static void shared_memory_is_one(void **state)
{
	struct samara_file *file = mem_file(&m, 3);
	const unsigned long a = mem_map(&m, 3, RW, MAP_SHARED, file);
	const unsigned long b = mem_map(&m, 3, PROT_READ, MAP_SHARED, file);
	const unsigned long c = mem_map(&m, 3, RW, MAP_PRIVATE, file);

	(void)state;
	assert_int_equal(samara_read(m.mm, c + MEM_PAGE, back, 1, NULL), 1);
	assert_int_equal(back[0], 2);
	assert_int_equal(samara_write(m.mm, a + 4000, buf, 200, NULL), 200);
	assert_int_equal(samara_read(m.mm, b + 4000, back, 200, NULL), 200);
	assert_memory_equal(buf, back, 200);
	assert_int_equal(samara_read(m.mm, c + 4000, back, 200, NULL), 200);
	assert_memory_equal(buf, back, 200);
	assert_int_equal(samara_file_pread(file, back, 200, 4000), 200);
	assert_memory_equal(buf, back, 200);
	/* A private write is nobody else's business. */
	assert_int_equal(samara_write(m.mm, c + 4000, "private", 7, NULL), 7);
	assert_int_equal(samara_read(m.mm, a + 4000, back, 7, NULL), 7);
	assert_memory_equal(buf, back, 7);
	samara_file_put(file);
}

static void fetching_needs_the_right_to_run(void **state)
{
	const unsigned long x = mem_map(&m, 2, PROT_READ | PROT_EXEC, MAP_PRIVATE, NULL);
	const unsigned long nx = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(samara_fetch(m.mm, x + 4090, back, 16, &fault), 16);
	assert_int_equal(samara_fetch(m.mm, nx + 4090, back, 16, &fault), 0);
	assert_int_equal(fault.code, SEGV_ACCERR);
	/* It was found out too late not to have read the page. */
	assert_true(pte_present(mem_pte(&m, nx)));
	assert_int_equal(samara_fetch(m.mm, nx, back, 1, &fault), 0);
	assert_int_equal(fault.code, SEGV_ACCERR);
}

static void what_there_was_room_for_is_written(void **state)
{
	const unsigned long a = mem_map(&m, 300, RW, MAP_PRIVATE, NULL);
	unsigned long done = 0;
	long n;

	(void)state;
	assert_int_equal(samara_write(m.mm, a + 299 * MEM_PAGE, buf, 1, &fault), 1);
	while ((n = samara_write(m.mm, a + done, buf, sizeof(buf), &fault)) == (long)sizeof(buf))
		done += sizeof(buf);
	assert_int_equal(done + (unsigned long)n, 255 * MEM_PAGE);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(fault.code, -ENOMEM);
	assert_int_equal(fault.addr, a + 255 * MEM_PAGE);
	assert_int_equal(samara_write(m.mm, a + 255 * MEM_PAGE, buf, 1, NULL), -ENOMEM);
	assert_int_equal(samara_read(m.mm, a + 255 * MEM_PAGE, back, MEM_PAGE, &fault), MEM_PAGE);
	assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
	assert_int_equal(samara_write(m.mm, a + 255 * MEM_PAGE, buf, 1, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(what_is_written_is_read),
		TEST(nothing_is_nothing),
		TEST(memory_that_nobody_wrote_reads_as_zeros),
		TEST(a_transfer_stops_at_the_first_byte_that_is_not_allowed),
		TEST(shared_memory_is_one),
		TEST(fetching_needs_the_right_to_run),
		TEST(what_there_was_room_for_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
