/* SPDX-License-Identifier: MIT */
/*
 * Accesses in address spaces of other shapes: five levels, larger pages, user addresses up to
 * the top of what the tables serve.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;

/* As on arm64 with 48 bits: no sign extension, tables end at the task size. */
static struct samara_geometry upper_too(void)
{
	struct samara_geometry geo = *samara_geometry_x86_64();

	geo.task_size = geo.map_window = geo.table_ceiling = 1UL << 48;
	geo.gate_start = geo.gate_end = 0;
	return geo;
}

static struct samara_geometry large_pages(void)
{
	struct samara_geometry geo = *samara_geometry_x86_64();

	geo.page_shift = 14;
	geo.huge_shift = 23;
	geo.task_size = geo.map_window = 1UL << 46;
	geo.map_min_addr = 1 << 16;
	geo.stack_gap = 256UL << 14;
	geo.low_start = geo.low_end = geo.gate_start = geo.gate_end = 0;
	return geo;
}

static int signal_at(unsigned long addr, int *code)
{
	struct samara_fault fault;
	char c;

	assert_int_equal(samara_read(m.mm, addr, &c, 1, &fault), 0);
	*code = fault.code;
	return fault.signo;
}

/* The first pages, the last ones, and what lies between them in the tables. */
static void use(const struct samara_geometry *geo)
{
	const unsigned long page = 1UL << geo->page_shift, len = 5 * page;
	const unsigned long at[] = { 1UL << 20, ALIGN_DOWN(geo->task_size / 2, page) - 2 * page,
				     geo->task_size - len - page };
	char bytes[64], back[64];
	int code;

	mem_open_geometry(&m, 256 * page, geo);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		assert_int_equal(samara_mmap(m.mm, at[i], len, RW,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
				 at[i]);
	for (unsigned int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(at) * 4; i++) {
			const unsigned long addr = at[i / 4] + (i % 4 + 1) * page - 30;

			memset(bytes, (int)i + 1, sizeof(bytes));
			if (!round)
				assert_int_equal(samara_write(m.mm, addr, bytes, 64, NULL), 64);
			assert_int_equal(samara_read(m.mm, addr, back, 64, NULL), 64);
			assert_memory_equal(bytes, back, 64);
		}
	}
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 15);
	assert_int_equal(signal_at(geo->task_size - page, &code), SIGSEGV);
	assert_int_equal(code, SEGV_MAPERR);
	mem_check(&m);
}

static void five_levels(void **state)
{
	int code;

	(void)state;
	use(samara_geometry_x86_64_la57());
	assert_int_equal(signal_at(1UL << 54, &code), SIGSEGV);
	assert_int_equal(code, SEGV_MAPERR);
	assert_int_equal(signal_at(1UL << 56, &code), SIGSEGV);
	assert_int_equal(code, SI_KERNEL);
	mem_close(&m);
}

static void addresses_without_a_sign(void **state)
{
	const struct samara_geometry geo = upper_too();
	int code;

	(void)state;
	use(&geo);
	assert_int_equal(signal_at(1UL << 48, &code), SIGSEGV);
	assert_int_equal(code, SEGV_MAPERR);
	assert_int_equal(signal_at(1UL << 60, &code), SIGSEGV);
	assert_int_equal(code, SEGV_MAPERR);
	mem_close(&m);
}

static void pages_of_another_size(void **state)
{
	const struct samara_geometry geo = large_pages();

	(void)state;
	use(&geo);
	mem_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_levels),
		cmocka_unit_test(addresses_without_a_sign),
		cmocka_unit_test(pages_of_another_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
