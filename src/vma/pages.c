/* SPDX-License-Identifier: MIT */
/*
 * Pages that leave with a range: zapped VMA by VMA into one gather, then the
 * tables between the neighbours.
 *
 *      floor              start              end             ceiling
 *   --prev--|...............|####|  |###|#####|..................|--next--
 *                           |<- pages leave ->|
 *           |<-------------- tables may leave ------------------>|
 */
#include "mmu/notifier.h"
#include "range/range.h"
#include "rmap/rmap.h"
#include "vma/find.h"
#include "vma/pages.h"

static void zap(struct mmu_gather *tlb, const struct unmap_request *req, struct vma *vma)
{
	zap_range(tlb, vma, max(vma->vm_start, req->start), min(vma->vm_end, req->end), ZAP_ALL);
}

/* The end of what is mapped below the range. The range itself may hold the new mapping. */
static unsigned long floor_of(const struct unmap_plan *plan)
{
	const unsigned long start = plan->req->start;
	struct samara_mm *mm = plan->req->mm;
	const struct vma *below;

	if (plan->head)
		return start;
	/* The VMA that is about to grow over the range still ends at start. */
	below = start ? vma_lookup(mm, start - 1) : NULL;
	if (!below && start)
		below = vma_before(mm, start);
	return below ? below->vm_end : mm->geo->first_user_addr;
}

static unsigned long ceiling_of(const struct unmap_plan *plan)
{
	const unsigned long end = plan->req->end;
	struct samara_mm *mm = plan->req->mm;
	const struct vma *above;

	if (plan->tail)
		return end;
	above = vma_find_from(mm, end);
	if (!above)
		return mm->geo->table_ceiling;
	/* The VMA that is about to grow over the range and beyond still begins below. */
	return max(above->vm_start, end);
}

void pages_unmap(const struct unmap_plan *plan)
{
	const struct unmap_request *req = plan->req;
	struct samara_notifier_range range = {
		.mm = req->mm,
		.start = req->start,
		.end = req->end,
		.why = SAMARA_NOTIFY_UNMAP,
	};
	struct mmu_gather tlb;
	struct vma *vma;

	if (!mm_has_tables(req->mm) || !plan->first)
		return;
	notifier_start(req->mm, &range);
	tlb_gather_mmu(&tlb, req->mm, GATHER_RANGE);
	if (plan->head)
		zap(&tlb, req, plan->head);
	for (vma = plan->doomed; vma; vma = vma->dead_next)
		zap(&tlb, req, vma);
	if (plan->tail && plan->tail != plan->head)
		zap(&tlb, req, plan->tail);
	/*
	 * The flush comes first: a mapped folio has a family that is alive (rmap/rmap_walk.c), so
	 * its map count drops before the links go. The links go before the tables: no walker
	 * reaches a table through a link once that table is free.
	 */
	if (plan->doomed)
		tlb_flush_mmu(&tlb);
	for (vma = plan->doomed; vma; vma = vma->dead_next)
		vma_unlink(vma);
	if (!req->keep_tables)
		free_pgtables(&(struct free_desc){
			.tlb = &tlb,
			.start = req->start,
			.end = req->end,
			.floor = floor_of(plan),
			.ceiling = ceiling_of(plan),
		});
	tlb_finish_mmu(&tlb);
	notifier_end(req->mm, &range);
}
