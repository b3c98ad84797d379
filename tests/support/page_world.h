/* SPDX-License-Identifier: MIT */
/*
 * Pages by hand: a machine with RAM, address spaces whose VMAs are in no
 * tree, and page-table entries as faults would leave them. For tests of the rooms that work on
 * page tables, without those that need them.
 *
 * Every mmap_lock is held for writing from world_mm() on; a test that needs it otherwise drops it
 * and takes it back.
 */
#ifndef SAMARA_TEST_PAGE_WORLD_H
#define SAMARA_TEST_PAGE_WORLD_H

#include "range/range.h"
#include "rmap/rmap.h"
#include "support/swap_box.h"

#define WORLD_PAGE 4096UL
#define WORLD_BASE 0x10000000000UL
/* The address of page n; a leaf's end lies at n = 512, 1024, ... */
#define PG(n) (WORLD_BASE + (unsigned long)(n)*WORLD_PAGE)
#define WORLD_MMS 3
#define WORLD_FILE_PAGES 2048
#define WORLD_SLOTS 512UL

#define VM_RW (VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)
#define VM_RO (VM_READ | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)
#define VM_SHARED_BITS (VM_SHARED | VM_MAYSHARE)

/* A file with the pages that it has in memory. */
struct world_file {
	struct inode inode;
	struct samara_file *file;
	struct folio *page[WORLD_FILE_PAGES];
};

struct world {
	struct samara_machine machine;
	struct call_gate gate;
	struct store_box box; /* its store, and the store's frames */
	struct ram *ram;
	struct samara_swap *area; /* NULL until put_swap() */
	struct swap_disk disk;
	struct samara_mm *mm[WORLD_MMS];
	unsigned int nr_mms;
	struct world_file shmem, host;
	struct vma *vmas; /* all there are, by dead_next */
	unsigned long live;
};

/* cmocka: *state is a struct world with one mm, x86-64. Down checks that nothing is left. */
int world_up(void **state);
int world_up_geometry(void **state, const struct samara_geometry *geo);
int world_down(void **state);

/* One more address space. */
struct samara_mm *world_mm(struct world *w);
/* It has no VMA with pages any more. */
void world_mm_gone(struct world *w, struct samara_mm *mm);

/* A mapping of pages [from, to) by number; file NULL: anonymous, page 0 of the family at PG(0). */
struct vma *world_vma(struct world *w, unsigned long from, unsigned long to, unsigned long flags,
		      struct world_file *file);
/* The same in another mm. */
struct vma *world_vma_in(struct world *w, struct samara_mm *mm, unsigned long start,
			 unsigned long end, unsigned long flags);
void world_anon_vma(struct vma *vma);
/* What fork makes of src in child, without its pages. */
struct vma *world_fork(struct world *w, struct samara_mm *child, struct vma *src);
/* Pages, links and the VMA itself. */
void world_vma_gone(struct world *w, struct vma *vma);

/* entries: as a fault leaves them; the counts follow */

/* A private page full of byte, written to: writable if the VMA is. */
struct folio *put_anon(struct vma *vma, unsigned long n, int byte);
/* A file's page n, mapped with these bits besides the rights of the VMA. */
struct folio *put_file(struct vma *vma, unsigned long n, uint64_t bits);
void put_zero(struct vma *vma, unsigned long n);
void put_marker(struct vma *vma, unsigned long n, unsigned int bits);
/* A private page full of byte that is in the swap area; bits: some of SWP_BITS. */
pte_t put_swap(struct vma *vma, unsigned long n, int byte, uint64_t bits);
/*
 * The page there, which is not on the LRU lists any more, begins to migrate: its entry says so.
 * With a reference, which world_arrive() drops, when no entry of it is left.
 */
struct folio *world_depart(struct vma *vma, unsigned long n, enum swp_type type);
void world_arrive(struct world *w, struct folio *folio);
void put_pte(struct vma *vma, unsigned long n, pte_t pte);
void put_pte_at(struct samara_mm *mm, unsigned long addr, pte_t pte);
pte_t pte_of(struct samara_mm *mm, unsigned long n);
struct folio *folio_of(struct samara_mm *mm, unsigned long n);

/* Zap and flush, as munmap or madvise do. */
void world_zap(struct vma *vma, unsigned long from, unsigned long to, enum zap_what what);

long rss_of(const struct samara_mm *mm, enum mm_rss which);

/*
 * Everything adds up: pgtable_validate(), counts of each mm against its entries, each folio's map
 * count and count of migration entries, and each slot's count, against the entries of all mms; and
 * an anonymous page with two entries is neither exclusive nor writable through any, in memory or
 * not.
 */
#define assert_world(w) assert_world_at((w), __FILE__, __LINE__)
void assert_world_at(struct world *w, const char *file, int line);

#endif
