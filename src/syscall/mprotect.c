/* SPDX-License-Identifier: MIT */
/*
 * mprotect, VMA by VMA. The first that refuses ends the call. Earlier ones stay changed.
 */
#include <errno.h>
#include <sys/mman.h>

#include "range/range.h"
#include "syscall/call_door.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/modify.h"
#include "vma/touch.h"

#define PROT_SEM 0x8 /* accepted, means nothing */

/*
 * Private memory that becomes writable is charged. It stays charged when it becomes read-only
 * again, since it may have private pages by then. Anonymous memory without an anon_vma has none,
 * and is uncharged.
 */
static int settle_charge(const struct vma *vma, unsigned long pages, unsigned long *flags,
			 unsigned long *charged)
{
	const unsigned long old = vma->vm_flags;
	struct samara_mm *mm = vma->vm_mm;

	if (!(*flags & VM_WRITE)) {
		if ((old & VM_ACCOUNT) && vma->is_anon && !vma->anon_vma)
			*flags &= ~VM_ACCOUNT;
		return 0;
	}
	if (!may_expand_vm(mm, *flags, pages) && may_expand_vm(mm, old, pages))
		return -ENOMEM;
	if (old & (VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE))
		return 0;
	if (mm_charge(mm, pages))
		return -ENOMEM;
	*charged = pages;
	*flags |= VM_ACCOUNT;
	return 0;
}

static int protect(struct vma_part *part, unsigned long flags, struct door *door)
{
	struct samara_mm *mm = part->vma->vm_mm;
	const unsigned long old = part->vma->vm_flags;
	const long pages = (long)mm_pages(mm, part->end - part->start);
	unsigned long charged = 0;
	int err;

	if (vma_sealed(part->vma))
		return -EPERM;
	if (flags == old)
		return 0;
	err = settle_charge(part->vma, (unsigned long)pages, &flags, &charged);
	if (err)
		return err;
	err = vma_modify_flags(part, flags, &door->dead);
	if (err) {
		mm_uncharge(mm, charged);
		return err;
	}
	if ((old & VM_ACCOUNT) && !(flags & VM_ACCOUNT))
		mm_uncharge(mm, (unsigned long)pages);
	vm_stat_account(mm, old, -pages);
	vm_stat_account(mm, flags, pages);
	if (mm_has_tables(mm))
		change_protection(part->vma, part->start, part->end, flags);
	/* Locked memory that becomes writable is copied at once. */
	if ((old & (VM_WRITE | VM_SHARED | VM_LOCKED)) == VM_LOCKED && (flags & VM_WRITE))
		populate_locked(part->vma, part->start, part->end, &door->populate);
	touch_by_policy(part->vma);
	return 0;
}

/* One call, as its steps see it. */
struct protect_walk {
	struct vma_walk walk;
	struct door door;
};

static int step(const struct vma_walk *walk, struct vma_part *part)
{
	struct protect_walk *call = container_of(walk, struct protect_walk, walk);
	unsigned long prot = walk->arg & VM_ACCESS_FLAGS;
	const unsigned long old = part->vma->vm_flags;

	if ((prot & PROT_READ) && (walk->mm->layout.flags & SAMARA_LAYOUT_READ_EXEC) &&
	    (old & VM_MAYEXEC))
		prot |= PROT_EXEC;
	if (prot & ~(old >> VM_MAY_SHIFT))
		return -EACCES;
	return protect(part, prot | (old & ~VM_ACCESS_FLAGS), &call->door);
}

static int protect_range(struct vma_walk *walk, int grows)
{
	struct vma *vma = vma_seek(walk->mm, walk->start);

	if (!vma)
		vma = vma_find(walk->mm, walk->start, walk->end);
	if (!vma)
		return -ENOMEM;
	if (grows & PROT_GROWSDOWN) {
		walk->start = vma->vm_start;
		if (!(vma->vm_flags & VM_GROWSDOWN))
			return -EINVAL;
	} else {
		if (vma->vm_start > walk->start)
			return -ENOMEM;
		if (grows & PROT_GROWSUP)
			return -EINVAL; /* nothing grows up on x86 */
	}
	walk->first = vma;
	return vma_walk_strict(walk);
}

int samara_mprotect(struct samara_mm *mm, unsigned long addr, unsigned long len, int prot)
{
	const int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	struct protect_walk call = { .walk = { .mm = mm, .start = addr, .step = step } };
	enum span span;
	int err = mm_call(mm);

	if (err)
		return err;
	prot &= ~grows;
	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || !mm_page_aligned(mm, addr))
		return -EINVAL;
	span = mm_span(mm, addr, len, &call.walk.end);
	if (span == SPAN_EMPTY)
		return 0;
	if (span != SPAN_PAGES)
		return -ENOMEM;
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM))
		return -EINVAL;
	call.walk.arg = (unsigned long)prot;
	door_enter(&call.door, mm);
	err = protect_range(&call.walk, grows);
	door_leave(&call.door);
	return err;
}
