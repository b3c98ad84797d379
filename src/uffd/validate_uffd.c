/* SPDX-License-Identifier: MIT */
#include "uffd/validate_uffd.h"

#include "base/report.h"
#include "uffd/uffd.h"

int uffd_validate_vma(const struct vma *vma, struct samara_report *out)
{
	const unsigned long flags = vma->vm_flags & VM_UFFD_FLAGS;
	const struct samara_uffd *uffd = vma->rare.uffd;

	if (!flags != !uffd)
		return report_broken(out, "vma_uffd", "%lx..%lx: flags %lx with userfaultfd %p",
				     vma->vm_start, vma->vm_end, flags, (void *)uffd);
	if (uffd && uffd->mm != vma->vm_mm)
		return report_broken(out, "uffd_vma",
				     "%lx..%lx: its userfaultfd is of mm %p, not %p", vma->vm_start,
				     vma->vm_end, (void *)uffd->mm, (void *)vma->vm_mm);
	return 0;
}
