/* SPDX-License-Identifier: MIT */
/*
 * How many page tables a machine may have. Each call that makes tables for places without a page is
 * refused at the limit, and the tables are there again for others once the mapping has gone.
 */
#include <errno.h>
#include <sys/mman.h>

#include <samara/reclaim.h>
#include <samara/uffd.h>

#include "mmu/table.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/uffd_calls.h"

#define RW (PROT_READ | PROT_WRITE)
#define FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED)
#define AT 0x100000000000UL
#define SIZE (8UL << 30) /* 4096 leaf tables */
#define MOST 100UL       /* tables */
#define POPULATE_READ 22 /* MADV_POPULATE_READ, which older headers lack */
#define GUARD_INSTALL 102

static struct mem m;
static struct samara_uffd *uffd;

static int set_up(void **state)
{
	struct uffdio_register reg = {
		.range = { AT, SIZE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	(void)state;
	mem_open(&m, 4 << 20);
	m.machine->tables.max = MOST;
	assert_int_equal(samara_mmap(m.mm, AT, SIZE, RW, FLAGS, NULL, 0), AT);
	uffd = uffd_open(m.mm, 0, UFFD_FEATURE_WP_ASYNC);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	return 0;
}

/* No table more than there may be; and once the mapping has gone, there are others. */
static int tear_down(void **state)
{
	(void)state;
	assert_in_range(m.machine->tables.nr, MOST - 8, MOST);
	assert_int_equal(m.machine->tables.nr, m.mm->tables.nr);
	mem_check(&m);
	assert_int_equal(samara_write(m.mm, AT + SIZE - 1, "x", 1, NULL), -ENOMEM);
	samara_uffd_put(uffd);
	assert_int_equal(samara_munmap(m.mm, AT, SIZE), 0);
	assert_int_equal(m.machine->tables.nr, 1);
	assert_int_equal(samara_mmap(m.mm, AT, SIZE, RW, FLAGS, NULL, 0), AT);
	assert_int_equal(samara_write(m.mm, AT + SIZE - 1, "x", 1, NULL), 1);
	mem_close(&m);
	return 0;
}

static void writeprotect_is_refused(void **state)
{
	struct uffdio_writeprotect wp = { { AT, SIZE }, UFFDIO_WRITEPROTECT_MODE_WP };

	(void)state;
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), -ENOMEM);
}

static void a_scan_is_refused(void **state)
{
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING,
		.start = AT,
		.end = AT + SIZE,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};

	(void)state;
	assert_int_equal(samara_pagemap_scan(m.mm, &scan), -ENOMEM);
}

static void guards_are_refused(void **state)
{
	(void)state;
	assert_int_equal(samara_madvise(m.mm, AT, SIZE, GUARD_INSTALL), -ENOMEM);
}

static void reads_are_refused(void **state)
{
	unsigned long at = AT;
	char c;

	(void)state;
	while (at < AT + SIZE && samara_read(m.mm, at, &c, 1, NULL) == 1)
		at += 2UL << 20;
	assert_int_equal(samara_read(m.mm, at, &c, 1, NULL), -ENOMEM);
}

static void populating_is_refused(void **state)
{
	(void)state;
	assert_int_equal(samara_madvise(m.mm, AT, SIZE, POPULATE_READ), -ENOMEM);
}

static void a_fork_is_refused(void **state)
{
	struct samara_mm *child;
	unsigned long at = AT;

	(void)state;
	for (unsigned long i = 0; i < MOST / 2 + 5; i++, at += 2UL << 20)
		assert_int_equal(samara_write(m.mm, at, "x", 1, NULL), 1);
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	assert_int_equal(m.machine->tables.nr, m.mm->tables.nr);
	writeprotect_is_refused(state);
}

/* A place that has a table needs none. */
static void a_refused_request_leaves_what_there_is(void **state)
{
	char c = 0;

	assert_int_equal(samara_write(m.mm, AT, "y", 1, NULL), 1);
	writeprotect_is_refused(state);
	assert_int_equal(samara_read(m.mm, AT, &c, 1, NULL), 1);
	assert_int_equal(c, 'y');
	assert_int_equal(samara_write(m.mm, AT + MEM_PAGE, "z", 1, NULL), 1);
}

static void as_much_as_of_frames_and_at_least_256_mib(void **state)
{
	static const struct {
		size_t ram;
		unsigned long tables;
	} cases[] = { { 0, 65536 }, { 4096, 65536 }, { 512UL << 20, 131072 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
		struct samara_machine *machine;

		cfg.ram_bytes = cases[i].ram;
		assert_int_equal(samara_machine_create(&cfg, &machine), 0);
		/* The page of zeros is one more. */
		assert_in_range(machine->tables.max, cases[i].tables, cases[i].tables + 1);
		samara_machine_destroy(machine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(writeprotect_is_refused),
		TEST(a_scan_is_refused),
		TEST(guards_are_refused),
		TEST(reads_are_refused),
		TEST(populating_is_refused),
		TEST(a_fork_is_refused),
		TEST(a_refused_request_leaves_what_there_is),
		cmocka_unit_test(as_much_as_of_frames_and_at_least_256_mib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
