/* SPDX-License-Identifier: MIT */
/*
 * Unmapping a part of a file: what truncation and hole punching do before the pages
 * leave the cache.
 *
 *   i_mmap --> each VMA that maps a page of [start, last] --> zap_range() of its part
 *
 * i_mmap.lock is held for reading throughout, so VMAs keep their places.
 */
#include "filemap/filemap.h"
#include "mmu/gather.h"
#include "mmu/notifier.h"
#include "range/range.h"
#include "rmap/rmap.h"

static void unmap_from_vma(struct vma *vma, unsigned long start, unsigned long last,
			   enum zap_what what)
{
	struct samara_mm *mm = vma->vm_mm;
	const unsigned int shift = mm->geo->page_shift;
	const unsigned long first = max(start, vma->vm_pgoff) - vma->vm_pgoff;
	const unsigned long behind = min(last - vma->vm_pgoff, mm_pages(mm, vma_size(vma)) - 1) + 1;
	struct samara_notifier_range range = {
		.mm = mm,
		.start = vma->vm_start + (first << shift),
		.end = vma->vm_start + (behind << shift),
		.why = SAMARA_NOTIFY_CLEAR,
	};
	struct mmu_gather tlb;

	if (!mm_gate_open(mm, MM_GATE_REMOVE) || !mm_has_tables(mm))
		return;
	notifier_start(mm, &range);
	tlb_gather_mmu(&tlb, mm, GATHER_RANGE);
	zap_range(&tlb, vma, range.start, range.end, what);
	tlb_finish_mmu(&tlb);
	notifier_end(mm, &range);
}

void unmap_mapping_pages(struct inode *inode, unsigned long start, unsigned long last,
			 enum unmap_cows cows)
{
	struct i_mmap_iter it = { .start = start, .last = last };
	struct vma *vma;

	/*
	 * A fault makes its leaf table and then reads the count. Either it reads the new one, or
	 * the walk below finds that table. Then the table's lock decides: see fault/parts.h.
	 */
	atomic_fetch_add_seq_cst(&inode->i_mmap.unmaps, 1);
	smp_mb();
	down_read(&inode->i_mmap.lock);
	while ((vma = i_mmap_next(inode, &it)))
		unmap_from_vma(vma, start, last,
			       cows == EVEN_COWS ? ZAP_KEEP_GUARDS : ZAP_FILE_ONLY);
	up_read(&inode->i_mmap.lock);
}
