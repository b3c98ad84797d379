/* SPDX-License-Identifier: MIT */
/*
 * exit_mmap (exit.h has the order).
 */
#include "process/exit.h"

#include "base/assert.h"
#include "base/trace.h"
#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "range/range.h"
#include "uffd/uffd.h"
#include "vma/account.h"
#include "vma/unmap.h"

#ifdef SAMARA_DEBUG
void (*exit_step_hook)(enum exit_step step, struct samara_mm *mm);

static void begin(enum exit_step step, struct samara_mm *mm)
{
	if (unlikely(exit_step_hook))
		exit_step_hook(step, mm);
}
#else
#define begin(step, mm) ((void)0)
#endif

static void zap_all(struct samara_mm *mm, struct mmu_gather *tlb)
{
	MA_STATE(mas, &mm->mt, 0, 0);
	struct vma *vma;

	mas_for_each(&mas, vma, ULONG_MAX)
		zap_range(tlb, vma, vma->vm_start, vma->vm_end, ZAP_ALL);
}

/* VMAs onto dead, out of their families. Returns how many. */
static unsigned long bury_all(struct samara_mm *mm, struct vma_dead *dead)
{
	MA_STATE(mas, &mm->mt, 0, 0);
	unsigned long n = 0;
	struct vma *vma;

	mas_for_each(&mas, vma, ULONG_MAX) {
		vma_mark_detached(vma);
		vma_leave(dead, vma);
		n++;
	}
	return n;
}

static void free_all_tables(struct samara_mm *mm, struct mmu_gather *tlb)
{
	free_pgtables(&(struct free_desc){
		.tlb = tlb,
		.start = mm->geo->first_user_addr,
		.end = mm->geo->task_size,
		.floor = mm->geo->first_user_addr,
		.ceiling = mm->geo->table_ceiling,
	});
}

/* A mapped folio always has a family: map counts drop before VMAs are unlinked. */
static void pages_leave(struct samara_mm *mm, struct mmu_gather *tlb)
{
	if (mm_has_tables(mm)) {
		/* Nested: a failed fork holds the parent's. */
		down_read_nested(&mm->mmap_lock.sem);
		begin(EXIT_PAGES, mm);
		zap_all(mm, tlb);
		mmap_read_unlock(mm);
	}
	begin(EXIT_FLUSH, mm);
	tlb_flush_mmu(tlb);
	mm_oom_set(mm, MM_OOM_SKIP);
}

/*
 * A handler's request may come at any time. Those that have looked at the state before it changed
 * are over when this returns; they hold the mmap_lock from there to their last page.
 */
static void requests_end(struct samara_mm *mm)
{
	/* A closed one has left the list, and its last request may be under way. */
	if (READ_ONCE(mm->watch.uffds.bits) == UFFD_BITS_NONE)
		return;
	down_write_nested(&mm->mmap_lock.sem);
	mmap_write_unlock(mm);
}

void exit_mmap(struct samara_mm *mm, struct vma_dead *dead)
{
	struct mmu_gather tlb;
	unsigned long buried;

	begin(EXIT_BEGIN, mm);
	smp_store_release(&mm->life.state, MM_DYING);
	requests_end(mm);
	begin(EXIT_CPUS, mm);
	if (READ_ONCE(mm->watch.notifiers))
		notifier_release_all(mm);
	tlb_mm_exit(mm);
	tlb_gather_mmu(&tlb, mm, GATHER_FULLMM);
	pages_leave(mm, &tlb);
	begin(EXIT_LINKS, mm);
	down_write_nested(&mm->mmap_lock.sem);
	buried = bury_all(mm, dead);
	begin(EXIT_TABLES, mm);
	if (mm_has_tables(mm))
		free_all_tables(mm, &tlb);
	tlb_finish_mmu(&tlb);
	pgd_free(mm);
	BUG_ON(buried != mm->count.map_count);
	begin(EXIT_TREE, mm);
	mt_clear_in_rcu(&mm->mt); /* no reader is left */
	__mt_destroy(&mm->mt);
	maple_writer_forget(&mm->writer);
	mm_uncharge(mm, mm->count.accounted);
	TRACE(exit_mmap, mm, buried);
	mm->count = (struct mm_counters){ 0 };
	mmap_write_unlock(mm);
	uffd_mm_exit(mm);
}
