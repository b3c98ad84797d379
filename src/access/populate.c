/* SPDX-License-Identifier: MIT */
/*
 * Pages faulted in ahead, for mlock, MAP_POPULATE and MADV_POPULATE_*: real faults, one a page.
 *
 * The mmap_lock is held. What was faulted in before an error stays.
 */
#include <errno.h>

#include "access/fault_door.h"
#include "access/populate.h"
#include "mmu/table.h"
#include "vma/find.h"

/*
 * Whether the page is there already. The VMA cannot change, so an entry that allows it goes on
 * doing so.
 */
static bool there(struct vma *vma, unsigned long addr, unsigned int flags)
{
	struct table *leaf = table_find(vma->vm_mm, addr);
	pte_t pte;

	if (!leaf)
		return false;
	pte = pte_read(table_pte(vma->vm_mm, leaf, addr));
	if (flags & FAULT_WRITE)
		return pte_present(pte) && pte_write(pte) && pte_dirty(pte);
	return pte_present(pte);
}

static int fault_in(struct vma *vma, unsigned long start, unsigned long end, unsigned int flags)
{
	unsigned long addr = max(start, vma->vm_start);
	int err = 0;

	end = min(end, vma->vm_end);
	while (!err && addr < end) {
		if (there(vma, addr, flags))
			addr += mm_page_size(vma->vm_mm);
		else
			err = fault_errno(handle_mm_fault(vma, addr, flags));
	}
	return err;
}

int populate_for(struct vma *vma, unsigned long start, unsigned long end, unsigned int flags)
{
	return fault_in(vma, start, end, flags);
}

/*
 * Private memory that may be written is, so that it need not be copied later; shared memory is
 * not made dirty.
 */
static int populate_vma(struct vma *vma, unsigned long start, unsigned long end)
{
	const unsigned long flags = vma->vm_flags;

	if (flags & (VM_IO | VM_PFNMAP | VM_LOCKONFAULT))
		return 0;
	if (!vma_accessible(vma))
		return -EFAULT;
	return fault_in(vma, start, end,
			(flags & (VM_WRITE | VM_SHARED)) == VM_WRITE ? FAULT_WRITE : 0);
}

int populate_range(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	int err = 0;

	while (!err && start < end) {
		struct vma *vma = vma_find(mm, start, end);

		if (!vma)
			break;
		err = populate_vma(vma, start, end);
		start = vma->vm_end;
	}
	return err;
}

void populate_quietly(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	struct vma *vma;

	for (; start < end && (vma = vma_find(mm, start, end)); start = vma->vm_end)
		(void)!populate_vma(vma, start, end);
}
