/* SPDX-License-Identifier: MIT */
/*
 * Growth of heap and stack. Each is one store. A refused store leaves range and counters as they
 * were.
 */
#include <errno.h>

#include "core/vma_lock.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/grow.h"
#include "vma/map.h"
#include "vma/reserve.h"
#include "vma/touch.h"

int grow_heap(struct samara_mm *mm, unsigned long start, unsigned long end, struct vma_dead *dead)
{
	struct map_request req = {
		.mm = mm,
		.start = start,
		.end = end,
		.pgoff = mm_pages(mm, start),
		.dead = dead,
		.flags = VM_READ | VM_WRITE | VM_MAY_ACCESS | VM_ACCOUNT | mm->limits.def_flags,
		.kind = MAP_HEAP,
	};
	struct vma *heap;
	int err;

	if (mm->layout.flags & SAMARA_LAYOUT_READ_EXEC)
		req.flags |= VM_EXEC;
	if (mm->count.map_count > mm->machine->max_map_count)
		return -ENOMEM;
	err = map_region(&req, &heap);
	if (!err)
		touch_by_policy(heap);
	return err;
}

/* The VMA below leaves the guard gap free, is a stack too, or is PROT_NONE. */
static bool gap_free(struct samara_mm *mm, const struct vma *vma, unsigned long addr)
{
	const struct vma *below = vma_before(mm, vma->vm_start);

	if (!below)
		return true;
	if (below->vm_end > addr)
		return false;
	return (below->vm_flags & VM_GROWSDOWN) || !vma_accessible(below) ||
	       addr - below->vm_end >= mm->geo->stack_gap;
}

static int stack_limits(const struct vma *vma, unsigned long addr)
{
	const struct samara_mm *mm = vma->vm_mm;
	const unsigned long grow = vma->vm_start - addr;

	if (!may_expand_vm(mm, vma->vm_flags, mm_pages(mm, grow)) ||
	    vma->vm_end - addr > mm->limits.rlim[MM_RLIMIT_STACK] ||
	    !mlock_future_ok(mm, vma->vm_flags, grow))
		return -ENOMEM;
	return 0;
}

int expand_stack(struct vma *vma, unsigned long addr)
{
	struct samara_mm *mm = vma->vm_mm;
	const bool was_untouched = !vma->anon_vma;
	struct vma_store store = { .mm = mm, .end = vma->vm_end, .entry = vma };
	unsigned long grow;
	int err;

	addr &= mm_page_mask(mm);
	if (addr < mm->geo->map_min_addr)
		return -EPERM;
	if (addr >= vma->vm_start)
		return 0;
	grow = mm_pages(mm, vma->vm_start - addr);
	if (!gap_free(mm, vma, addr))
		return -ENOMEM;
	/* When a limit refuses after this, the VMA keeps its anon_vma, as in Linux. */
	err = anon_vma_prepare(vma);
	if (err)
		return err;
	if (grow > vma->vm_pgoff || stack_limits(vma, addr))
		return -ENOMEM;
	/*
	 * Linux charges a MAP_NORESERVE stack too, and never uncharges it. Here that charge ends
	 * with this call.
	 */
	err = mm_charge(mm, grow);
	if (err)
		return err;
	vma_start_write(vma);
	store.start = addr;
	err = vma_store(&store);
	if (err)
		goto uncharge;
	vma_adjust_range(vma, addr, vma->vm_end, vma->vm_pgoff - grow);
	vm_stat_account(mm, vma->vm_flags, (long)grow);
	if (vma->vm_flags & VM_LOCKED)
		mm->count.locked_vm += grow;
	if (!(vma->vm_flags & VM_ACCOUNT))
		mm_uncharge(mm, grow);
	return 0;

uncharge:
	mm_uncharge(mm, grow);
	if (was_untouched)
		anon_vma_unlink(vma);
	return err;
}
