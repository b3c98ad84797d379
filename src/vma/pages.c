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

static void zap(struct mmu_gather *tlb, const struct unmap_desc *d, struct vma *vma)
{
	zap_range(tlb, vma, max(vma->vm_start, d->start), min(vma->vm_end, d->end), ZAP_ALL);
}

/* Where what is mapped below the range ends. The range itself may hold the new mapping. */
static unsigned long floor_of(const struct unmap_desc *d)
{
	const struct vma *below;

	if (d->head)
		return d->start;
	/* The VMA that is about to grow over the range still ends where that begins. */
	below = d->start ? vma_lookup(d->mm, d->start - 1) : NULL;
	if (!below && d->start)
		below = vma_before(d->mm, d->start);
	return below ? below->vm_end : d->mm->geo->first_user_addr;
}

static unsigned long ceiling_of(const struct unmap_desc *d)
{
	const struct vma *above;

	if (d->tail)
		return d->end;
	above = vma_find_from(d->mm, d->end);
	if (!above)
		return d->mm->geo->table_ceiling;
	/* The VMA that is about to grow over the range and beyond still begins below. */
	return max(above->vm_start, d->end);
}

void pages_unmap(const struct unmap_desc *d)
{
	struct samara_notifier_range range = {
		.mm = d->mm,
		.start = d->start,
		.end = d->end,
		.why = SAMARA_NOTIFY_UNMAP,
	};
	struct mmu_gather tlb;
	struct vma *vma;

	if (!mm_has_tables(d->mm) || !d->first)
		return;
	notifier_start(d->mm, &range);
	tlb_gather_mmu(&tlb, d->mm, GATHER_RANGE);
	if (d->head)
		zap(&tlb, d, d->head);
	for (vma = d->doomed; vma; vma = vma->dead_next)
		zap(&tlb, d, vma);
	if (d->tail && d->tail != d->head)
		zap(&tlb, d, d->tail);
	/*
	 * A folio that is mapped has a family that is alive (rmap/walk.c), so the gather gives up
	 * its map counts first; and nobody may come to a table through a link of its VMA once it is
	 * free.
	 */
	if (d->doomed)
		tlb_flush_mmu(&tlb);
	for (vma = d->doomed; vma; vma = vma->dead_next)
		vma_unlink(vma);
	if (!d->keep_tables)
		free_pgtables(&(struct free_desc){
			.tlb = &tlb,
			.start = d->start,
			.end = d->end,
			.floor = floor_of(d),
			.ceiling = ceiling_of(d),
		});
	tlb_finish_mmu(&tlb);
	notifier_end(d->mm, &range);
}
