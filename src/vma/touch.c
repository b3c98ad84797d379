/* SPDX-License-Identifier: MIT */
/*
 * First accesses: see touch.h. Reading private memory gives it no anon_vma
 * (the zero page, or the file's page); writing does.
 */
#include <errno.h>
#include <sys/mman.h>

#include "store/file.h"
#include "vma/find.h"
#include "vma/grow.h"
#include "vma/merge.h"
#include "vma/touch.h"

/* A neighbour whose family the VMA may join; one with ancestors is left alone. */
static struct anon_vma *neighbours_anon_vma(struct vma *vma)
{
	struct samara_mm *mm = vma->vm_mm;
	struct vma *next = vma_lookup(mm, vma->vm_end);
	struct vma *prev = vma->vm_start ? vma_lookup(mm, vma->vm_start - 1) : NULL;

	if (next && next->anon_links == 1 && anon_vma_may_share(mm, vma, next))
		return next->anon_vma;
	if (prev && prev->anon_links == 1 && anon_vma_may_share(mm, prev, vma))
		return prev->anon_vma;
	return NULL;
}

int anon_vma_prepare(struct vma *vma)
{
	struct anon_vma *anon;

	if (vma->anon_vma)
		return 0;
	anon = neighbours_anon_vma(vma);
	if (!anon)
		anon = anon_vma_alloc();
	if (!anon)
		return -ENOMEM;
	vma->anon_vma = anon_vma_get(anon);
	vma->anon_links = 1;
	return 0;
}

/* Up to this address of the VMA there is something behind it; beyond is SIGBUS. */
static unsigned long backed_end(const struct vma *vma)
{
	const unsigned int shift = vma->vm_mm->geo->page_shift;
	unsigned long long length, pages;

	if (!vma->vm_file || vma->is_anon)
		return vma->vm_end;
	length = READ_ONCE(vma->vm_file->length);
	pages = (length >> shift) + !!(length & ((1UL << shift) - 1));
	if (!length || pages >= vma->vm_pgoff + mm_pages(vma->vm_mm, vma_size(vma)))
		return vma->vm_end;
	return pages > vma->vm_pgoff ? vma->vm_start + ((pages - vma->vm_pgoff) << shift) :
				       vma->vm_start;
}

/* A write fault comes to grief beyond the file's end only after it has made room for the copy. */
static int fault_in(struct vma *vma, unsigned long end, int write)
{
	int err = write && !(vma->vm_flags & VM_SHARED) ? anon_vma_prepare(vma) : 0;

	return !err && end > backed_end(vma) ? -EFAULT : err;
}

static bool may_access(const struct vma *vma, int access)
{
	if ((access & PROT_WRITE) && !(vma->vm_flags & VM_WRITE))
		return false;
	if ((access & PROT_EXEC) && !(vma->vm_flags & VM_EXEC))
		return false;
	/* Whatever may be written or run can be read on x86. */
	return vma_accessible(vma);
}

/* The VMA at addr, a stack grown to reach it if need be. */
static int vma_at(struct samara_mm *mm, unsigned long addr, struct vma **out)
{
	struct vma *vma = vma_find_from(mm, addr);

	if (!vma)
		return -EFAULT;
	if (vma->vm_start > addr && (!(vma->vm_flags & VM_GROWSDOWN) || expand_stack(vma, addr)))
		return -EFAULT;
	*out = vma;
	return 0;
}

int touch_range(struct samara_mm *mm, unsigned long addr, unsigned long len, int access)
{
	unsigned long end = addr + len;
	struct vma *vma;
	int err = 0;

	if (end < addr)
		end = ULONG_MAX;
	for (addr &= mm_page_mask(mm); !err && addr < end; addr = vma->vm_end) {
		err = vma_at(mm, addr, &vma);
		if (err)
			return err;
		if (!may_access(vma, access))
			return -EFAULT;
		err = fault_in(vma, min(end, vma->vm_end), access & PROT_WRITE);
	}
	return err;
}

static int populate_vma(struct vma *vma, unsigned long end)
{
	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_LOCKONFAULT))
		return 0;
	if (!vma_accessible(vma))
		return -EFAULT;
	return fault_in(vma, min(end, vma->vm_end), !!(vma->vm_flags & VM_WRITE));
}

int populate_for(struct vma *vma, unsigned long end, int write)
{
	return fault_in(vma, min(end, vma->vm_end), write);
}

int populate_range(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	int err = 0;

	while (!err && start < end) {
		struct vma *vma = vma_find(mm, start, end);

		if (!vma)
			break;
		err = populate_vma(vma, end);
		start = vma->vm_end;
	}
	return err;
}

void populate_quietly(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	struct vma *vma;

	for (; start < end && (vma = vma_find(mm, start, end)); start = vma->vm_end)
		(void)!populate_vma(vma, end);
}

void touch_by_policy(struct vma *vma)
{
	const struct samara_mm *mm = vma->vm_mm;

	if (mm->touch == SAMARA_TOUCH_EAGER && (vma->vm_flags & VM_WRITE) &&
	    !(vma->vm_flags & (VM_SHARED | VM_SPECIAL)))
		(void)!anon_vma_prepare(vma); /* an assumption: refused, it is wrong */
}

void touch_at_by_policy(struct samara_mm *mm, unsigned long addr)
{
	struct vma *vma = mm->touch == SAMARA_TOUCH_EAGER ? vma_lookup(mm, addr) : NULL;

	if (vma)
		touch_by_policy(vma);
}
