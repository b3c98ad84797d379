/* SPDX-License-Identifier: MIT */
/*
 * Memory that counts as written to (touch.h).
 */
#include "vma/find.h"
#include "vma/touch.h"

void touch_by_policy(struct vma *vma)
{
	const struct samara_mm *mm = vma->vm_mm;

	if (mm->limits.touch == SAMARA_TOUCH_EAGER && (vma->vm_flags & VM_WRITE) &&
	    !(vma->vm_flags & (VM_SHARED | VM_SPECIAL)))
		(void)!anon_vma_prepare(vma); /* refused: the VMA stays untouched */
}

void touch_at_by_policy(struct samara_mm *mm, unsigned long addr)
{
	struct vma *vma = mm->limits.touch == SAMARA_TOUCH_EAGER ? vma_lookup(mm, addr) : NULL;

	if (vma)
		touch_by_policy(vma);
}
