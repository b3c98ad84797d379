/* SPDX-License-Identifier: MIT */
/*
 * Pages that a driver gives: PFN maps and counted ones, private copies, and what a driver refuses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 2

struct screen {
	unsigned long frame[PAGES];
	int pfnmap;
	int refuse_fault, refuse_write; /* errno, 0: none */
	unsigned int faults, writes, cows;
	unsigned int flags; /* of the last fault */
};

static struct mem m;
static struct screen screen;
static struct samara_file *file;

static int prepare(void *priv, struct samara_vma_desc *desc)
{
	const struct screen *s = priv;

	if (s->pfnmap)
		desc->vm_flags |= SAMARA_VM_PFNMAP | SAMARA_VM_IO | SAMARA_VM_DONTEXPAND;
	return 0;
}

static int fault(void *priv, struct samara_vmf *vmf)
{
	struct screen *s = priv;

	s->faults++;
	s->flags = vmf->flags;
	s->cows += !!(vmf->flags & SAMARA_VMF_COW);
	if (s->refuse_fault || vmf->pgoff >= PAGES)
		return s->refuse_fault ? -s->refuse_fault : -EFAULT;
	return samara_vmf_insert(vmf, s->frame[vmf->pgoff]);
}

static int page_mkwrite(void *priv, struct samara_vmf *vmf)
{
	struct screen *s = priv;

	s->writes++;
	assert_int_equal(vmf->frame, s->frame[vmf->pgoff]);
	return -s->refuse_write;
}

static const struct samara_file_ops with_mkwrite = {
	.size = sizeof(struct samara_file_ops),
	.mmap_prepare = prepare,
	.fault = fault,
	.page_mkwrite = page_mkwrite,
};

static const struct samara_file_ops plain = {
	.size = sizeof(struct samara_file_ops),
	.mmap_prepare = prepare,
	.fault = fault,
};

/* Each page is filled with its index + 1. */
static void open_device(const struct samara_file_ops *ops, int pfnmap)
{
	memset(&screen, 0, sizeof(screen));
	screen.pfnmap = pfnmap;
	assert_int_equal(samara_file_device(m.machine, ops, &screen, &file), 0);
	for (int i = 0; i < PAGES; i++) {
		assert_int_equal(samara_device_alloc(file, 0, &screen.frame[i]), 0);
		memset(samara_device_bytes(file, screen.frame[i]), i + 1, MEM_PAGE);
	}
}

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	file = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_check(&m);
	samara_file_put(file);
	mem_close(&m);
	return 0;
}

static void a_pfn_map_is_special_and_not_counted(void **state)
{
	unsigned long a;

	(void)state;
	open_device(&plain, 1);
	a = mem_map(&m, PAGES + 1, RW, MAP_SHARED, file);
	assert_int_equal(mem_fault(&m, a + MEM_PAGE, 0), 0);
	assert_true(pte_special(mem_pte(&m, a + MEM_PAGE)));
	assert_int_equal(pte_pfn(mem_pte(&m, a + MEM_PAGE)), screen.frame[1]);
	assert_int_equal(mem_bytes(&m, a + MEM_PAGE)[5], 2);
	/* Nobody wants to be asked. */
	assert_true(pte_write(mem_pte(&m, a + MEM_PAGE)));
	assert_int_equal(mm_rss_sum(m.mm, MM_FILEPAGES), 0);
	assert_int_equal(mem_fault(&m, a + PAGES * MEM_PAGE, 0), VM_FAULT_SIGBUS);
	assert_true(pte_none(mem_pte(&m, a + PAGES * MEM_PAGE)));
}

static void other_pages_of_a_device_are_counted(void **state)
{
	unsigned long a;

	(void)state;
	open_device(&plain, 0);
	a = mem_map(&m, PAGES, RW, MAP_SHARED, file);
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
	assert_non_null(mem_folio(&m, a));
	assert_int_equal(folio_maps(mem_folio(&m, a)), 1);
	assert_int_equal(folio_pfn(m.machine->ram, mem_folio(&m, a)), screen.frame[0]);
	assert_int_equal(mm_rss_sum(m.mm, MM_FILEPAGES), 1);
	assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_FILEPAGES), 0);
	assert_int_equal(((unsigned char *)samara_device_bytes(file, screen.frame[0]))[9], 1);
}

