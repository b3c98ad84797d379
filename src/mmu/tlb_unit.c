/* SPDX-License-Identifier: MIT */
/*
 * What an mm asks of the units that run it: tlb_unit.h has the order of calls and the locks.
 */
#include "mmu/tlb_unit.h"

#include "base/lock.h"

/* One more is told, or one less. cpus_lock is held. */
static void add_told(struct samara_mm *mm, int n)
{
	spin_assert_held(&mm->watch.cpus_lock);
	WRITE_ONCE(mm->watch.nr_told, mm->watch.nr_told + (unsigned int)n);
}

/* at leads to the unit. cpus_lock is held. */
static void unlink_unit(struct samara_mm *mm, struct tlb_unit **at)
{
	struct tlb_unit *unit = *at;

	*at = unit->next;
	add_told(mm, -1);
	if (unit->ops->young)
		WRITE_ONCE(mm->watch.cpus_young, mm->watch.cpus_young - 1);
	unit->mm = NULL;
}

void tlb_unit_attach(struct tlb_unit *unit, struct samara_mm *mm)
{
	VM_WARN_ON(unit->mm);
	unit->mm = mm;
	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	unit->next = mm->watch.cpus;
	mm->watch.cpus = unit;
	add_told(mm, 1);
	if (unit->ops->young)
		WRITE_ONCE(mm->watch.cpus_young, mm->watch.cpus_young + 1);
	spin_unlock(&mm->watch.cpus_lock);
}

void tlb_unit_leave(struct tlb_unit *unit, struct samara_mm *mm)
{
	struct tlb_unit **at = &mm->watch.cpus;

	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	while (*at && *at != unit)
		at = &(*at)->next;
	if (*at)
		unlink_unit(mm, at);
	spin_unlock(&mm->watch.cpus_lock);
}

void tlb_unit_detach(struct tlb_unit *unit)
{
	tlb_unit_leave(unit, unit->mm);
}

/* stale numbers ------------------------------------------------------------------ */

void tlb_stale_keep(struct samara_mm *mm)
{
	if (smp_load_acquire(&mm->watch.stale.kept))
		return;
	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	if (!mm->watch.stale.kept) {
		add_told(mm, 1);
		smp_store_release(&mm->watch.stale.kept, true);
	}
	spin_unlock(&mm->watch.cpus_lock);
}

static void raise_stale(struct samara_mm *mm, unsigned long start, unsigned long last)
{
	const unsigned long block = start >> MM_STALE_SHIFT;
	const unsigned long more = (last >> MM_STALE_SHIFT) - block;

	spin_assert_held(&mm->watch.cpus_lock);
	if (!mm->watch.stale.kept)
		return;
	for (unsigned long i = 0; i <= min(more, MM_STALE_PARTS - 1UL); i++) {
		unsigned long *at = &mm->watch.stale.at[(block + i) % MM_STALE_PARTS];

		smp_store_release(at, *at + 1);
	}
}

struct tlb_range {
	unsigned long start, last;
	enum tlb_lost lost;
};

/* flushes ------------------------------------------------------------------------ */

/* All units but one. cpus_lock is held. */
static void begin_range(struct samara_mm *mm, struct tlb_range range, const struct tlb_unit *but)
{
	if (range.lost != TLB_LOST_USE)
		raise_stale(mm, range.start, range.last);
	for (struct tlb_unit *unit = mm->watch.cpus; unit; unit = unit->next)
		if (unit != but)
			unit->ops->flush_range(unit, range.start & mm_page_mask(mm), range.last,
					       range.lost);
}

static void wait_all(struct samara_mm *mm, const struct tlb_unit *but)
{
	struct tlb_unit *unit;

	spin_assert_held(&mm->watch.cpus_lock);
	smp_mb(); /* (f) of tlb.h */
	for (unit = mm->watch.cpus; unit; unit = unit->next)
		if (unit != but && unit->ops->flush_wait)
			unit->ops->flush_wait(unit);
}

