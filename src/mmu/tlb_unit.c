/* SPDX-License-Identifier: MIT */
/*
 * What an mm asks of the units that run it: tlb_unit.h has the order of calls and the locks.
 */
#include "mmu/tlb_unit.h"

#include "base/lock.h"

/* at leads to the unit. cpus_lock is held. */
static void unlink_unit(struct samara_mm *mm, struct tlb_unit **at)
{
	struct tlb_unit *unit = *at;

	WRITE_ONCE(*at, unit->next);
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
	WRITE_ONCE(mm->watch.cpus, unit);
	if (unit->ops->young)
		WRITE_ONCE(mm->watch.cpus_young, mm->watch.cpus_young + 1);
	spin_unlock(&mm->watch.cpus_lock);
}

void tlb_unit_detach(struct tlb_unit *unit)
{
	struct samara_mm *mm = unit->mm;
	struct tlb_unit **at = &mm->watch.cpus;

	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	while (*at != unit)
		at = &(*at)->next;
	unlink_unit(mm, at);
	spin_unlock(&mm->watch.cpus_lock);
}

static void wait_all(struct samara_mm *mm)
{
	struct tlb_unit *unit;

	spin_assert_held(&mm->watch.cpus_lock);
	smp_mb(); /* (f) of tlb.h */
	for (unit = mm->watch.cpus; unit; unit = unit->next)
		if (unit->ops->flush_wait)
			unit->ops->flush_wait(unit);
}

static void flush_all(struct samara_mm *mm, enum tlb_lost lost)
{
	struct tlb_unit *unit;

	spin_assert_held(&mm->watch.cpus_lock);
	for (unit = mm->watch.cpus; unit; unit = unit->next)
		unit->ops->flush_all(unit, lost);
	wait_all(mm);
}

void tlb_flush_range(struct samara_mm *mm, unsigned long start, unsigned long end,
		     enum tlb_lost lost)
{
	struct tlb_unit *unit;

	if (!tlb_mm_runs(mm))
		return;
	spin_lock(&mm->watch.cpus_lock, RANK_TLB);
	for (unit = mm->watch.cpus; unit; unit = unit->next)
		unit->ops->flush_range(unit, start & mm_page_mask(mm), end - 1, lost);
	wait_all(mm);
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
	while (mm->watch.cpus) {
		struct tlb_unit *unit = mm->watch.cpus;

		unlink_unit(mm, &mm->watch.cpus);
		if (unit->ops->detached)
			unit->ops->detached(unit);
	}
	spin_unlock(&mm->watch.cpus_lock);
}
