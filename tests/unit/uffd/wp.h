/* SPDX-License-Identifier: MIT */
/*
 * What the tests of write protection by userfaultfd have in common: an address space with a swap
 * area, mappings of a few pages, and pagemap in words.
 */
#ifndef SAMARA_TEST_UFFD_WP_H
#define SAMARA_TEST_UFFD_WP_H

#include <sys/mman.h>

#include "mmu/entry.h"
#include "support/cmocka_all.h"
#include "support/paged_out.h"
#include "support/uffd_calls.h"

#define RW (PROT_READ | PROT_WRITE)
#define RAM (16UL << 20)
#define ASYNC UFFD_FEATURE_WP_ASYNC
#define ON UFFDIO_WRITEPROTECT_MODE_WP
#define PAGEOUT 21
#define GUARD_INSTALL 102
#define PAGES 8UL /* of a mapping */

PAGED_FIXTURE(m, p, RAM, 64);

/* What pagemap says of a page, as the facts are printed. */
static inline const char *pm(unsigned long addr)
{
	unsigned long long entry;

	assert_int_equal(samara_pagemap(m.mm, addr, 1, &entry), 0);
	if (entry & SAMARA_PM_GUARD)
		return "guard";
	if (entry & SAMARA_PM_SWAP)
		return entry & SAMARA_PM_UFFD_WP ? "swap wp" : "swap";
	if (!(entry & SAMARA_PM_PRESENT))
		return entry ? "?" : "empty";
	if (entry & SAMARA_PM_FILE)
		return entry & SAMARA_PM_UFFD_WP ? "file wp" : "file";
	return entry & SAMARA_PM_UFFD_WP ? "wp" : "present";
}

#define assert_pm(addr, what) assert_string_equal(pm(addr), what)

static inline unsigned long page(unsigned long at, unsigned long n)
{
	return at + n * MEM_PAGE;
}

static inline struct samara_uffd *uffd_new(unsigned long long features)
{
	return uffd_open(m.mm, O_NONBLOCK, features);
}

static inline void reg(struct samara_uffd *uffd, unsigned long at, unsigned long pages,
		       unsigned long long mode)
{
	uffd_register_at(uffd, at, pages * MEM_PAGE, mode);
}

static inline int unreg(struct samara_uffd *uffd, unsigned long at, unsigned long pages)
{
	return uffd_unregister_at(uffd, at, pages * MEM_PAGE);
}

static inline int wp(struct samara_uffd *uffd, unsigned long at, unsigned long pages,
		     unsigned long long mode)
{
	return uffd_protect_at(uffd, at, pages * MEM_PAGE, mode);
}

static inline unsigned long map_anon(unsigned long pages)
{
	return mem_map(&m, pages, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL);
}

static inline unsigned long map_file(unsigned long pages, int flags)
{
	struct samara_file *file = mem_file(&m, pages);
	const unsigned long at = mem_map(&m, pages, RW, flags, file);

	samara_file_put(file);
	return at;
}

/* A write is made, and only written down: the page is not protected any more. */
static inline void assert_noted(unsigned long addr)
{
	paged_put(m.mm, addr, 77);
	assert_int_equal(paged_get(m.mm, addr), 77);
	assert_false(pte_any_uffd_wp(mem_pte(&m, addr)));
	assert_true(pte_write(mem_pte(&m, addr)));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