static void flush_all(struct samara_mm *mm, enum tlb_lost lost)
{
	struct tlb_unit *unit;

	if (lost != TLB_LOST_USE)
		raise_stale(mm, 0, ~0UL);
	for (unit = mm->watch.cpus; unit; unit = unit->next)
		unit->ops->flush_all(unit, lost);
	wait_all(mm, NULL);
}

void tlb_flush_range(struct samara_mm *mm, unsigned long start, unsigned long end,
		     enum tlb_lost lost)
{
	if (!tlb_mm_runs(mm))
		return;
	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	begin_range(mm, (struct tlb_range){ start, end - 1, lost }, NULL);
	wait_all(mm, NULL);
	spin_unlock(&mm->watch.cpus_lock);
}

void tlb_flush_mm(struct samara_mm *mm, enum tlb_lost lost)
{
	if (!tlb_mm_runs(mm))
		return;
	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	flush_all(mm, lost);
	spin_unlock(&mm->watch.cpus_lock);
}

/* batches ------------------------------------------------------------------------ */

void tlb_batch_add(struct tlb_batch *batch, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = batch->mm;

	if (batch->start < batch->end && batch->end != start) {
		spin_lock(&mm->watch.cpus_lock, RANK_TLB);
		begin_range(mm, (struct tlb_range){ batch->start, batch->end - 1, batch->lost },
			    NULL);
		spin_unlock(&mm->watch.cpus_lock);
		batch->start = batch->end;
	}
	if (batch->start >= batch->end)
		batch->start = start;
	batch->end = end;
}

void tlb_batch_flush(struct tlb_batch *batch)
{
	/* What was told before waits for this as well: a range is left whenever there was one. */
	if (batch->start < batch->end)
		tlb_flush_range(batch->mm, batch->start, batch->end, batch->lost);
	batch->start = batch->end;
}

/* copies ------------------------------------------------------------------------- */

/* The unit that may exchange the page. Of several units at most one: the others are flushed. */
static struct tlb_unit *mover(const struct samara_mm *mm)
{
	struct tlb_unit *unit = mm->watch.cpus;

	while (unit && !unit->ops->moved)
		unit = unit->next;
	return unit;
}

void tlb_replace(const struct vma *vma, unsigned long addr, pte_t pte)
{
	struct samara_mm *mm = vma->vm_mm;
	const struct tlb_range page = { addr, addr + mm_page_size(mm) - 1, TLB_LOST_ALL };
	struct tlb_unit *moves;

	if (!tlb_mm_runs(mm))
		return;
	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	moves = mover(mm);
	begin_range(mm, page, moves);
	wait_all(mm, moves);
	if (moves && !moves->ops->moved(moves, vma, addr, pte)) {
		moves->ops->flush_range(moves, page.start, page.last, page.lost);
		wait_all(mm, NULL);
	}
	spin_unlock(&mm->watch.cpus_lock);
}

/* use, end ----------------------------------------------------------------------- */

bool tlb_young(struct samara_mm *mm, unsigned long addr)
{
	struct tlb_unit *unit;
	bool young = false;

	if (!READ_ONCE(mm->watch.cpus_young))
		return false;
	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	for (unit = mm->watch.cpus; unit; unit = unit->next)
		if (unit->ops->young && unit->ops->young(unit, addr))
			young = true;
	spin_unlock(&mm->watch.cpus_lock);
	return young;
}

void tlb_mm_exit(struct samara_mm *mm)
{
	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	flush_all(mm, TLB_LOST_ALL);
	if (mm->watch.stale.kept) {
		mm->watch.stale.kept = false;
		add_told(mm, -1);
	}
	while (mm->watch.cpus) {
		struct tlb_unit *unit = mm->watch.cpus;

		unlink_unit(mm, &mm->watch.cpus);
		if (unit->ops->detached)
			unit->ops->detached(unit);
	}
	spin_unlock(&mm->watch.cpus_lock);
}
