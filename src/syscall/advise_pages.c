/* SPDX-License-Identifier: MIT */
/*
 * Advice about pages: zapping them, guards, holes in a file and so in all mappings of it.
 */
#include "filemap/filemap.h"
#include "syscall/advise_pages.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "range/range.h"
#include "reclaim/reclaim.h"
#include "store/file.h"

bool advice_is_of_pages(int advice)
{
	switch (advice) {
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
	case ADV_DONTNEED_LOCKED:
	case ADV_COLD:
	case ADV_PAGEOUT:
	case ADV_COLLAPSE:
	case ADV_GUARD_INSTALL:
	case ADV_GUARD_REMOVE:
		return true;
	default:
		return false;
	}
}

static int zap(struct vma *vma, unsigned long start, unsigned long end)
{
	struct samara_notifier_range range = {
		.mm = vma->vm_mm,
		.start = start,
		.end = end,
		.why = SAMARA_NOTIFY_CLEAR,
	};
	struct mmu_gather tlb;

	if (!mm_has_tables(vma->vm_mm))
		return 0;
	notifier_start(vma->vm_mm, &range);
	tlb_gather_mmu(&tlb, vma->vm_mm, GATHER_RANGE);
	zap_range(&tlb, vma, start, end, ZAP_KEEP_GUARDS);
	tlb_finish_mmu(&tlb);
	notifier_end(vma->vm_mm, &range);
	return 0;
}

bool advice_removes(int advice)
{
	return advice == MADV_DONTNEED || advice == ADV_DONTNEED_LOCKED || advice == MADV_FREE ||
	       advice == MADV_REMOVE;
}

/* A hole in the file. fallocate(2)'s errors are among the answers. */
int advise_hole(struct samara_file *file, unsigned long offset, unsigned long len)
{
	unsigned int shift;

	if ((long)offset < 0)
		return -EINVAL;
	if (offset + len > min(file->max_length, (unsigned long long)LLONG_MAX))
		return -EFBIG;
	if (file_is(file, SAMARA_FILE_NO_FALLOCATE))
		return -EOPNOTSUPP;
	shift = ram_view(file->inode->ram)->page_shift;
	return file_punch(file, offset >> shift, (offset + len - 1) >> shift);
}

/*
 * Whether a huge page fits into the mapping. Anonymous memory needs an anon_vma. The arithmetic
 * wraps below 2 MiB, as in Linux.
 */
static bool collapsible(const struct vma *vma)
{
	const struct samara_mm *mm = vma->vm_mm;
	const unsigned long huge = geo_huge_size(mm->geo);
	const unsigned long last = (vma->vm_end - huge) & ~(huge - 1);

	if (!mm_has_thp(mm) || (vma->vm_flags & (VM_NOHUGEPAGE | VM_SPECIAL | VM_HUGETLB)))
		return false;
	if (last < vma->vm_start || last + huge > vma->vm_end)
		return false;
	if (vma->is_anon)
		return vma->anon_vma;
	return file_is(vma->vm_file, SAMARA_FILE_SHMEM) &&
	       !((mm_pages(mm, vma->vm_start) - vma->vm_pgoff) & (mm_pages(mm, huge) - 1));
}

/* No huge page is made. 0 for a range in which none would fit. */
static int collapse(const struct vma *vma, unsigned long start, unsigned long end)
{
	const unsigned long huge = geo_huge_size(vma->vm_mm->geo);

	if (!collapsible(vma) || ((start + huge - 1) & ~(huge - 1)) != (end & ~(huge - 1)))
		return -EINVAL;
	return 0;
}

/* The mmap_lock stays held meanwhile, as in Linux. */
static int pageout(struct vma *vma, unsigned long start, unsigned long end)
{
	struct rwsem *isolation = lru_isolation(vma->vm_mm->machine->ram);
	struct folio *folio[RECLAIM_BATCH];
	unsigned int n;

	while (start < end) {
		down_read(isolation);
		n = range_isolate(vma, &start, end, folio, RECLAIM_BATCH);
		reclaim_folios(vma->vm_mm->machine, folio, n);
		up_read(isolation);
	}
	return 0;
}

static int guard(struct vma *vma, unsigned long start, unsigned long end, int advice)
{
	int err;

	if (vma->vm_flags & (VM_SPECIAL | VM_HUGETLB))
		return -EINVAL;
	if (advice == ADV_GUARD_REMOVE) {
		if (mm_has_tables(vma->vm_mm))
			guard_remove(vma, start, end);
		return 0;
	}
	if (vma->vm_flags & VM_LOCKED)
		return -EINVAL;
	err = guard_install(vma, start, end);
	if (!err && !(vma->vm_flags & VM_MAYBE_GUARD)) {
		vma_start_write(vma);
		vma_set_flags(vma, vma->vm_flags | VM_MAYBE_GUARD);
	}
	return err;
}

int advise_pages(struct vma *vma, unsigned long start, unsigned long end, int advice)
{
	const unsigned long flags = vma->vm_flags;
	int err;

	switch (advice) {
	case MADV_DONTNEED:
		err = advice_may_remove(vma, MADV_DONTNEED);
		return err ? err : zap(vma, start, end);
	case ADV_DONTNEED_LOCKED:
		err = advice_may_remove(vma, ADV_DONTNEED_LOCKED);
		return err ? err : zap(vma, start, end);
	case MADV_FREE:
		err = advice_may_remove(vma, MADV_FREE);
		if (err || !vma->is_anon)
			return -EINVAL;
		range_lazyfree(vma, start, end);
		return 0;
	case ADV_COLD:
	case ADV_PAGEOUT:
		if (flags & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB))
			return -EINVAL;
		if (advice == ADV_PAGEOUT)
			return pageout(vma, start, end);
		range_cold(vma, start, end);
		return 0;
	case MADV_REMOVE:
		err = advice_may_remove(vma, MADV_REMOVE);
		if (err)
			return err;
		return advise_hole(vma->vm_file,
				   vma_pgoff_at(vma, start) << vma->vm_mm->geo->page_shift,
				   end - start);
	case ADV_COLLAPSE:
		return collapse(vma, start, end);
	case ADV_GUARD_INSTALL:
	case ADV_GUARD_REMOVE:
		return guard(vma, start, end, advice);
	default:
		return 0; /* MADV_WILLNEED: reading ahead changes nothing that can be seen */
	}
}
