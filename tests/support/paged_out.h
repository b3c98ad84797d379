/* SPDX-License-Identifier: MIT */
/*
 * Pages of a struct mem that are taken out of memory by hand, as reclaim does it, to a disk in
 * memory.
 */
#ifndef SAMARA_TEST_PAGED_OUT_H
#define SAMARA_TEST_PAGED_OUT_H

#include "mmu/gather.h"
#include "rmap/rmap.h"
#include "support/mem.h"
#include "support/swap_box.h"

struct paged {
	struct mem *m;
	struct store_box box; /* the machine's store */
	struct samara_swap *area;
	struct swap_disk disk;
};

void paged_begin(struct paged *p, struct mem *m, unsigned long slots);
/* The area is off; no slot may be used. */
void paged_end(struct paged *p);

/* set_up() and tear_down() of a program that wants a struct mem and such an area for each test. */
#define PAGED_FIXTURE(m_, p_, ram_bytes_, slots_) \
	static struct mem m_; \
	static struct paged p_; \
	static int set_up(void **state) \
	{ \
		(void)state; \
		mem_open(&(m_), ram_bytes_); \
		paged_begin(&(p_), &(m_), slots_); \
		samara_set_caps((m_).mm, SAMARA_CAP_IPC_LOCK); \
		return 0; \
	} \
	static int tear_down(void **state) \
	{ \
		(void)state; \
		paged_check(&(p_)); \
		paged_end(&(p_)); \
		mem_close(&(m_)); \
		return 0; \
	} \
	_Static_assert(sizeof(p_) == sizeof(struct paged), "paged")
/* Every validator there is; then all is unmapped, and no slot is used. */
void paged_check(struct paged *p);

/* One byte at addr. */
void paged_put(struct samara_mm *mm, unsigned long addr, unsigned char byte);
int paged_get(struct samara_mm *mm, unsigned long addr);
/* A private page with byte in it; and one that is out. */
unsigned long paged_new(struct paged *p, unsigned char byte);
enum paged_how { PAGED_DROP, PAGED_KEEP };
unsigned long paged_out(struct paged *p, unsigned char byte, enum paged_how how);

/*
 * The page at addr leaves the page tables and is written. PAGED_KEEP: it stays in the swap cache.
 * 0; -EBUSY: folio_unmap_all() could not, and the page is in the cache no more unless it is
 * shared with entries.
 */
int page_out(struct paged *p, unsigned long addr, enum paged_how how);
/* The same of a folio, with a reference of the caller's. */
int folio_out(struct paged *p, struct folio *folio, enum paged_how how);
/* Slots with an entry or a cached folio. */
unsigned long paged_used(struct paged *p);
unsigned long paged_swap_ents(struct samara_mm *mm);

#endif