static void a_driver_is_told_what_the_access_is(void **state)
{
	static const struct {
		int flags, pfnmap;
		unsigned int fault, told;
	} rows[] = {
		{ MAP_SHARED, 0, 0, 0 },
		{ MAP_SHARED, 0, FAULT_WRITE, SAMARA_VMF_WRITE },
		{ MAP_SHARED, 0, FAULT_EXEC, SAMARA_VMF_EXEC },
		{ MAP_SHARED, 1, 0, SAMARA_VMF_PFN },
		{ MAP_SHARED, 1, FAULT_WRITE, SAMARA_VMF_PFN | SAMARA_VMF_WRITE },
		{ MAP_PRIVATE, 0, 0, 0 },
		{ MAP_PRIVATE, 0, FAULT_EXEC, SAMARA_VMF_EXEC },
		{ MAP_PRIVATE, 0, FAULT_WRITE, SAMARA_VMF_WRITE | SAMARA_VMF_COW },
	};

	(void)state;
	open_device(&plain, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned long a;

		screen.pfnmap = rows[i].pfnmap;
		a = mem_map(&m, PAGES, RW | PROT_EXEC, rows[i].flags, file);
		screen.flags = ~0U;
		assert_int_equal(mem_fault(&m, a, rows[i].fault), 0);
		assert_int_equal(screen.flags, rows[i].told);
		assert_int_equal(samara_munmap(m.mm, a, PAGES * MEM_PAGE), 0);
	}
}

static void a_driver_that_wants_to_is_asked_before_the_first_write(void **state)
{
	(void)state;
	open_device(&with_mkwrite, 1);
	for (screen.pfnmap = 0; screen.pfnmap < 2; screen.pfnmap++) {
		const unsigned long a = mem_map(&m, PAGES, RW, MAP_SHARED, file);

		screen.writes = 0;
		screen.refuse_write = 0;
		assert_int_equal(mem_fault(&m, a, 0), 0);
		assert_false(pte_write(mem_pte(&m, a)));
		screen.refuse_write = EDQUOT;
		assert_int_equal(mem_fault(&m, a, FAULT_WRITE), VM_FAULT_SIGBUS);
		assert_int_equal(mem_fault(&m, a + MEM_PAGE, FAULT_WRITE), VM_FAULT_SIGBUS);
		screen.refuse_write = ENOMEM;
		assert_int_equal(mem_fault(&m, a, FAULT_WRITE), VM_FAULT_OOM);
		assert_false(pte_write(mem_pte(&m, a)));
		assert_true(pte_none(mem_pte(&m, a + MEM_PAGE)));
		screen.refuse_write = 0;
		assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
		assert_int_equal(mem_fault(&m, a + MEM_PAGE, FAULT_WRITE), 0);
		assert_int_equal(screen.writes, 5);
		assert_true(pte_write(mem_pte(&m, a)) && pte_write(mem_pte(&m, a + MEM_PAGE)));
		assert_int_equal(samara_munmap(m.mm, a, PAGES * MEM_PAGE), 0);
	}
}

static void a_private_mapping_gets_copies(void **state)
{
	(void)state;
	open_device(&with_mkwrite, 1);
	for (screen.pfnmap = 0; screen.pfnmap < 2; screen.pfnmap++) {
		const unsigned long a = mem_map(&m, PAGES, RW, MAP_PRIVATE, file);

		screen.cows = 0;
		/* Read first, then written; written at once. */
		assert_int_equal(mem_fault(&m, a, 0), 0);
		assert_int_equal(pte_pfn(mem_pte(&m, a)), screen.frame[0]);
		assert_false(pte_write(mem_pte(&m, a)));
		assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
		assert_int_equal(mem_fault(&m, a + MEM_PAGE, FAULT_WRITE), 0);
		assert_int_equal(screen.cows, 1);
		for (int i = 0; i < PAGES; i++) {
			unsigned char *bytes = mem_bytes(&m, a + (unsigned long)i * MEM_PAGE);

			assert_int_equal(bytes[MEM_PAGE - 1], i + 1);
			bytes[0] = 0xee;
			bytes = samara_device_bytes(file, screen.frame[i]);
			assert_int_equal(bytes[0], i + 1);
			assert_true(folio_test(mem_folio(&m, a + (unsigned long)i * MEM_PAGE),
					       FOLIO_ANON));
		}
		assert_int_equal(screen.writes, 0);
		assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), PAGES);
		assert_int_equal(mm_rss_sum(m.mm, MM_FILEPAGES), 0);
		assert_int_equal(samara_munmap(m.mm, a, PAGES * MEM_PAGE), 0);
	}
}

static void unsharing_copies_a_pfn_map(void **state)
{
	unsigned long a;

	(void)state;
	open_device(&plain, 1);
	a = mem_map(&m, PAGES, RW, MAP_PRIVATE, file);
	assert_int_equal(mem_fault(&m, a, FAULT_UNSHARE), 0);
	assert_true(pte_special(mem_pte(&m, a)));
	assert_int_equal(mem_fault(&m, a, FAULT_UNSHARE), 0);
	assert_true(folio_test(mem_folio(&m, a), FOLIO_EXCLUSIVE));
	assert_false(pte_write(mem_pte(&m, a)));
	assert_int_equal(mem_bytes(&m, a)[77], 1);
}

