/* SPDX-License-Identifier: MIT */
/* What a machine says of its memory (syscall/machine_report.c, frame/census.c). */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/reclaim.h>

#include "frame/frame.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

MEM_FIXTURE(m, 4 << 20);

static struct samara_machine_memory memory(void)
{
	struct samara_machine_memory memory = { .size = sizeof(memory) };

	assert_int_equal(samara_machine_memory(m.machine, &memory), 0);
	return memory;
}

static void store(unsigned long addr)
{
	struct samara_fault fault;

	assert_int_equal(samara_write(m.mm, addr, "x", 1, &fault), 1);
}

static void pages_are_counted_by_use(void **state)
{
	struct samara_machine_memory before = memory(), now;
	struct samara_file *file;
	char name[] = "/var/tmp/samara-report-XXXXXX";
	const int fd = mkstemp(name);
	unsigned long addr;

	(void)state;
	unlink(name);
	assert_int_equal(before.ram, 1024);
	assert_int_equal(before.free, 1024);
	assert_int_equal(ftruncate(fd, 8 * MEM_PAGE), 0);
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	addr = mem_map(&m, 3, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	addr = mem_map(&m, 8, RW, MAP_SHARED, file);
	for (int i = 0; i < 5; i++)
		store(addr + (unsigned long)i * MEM_PAGE);
	addr = mem_map(&m, 4, RW, MAP_SHARED, NULL);
	store(addr);
	store(addr + MEM_PAGE);
	now = memory();
	assert_int_equal(now.anon, 3);
	assert_int_equal(now.file, 5);
	assert_int_equal(now.shmem, 2);
	assert_int_equal(now.dirty, 5);
	assert_int_equal(now.free, 1024 - 10);
	assert_true(now.tables > before.tables);
	assert_int_equal(now.pgfault - before.pgfault, 10);
	assert_int_equal(now.pgmajfault, 5);
	assert_int_equal(samara_file_sync(file), 0);
	assert_int_equal(memory().dirty, 0);
	samara_file_put(file);
	close(fd);
}

static void what_is_refused_and_what_older_callers_get(void **state)
{
	struct samara_machine_memory memory = { .size = 0 };
	struct {
		size_t size;
		unsigned long ram, free, canary;
	} old = { .size = 3 * sizeof(long), .canary = 99 };

	(void)state;
	assert_int_equal(samara_machine_memory(m.machine, &memory), -EINVAL);
	assert_int_equal(samara_machine_memory(m.machine, (struct samara_machine_memory *)&old), 0);
	assert_int_equal(old.ram, 1024);
	assert_int_equal(old.canary, 99);
	assert_int_equal(samara_print_meminfo(m.machine, -1), -EBADF);
	assert_int_equal(samara_print_vmstat(m.machine, -1), -EBADF);
}

/* The number behind name in what print wrote. */
static unsigned long value(int (*print)(struct samara_machine *, int), const char *name)
{
	const int fd = memfd_create("text", MFD_CLOEXEC);
	char text[4096];
	unsigned long value;
	const char *at;
	ssize_t n;

	assert_int_equal(print(m.machine, fd), 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	assert_true(n > 0);
	assert_int_equal(text[n - 1], '\n');
	text[n] = '\0';
	at = strstr(text, name);
	assert_non_null(at);
	assert_int_equal(sscanf(at + strlen(name), "%lu", &value), 1);
	return value;
}

static void texts_are_as_in_proc(void **state)
{
	(void)state;
	mem_map(&m, 7, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	assert_int_equal(value(samara_print_meminfo, "MemTotal:"), 4096);
	assert_int_equal(value(samara_print_meminfo, "MemFree:"), 4096 - 28);
	assert_int_equal(value(samara_print_meminfo, "AnonPages:"), 28);
	assert_int_equal(value(samara_print_meminfo, "Inactive(anon):"), 28);
	assert_int_equal(value(samara_print_meminfo, "HardwareCorrupted:"), 0);
	assert_int_equal(value(samara_print_vmstat, "nr_free_pages"), 1024 - 7);
	assert_int_equal(value(samara_print_vmstat, "nr_anon_pages"), 7);
	assert_int_equal(value(samara_print_vmstat, "pgfault"), 7);
	assert_int_equal(value(samara_print_vmstat, "pgmigrate_fail"), 0);
}

static void a_machine_that_is_in_order_and_one_that_is_not(void **state)
{
	const unsigned long addr = mem_map(&m, 1, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	struct folio *folio = mem_folio(&m, addr);
	struct samara_report report;

	(void)state;
	assert_int_equal(samara_machine_validate(m.machine, &report), 0);
	assert_int_equal(report.text[0], '\0');
	folio_set(folio, FOLIO_FROZEN);
	assert_int_equal(samara_machine_validate(m.machine, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "frozen");
	assert_int_equal(samara_machine_validate(m.machine, NULL), -EUCLEAN);
	folio_test_clear(folio, FOLIO_FROZEN);
	assert_int_equal(samara_machine_validate(m.machine, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_are_counted_by_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_refused_and_what_older_callers_get, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(texts_are_as_in_proc, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_machine_that_is_in_order_and_one_that_is_not,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
