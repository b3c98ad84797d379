/* SPDX-License-Identifier: MIT */
/*
 * mprotect: VMA by VMA; one that may not be changed ends it, and what came
 * before stays changed.
 */
#include <errno.h>
#include <sys/mman.h>

#include "access/populate.h"
#include "range/range.h"
#include "syscall/door.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/modify.h"
#include "vma/touch.h"

#define PROT_SEM 0x8 /* accepted, means nothing */

/*
 * Private memory that becomes writable is charged. It stays charged when it
 * becomes read-only again, as it may have pages of its own by then, unless it
 * is anonymous and certainly has none.
 */
static int settle_charge(struct vma_modify_desc *d, unsigned long *charged)
{
	const struct vma *vma = d->vma;
	const unsigned long old = vma->vm_flags, pages = mm_pages(d->mm, d->end - d->start);

	if (!(d->flags & VM_WRITE)) {
		if ((old & VM_ACCOUNT) && vma->is_anon && !vma->anon_vma)
			d->flags &= ~VM_ACCOUNT;
		return 0;
	}
	if (!may_expand_vm(d->mm, d->flags, pages) && may_expand_vm(d->mm, old, pages))
		return -ENOMEM;
	if (old & (VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE))
		return 0;
	if (mm_charge(d->mm, pages))
		return -ENOMEM;
	*charged = pages;
	d->flags |= VM_ACCOUNT;
	return 0;
}

static int protect(struct vma_modify_desc *d)
{
	const unsigned long old = d->vma->vm_flags;
	const long pages = (long)mm_pages(d->mm, d->end - d->start);
	unsigned long charged = 0;
	int err;

	if (vma_sealed(d->vma))
		return -EPERM;
	if (d->flags == old)
		return 0;
	err = settle_charge(d, &charged);
	if (err)
		return err;
	err = vma_modify_flags(d);
	if (err) {
		mm_uncharge(d->mm, charged);
		return err;
	}
	if ((old & VM_ACCOUNT) && !(d->flags & VM_ACCOUNT))
		mm_uncharge(d->mm, (unsigned long)pages);
	vm_stat_account(d->mm, old, -pages);
	vm_stat_account(d->mm, d->flags, pages);
	if (mm_has_tables(d->mm))
		change_protection(d->out, d->start, d->end, d->flags);
	/* Locked memory that becomes writable is copied at once. */
	if ((old & (VM_WRITE | VM_SHARED | VM_LOCKED)) == VM_LOCKED && (d->flags & VM_WRITE))
		populate_quietly(d->mm, d->start, d->end);
	touch_by_policy(d->out);
	return 0;
}

static int step(struct vma_walk *walk, struct vma_modify_desc *d)
{
	unsigned long prot = walk->arg & VM_ACCESS_FLAGS;
	const unsigned long old = d->vma->vm_flags;

	if ((prot & PROT_READ) && (walk->mm->layout.flags & SAMARA_LAYOUT_READ_EXEC) &&
	    (old & VM_MAYEXEC))
		prot |= PROT_EXEC;
	d->flags = prot | (old & ~VM_ACCESS_FLAGS);
	if (prot & ~(old >> VM_MAY_SHIFT))
		return -EACCES;
	return protect(d);
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
	const int refused = mm_call(mm);
	const int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	struct door door;
	struct vma_walk walk = { .mm = mm, .start = addr, .step = step, .dead = &door.dead };
	enum span span;
	int err;

	if (refused)
		return refused;
	prot &= ~grows;
	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || !mm_page_aligned(mm, addr))
		return -EINVAL;
	span = mm_span(mm, addr, len, &walk.end);
	if (span == SPAN_EMPTY)
		return 0;
	if (span != SPAN_PAGES)
		return -ENOMEM;
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM))
		return -EINVAL;
	walk.arg = (unsigned long)prot;
	door_enter(&door, mm);
	err = protect_range(&walk, grows);
	door_leave(&door);
	return err;
}