static void a_refusal_is_a_bus_error_and_want_of_memory_is_not(void **state)
{
	const unsigned int flags[] = { 0, FAULT_WRITE };
	const int how[] = { MAP_SHARED, MAP_PRIVATE };

	(void)state;
	open_device(&plain, 1);
	for (size_t i = 0; i < 4; i++) {
		const unsigned long a = mem_map(&m, PAGES, RW, how[i / 2], file);
		const unsigned long frames = mem_frames(&m);

		screen.refuse_fault = EIO;
		assert_int_equal(mem_fault(&m, a, flags[i % 2]), VM_FAULT_SIGBUS);
		screen.refuse_fault = ENOMEM;
		assert_int_equal(mem_fault(&m, a, flags[i % 2]), VM_FAULT_OOM);
		assert_true(pte_none(mem_pte(&m, a)));
		assert_int_equal(mem_frames(&m), frames);
		screen.refuse_fault = 0;
		assert_int_equal(mem_fault(&m, a, flags[i % 2]), 0);
	}
}

/* mincore's and pagemap's words of n pages from addr. */
struct shown {
	unsigned char core[PAGES + 1];
	unsigned long long map[PAGES + 1];
};

static void show(unsigned long addr, unsigned long n, struct shown *out)
{
	assert_int_equal(samara_mincore(m.mm, addr, n * MEM_PAGE, out->core), 0);
	assert_int_equal(samara_pagemap(m.mm, addr, n, out->map), 0);
}

/* Frames are known by number, which is also a page of the device. */
static void mincore_shows_a_page_of_a_device_once_it_was_accessed(void **state)
{
	const int how[] = { MAP_SHARED, MAP_PRIVATE };
	struct shown shown;
	unsigned long a;

	(void)state;
	open_device(&plain, 0);
	for (int i = 0; i < 2; i++) {
		a = samara_mmap(m.mm, 0, MEM_PAGE, RW, how[i], file, screen.frame[0] * MEM_PAGE);
		assert_false(SAMARA_IS_ERR_VALUE(a));
		show(a, 1, &shown);
		assert_int_equal(shown.core[0], 0);
		assert_int_equal(shown.map[0], 0);
		assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
		a = mem_map(&m, PAGES, RW, how[i], file);
		assert_int_equal(mem_fault(&m, a, 0), 0);
		show(a, PAGES, &shown);
		assert_int_equal(shown.core[0], 1);
		assert_int_equal(shown.core[1], 0);
		assert_int_equal(shown.map[1], 0);
		assert_int_equal(shown.map[0], SAMARA_PM_PRESENT | SAMARA_PM_FILE |
						       (i ? 0 : SAMARA_PM_MMAP_EXCLUSIVE) |
						       screen.frame[0]);
	}
}

/* What the host's kernel shows of one page of its own PFN maps: a ring buffer of perf's. */
static void a_pfn_map_of_the_host_shows_nothing(void **state)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.exclude_kernel = 1,
	};
	const int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	const int map = open("/proc/self/pagemap", O_RDONLY);
	unsigned long long word = 1;
	unsigned char core = 1;
	char *p;

	(void)state;
	p = fd < 0 ? MAP_FAILED : mmap(NULL, MEM_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || map < 0) {
		print_message("this host has no perf events for us\n");
		skip();
	}
	(void)*(volatile char *)p;
	assert_int_equal(mincore(p, MEM_PAGE, &core), 0);
	assert_int_equal(pread(map, &word, sizeof(word), (off_t)((unsigned long)p / MEM_PAGE * 8)),
			 sizeof(word));
	munmap(p, MEM_PAGE);
	close(map);
	close(fd);
	/* Kernels before 6.15 map it page by page. */
	if (core) {
		print_message("the host's perf events are no PFN map\n");
		skip();
	}
	assert_int_equal(word, 0);
}

static void a_pfn_map_shows_nothing(void **state)
{
	struct shown shown;
	unsigned long a;

	(void)state;
	open_device(&plain, 1);
	a = mem_map(&m, PAGES + 1, RW, MAP_PRIVATE, file);
	assert_int_equal(mem_fault(&m, a, 0), 0);
	assert_int_equal(mem_fault(&m, a + MEM_PAGE, FAULT_WRITE), 0);
	show(a, PAGES + 1, &shown);
	for (int i = 0; i <= PAGES; i++) {
		assert_int_equal(shown.core[i], 0);
		assert_int_equal(shown.map[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_pfn_map_is_special_and_not_counted),
		TEST(other_pages_of_a_device_are_counted),
		TEST(a_driver_is_told_what_the_access_is),
		TEST(a_driver_that_wants_to_is_asked_before_the_first_write),
		TEST(a_private_mapping_gets_copies),
		TEST(unsharing_copies_a_pfn_map),
		TEST(mincore_shows_a_page_of_a_device_once_it_was_accessed),
		TEST(a_pfn_map_of_the_host_shows_nothing),
		TEST(a_pfn_map_shows_nothing),
		TEST(a_refusal_is_a_bus_error_and_want_of_memory_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
