/* SPDX-License-Identifier: MIT */
/*
 * mmu_gather: folios and tables that an unmapping collects, so that one TLB flush serves many
 * pages and nothing is freed before that flush.
 *
 *   zap      entry cleared --> tlb_remove_folio()      batch  [folio|folio|...]
 *                                                             [.............]
 *   flush    tlb_flush_mmu():  1. TLB flush of the range
 *                              2. folio_unmap_many(): map count and reference at once
 *                              3. page tables
 *
 * So a folio's map count outlives the flush. For a shared page whose entry was dirty that is not
 * enough. Write-back finds the mappings of a page through rmap and cleans each entry under its
 * table's lock. If it passed between the clearing of the entry and the flush, a later store
 * through a stale TLB entry would be lost. Such a page is "delayed": the caller calls
 * tlb_flush_delayed() before it drops the table's lock.
 *
 * A folio that is also in the swap cache, and that nothing maps or names any more, would be kept by
 * the cache alone: it leaves it behind its last unmapping.
 *
 * A batch that cannot be allocated only makes the flush come earlier. There is always room for one
 * folio more, unless tlb_remove_folio() has returned true. At most GATHER_MAX folios are pending.
 *
 *   local [32] --> batch [509] --> batch [509] ... kept and filled again after a flush
 *
 * Locks: the caller holds a lock that keeps the VMA in place, and each table's lock while it
 * clears entries there. tlb_flush_mmu() is called without a table's lock.
 */
#ifndef MMU_GATHER_H
#define MMU_GATHER_H

#include "frame/frame.h"
#include "mmu/table.h"
#include "mmu/tlb.h"

#define GATHER_LOCAL 32
#define GATHER_BATCH 509
#define GATHER_MAX 10000

struct gather_batch {
	struct gather_batch *next;
	unsigned int nr;
	struct folio *folio[GATHER_BATCH];
};

enum gather_kind { GATHER_RANGE, GATHER_FULLMM };

struct mmu_gather {
	struct samara_mm *mm;
	struct ram *ram;
	unsigned long start, end; /* what has to be flushed; start >= end: nothing */
	enum gather_kind kind;
	bool delayed; /* a delayed folio is pending: flush before the table's lock is dropped */
	struct table_list tables;
	struct gather_batch *batches, *active; /* active NULL: local */
	unsigned int nr;                       /* folios pending */
	unsigned int nr_local;
	struct folio *local[GATHER_LOCAL];
};

/* GATHER_FULLMM: the mm dies and no CPU runs it (tlb_mm_exit()), so nothing has to be flushed. */
void tlb_gather_mmu(struct mmu_gather *tlb, struct samara_mm *mm, enum gather_kind kind);
/* Flush and free. Each tlb_gather_mmu() needs one. */
void tlb_finish_mmu(struct mmu_gather *tlb);

enum gather_when { GATHER_LATER, GATHER_DELAYED };
/*
 * The entry of addr pointed to folio and is cleared; the gather owns its map count now. True: no
 * room is left. The caller then drops the table's lock and calls tlb_flush_mmu() before it adds
 * another folio.
 */
bool tlb_remove_folio(struct mmu_gather *tlb, struct folio *folio, unsigned long addr,
		      enum gather_when when) __must_check;
/* Entries without a folio were cleared in [addr, addr + size). */
void tlb_remove_entry(struct mmu_gather *tlb, unsigned long addr, unsigned long size);
/* The table's lock is held: flush if a delayed folio is pending. */
void tlb_flush_delayed(struct mmu_gather *tlb);
/* Flush, then free all that was gathered, tables too. No table's lock is held. */
void tlb_flush_mmu(struct mmu_gather *tlb);

/*
 * table_free_range() for a range whose pages have left. floor is where the VMA below ends, or the
 * first user address; ceiling where the VMA above begins, or the geometry's table_ceiling.
 */
struct free_desc {
	struct mmu_gather *tlb;
	unsigned long start, end;
	unsigned long floor, ceiling;
};
void free_pgtables(const struct free_desc *d);

/* Debug builds, for tests: true takes the delay out, to show what is lost then. */
#ifdef SAMARA_DEBUG
extern bool gather_no_delay;
#else
#define gather_no_delay false
#endif

#endif
