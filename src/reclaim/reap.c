/* SPDX-License-Identifier: MIT */
/*
 * The OOM reaper: the private memory of an mm goes at once, whatever its owner does meanwhile.
 *
 *   oom_reap()                                    the mm's owner
 *   mmap_lock for reading, by a trylock           any call; exit_mmap()
 *   MM_OOM_SKIP, MM_BUILDING: leave
 *   MM_UNSTABLE, by the one thread that sets it
 *   each private VMA: zapped, flushed, freed      a fault on an empty entry: SIGBUS
 *   MM_OOM_SKIP
 *   unlock
 *
 * It waits for no lock but a leaf's, and for the CPUs that a flush waits for. docs/locking.md, "Out
 * of memory", says why no page is taken twice and no table is used that exit has freed.
 */
#include <errno.h>

#include "core/vma.h"
#include "mmu/notifier.h"
#include "range/range.h"
#include "reclaim/reclaim.h"

/* As Linux: locked memory too. Pages of a file that are private go with the copies among them. */
static bool may_reap(const struct vma *vma)
{
	return !(vma->vm_flags & (VM_SHARED | VM_PFNMAP));
}

static void reap_vma(struct vma *vma)
{
	struct samara_mm *mm = vma->vm_mm;
	struct samara_notifier_range range = {
		.mm = mm,
		.start = vma->vm_start,
		.end = vma->vm_end,
		.why = SAMARA_NOTIFY_CLEAR,
	};
	struct mmu_gather tlb;

	notifier_start(mm, &range);
	tlb_gather_mmu(&tlb, mm, GATHER_RANGE);
	zap_range(&tlb, vma, vma->vm_start, vma->vm_end, ZAP_KEEP_GUARDS);
	tlb_finish_mmu(&tlb);
	notifier_end(mm, &range);
}

static void reap_all(struct samara_mm *mm)
{
	MA_STATE(mas, &mm->mt, 0, 0);
	struct vma *vma;

	if (!mm_has_tables(mm))
		return;
	mas_for_each(&mas, vma, ULONG_MAX)
		if (may_reap(vma))
			reap_vma(vma);
}

/* The calling thread is the one that reaps mm. */
static bool claim(struct samara_mm *mm)
{
	return !(atomic_fetch_or_acq_rel(&mm->life.oom, MM_UNSTABLE) & MM_UNSTABLE);
}

int oom_reap(struct samara_mm *mm)
{
	int err = -EAGAIN;

	if (!down_read_trylock(&mm->mmap_lock.sem))
		return -EAGAIN;
	if (mm_oom(mm) & MM_OOM_SKIP) {
		err = 0;
	} else if (mm_gate_open(mm, MM_GATE_REAP) && claim(mm)) {
		reap_all(mm);
		mm_oom_set(mm, MM_OOM_SKIP);
		err = 0;
	}
	mmap_read_unlock(mm);
	return err;
}
