/* SPDX-License-Identifier: MIT */
/*
 * Memory that counts as written to (touch.h).
 */
#include "vma/touch.h"

void touch_by_policy(struct vma *vma)
{
	const struct samara_mm *mm = vma->vm_mm;

	if (mm->limits.touch == SAMARA_TOUCH_EAGER && (vma->vm_flags & VM_WRITE) &&
	    !(vma->vm_flags & (VM_SHARED | VM_SPECIAL)))
		(void)!anon_vma_prepare(vma); /* refused: the VMA stays untouched */
}
