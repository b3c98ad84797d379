/* SPDX-License-Identifier: MIT */
/*
 * Small address spaces for unit tests: mappings by page number, maps as short
 * text.
 */
#ifndef SAMARA_TEST_MM_SHAPE_H
#define SAMARA_TEST_MM_SHAPE_H

#include <sys/mman.h>

#include <samara/mm.h>

#define PAGE 4096UL
#define BASE 0x10000000000UL
/* The address of page n of the test's area. */
#define AT(n) (BASE + (unsigned long)(n)*PAGE)

#define RW (PROT_READ | PROT_WRITE)

struct fixture {
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct samara_file *file; /* a memfd of 256 pages */
	unsigned long live;       /* objects before */
};

/* cmocka set-up and tear-down: a machine, an empty mm; at the end nothing may be left. */
int fixture_up(void **state);
int fixture_down(void **state);

/* mmap(MAP_FIXED) of pages [from, to), anonymous and private, plus flags; must succeed. */
void map_pages(struct samara_mm *mm, unsigned long from, unsigned long to, int prot, int flags);
void map_file(struct fixture *f, unsigned long from, unsigned long to, int prot, int flags,
	      unsigned long file_page);
/* Write to each page of [from, to). */
void write_pages(struct samara_mm *mm, unsigned long from, unsigned long to);

/*
 * The map is what text says: "0-4 rw-p, 6-8 r--s @2" (page numbers from BASE,
 * permissions, the file's page, if any). Mappings beyond the first 2^20 pages
 * are left out. The mm is also validated.
 */
#define assert_map(mm, text) assert_map_at((mm), (text), __FILE__, __LINE__)
void assert_map_at(struct samara_mm *mm, const char *text, const char *file, int line);

/* Flags of the mapping at page n; 0 when there is none. */
unsigned long flags_at(struct samara_mm *mm, unsigned long n);

struct samara_mm_stats stats_of(struct samara_mm *mm);

#endif
