/* SPDX-License-Identifier: MIT */
/*
 * A world of one mm whose pages are named by their number, for tests of populated ranges.
 */
#ifndef SAMARA_TEST_VMA_PAGES_H
#define SAMARA_TEST_VMA_PAGES_H

#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define LEAF 512UL /* pages that a leaf table serves */
#define PAGE(n) (0x100000000000UL + (unsigned long)(n)*MEM_PAGE)

MEM_FIXTURE(m, 32 << 20);

static inline void map(unsigned long from, unsigned long to, int flags, struct samara_file *file)
{
	assert_int_equal(samara_mmap(m.mm, PAGE(from), (to - from) * MEM_PAGE, RW,
				     flags | MAP_FIXED | (file ? 0 : MAP_ANONYMOUS), file, 0),
			 PAGE(from));
}

/* Page n gets the word n + 1. */
static inline void fill(unsigned long from, unsigned long to)
{
	for (unsigned long n = from; n < to; n++) {
		const unsigned long word = n + 1;

		assert_int_equal(samara_write(m.mm, PAGE(n), &word, 8, NULL), 8);
	}
}

static inline unsigned long remap(unsigned long from, unsigned long old, unsigned long new,
				  int flags, unsigned long to)
{
	return samara_mremap(m.mm, PAGE(from), old * MEM_PAGE, new *MEM_PAGE, flags, PAGE(to));
}

#endif
