/* SPDX-License-Identifier: MIT */
/*
 * mmu_gather (gather.h).
 */
#include "mmu/gather.h"

#include "alloc/cache.h"
#include "store/file.h"

static DEFINE_OBJ_CACHE(batch_cache, "gather_batch", sizeof(struct gather_batch), CACHE_LINE);

#ifdef SAMARA_DEBUG
bool gather_no_delay;
#endif

static void forget_range(struct mmu_gather *tlb)
{
	tlb->start = ~0UL;
	tlb->end = 0;
	tlb->delayed = false;
}

void tlb_gather_mmu(struct mmu_gather *tlb, struct samara_mm *mm, enum gather_kind kind)
{
	VM_WARN_ON(kind == GATHER_FULLMM && tlb_mm_runs(mm));
	tlb->mm = mm;
	tlb->ram = mm->machine->ram;
	tlb->kind = kind;
	tlb->tables.first = NULL;
	tlb->batches = tlb->active = NULL;
	tlb->nr = tlb->nr_local = 0;
	forget_range(tlb);
}

/* Room for one more folio, if it can be had. */
static bool make_room(struct mmu_gather *tlb)
{
	struct gather_batch *batch = tlb->active;

	if (tlb->nr >= GATHER_MAX)
		return false;
	if (batch ? batch->nr < GATHER_BATCH : tlb->nr_local < GATHER_LOCAL)
		return true;
	/* The next one may be there already, from before the last flush. */
	batch = batch ? batch->next : tlb->batches;
	if (!batch) {
		batch = cache_alloc(&batch_cache);
		if (!batch)
			return false;
		batch->next = NULL;
		batch->nr = 0;
		if (tlb->active)
			tlb->active->next = batch;
		else
			tlb->batches = batch;
	}
	tlb->active = batch;
	return true;
}

void tlb_remove_entry(struct mmu_gather *tlb, unsigned long addr, unsigned long size)
{
	tlb->start = min(tlb->start, addr);
	tlb->end = max(tlb->end, addr + size);
}

bool tlb_remove_folio(struct mmu_gather *tlb, struct folio *folio, unsigned long addr,
		      enum gather_when when)
{
	struct gather_batch *batch = tlb->active;

	tlb_remove_entry(tlb, addr, mm_page_size(tlb->mm));
	if (when == GATHER_DELAYED && tlb->kind != GATHER_FULLMM)
		tlb->delayed = true;
	BUG_ON(batch ? batch->nr >= GATHER_BATCH : tlb->nr_local >= GATHER_LOCAL);
	if (batch)
		batch->folio[batch->nr++] = folio;
	else
		tlb->local[tlb->nr_local++] = folio;
	tlb->nr++;
	return !make_room(tlb);
}

static void flush_range(struct mmu_gather *tlb)
{
	if (tlb->start < tlb->end && tlb->kind != GATHER_FULLMM)
		tlb_flush_range(tlb->mm, tlb->start, tlb->end, TLB_LOST_ALL);
	forget_range(tlb);
}

void tlb_flush_delayed(struct mmu_gather *tlb)
{
	if (!tlb->delayed)
		return;
	if (gather_no_delay)
		tlb->delayed = false;
	else
		flush_range(tlb);
}

static void unmap_folios(const struct mmu_gather *tlb, struct folio **folios, unsigned int n)
{
	n = folio_unmap_many(tlb->ram, folios, n);
	for (unsigned int i = 0; i < n; i++)
		folio_leave_cache(tlb->mm->machine->store, folios[i]);
}

void tlb_flush_mmu(struct mmu_gather *tlb)
{
	struct gather_batch *batch;

	/* The table's lock is dropped: a delayed page must not have been waiting for this. */
	VM_WARN_ON(tlb->delayed);
	flush_range(tlb);
	unmap_folios(tlb, tlb->local, tlb->nr_local);
	tlb->nr_local = 0;
	for (batch = tlb->batches; batch; batch = batch->next) {
		unmap_folios(tlb, batch->folio, batch->nr);
		batch->nr = 0;
	}
	tlb->active = NULL;
	tlb->nr = 0;
	table_list_free(&tlb->tables);
}

void free_pgtables(const struct free_desc *d)
{
	struct samara_mm *mm = d->tlb->mm;

	VM_WARN_ON(d->start >= d->end || d->floor > d->start);
	VM_WARN_ON(d->end - 1 > d->ceiling - 1);
	if (mm_has_tables(mm))
		table_free_range(mm, d->start, d->end, d->floor, d->ceiling, &d->tlb->tables);
}

void tlb_finish_mmu(struct mmu_gather *tlb)
{
	tlb_flush_mmu(tlb);
	while (tlb->batches) {
		struct gather_batch *batch = tlb->batches;

		tlb->batches = batch->next;
		cache_free(&batch_cache, batch);
	}
}
