/* SPDX-License-Identifier: MIT */
/*
 * VMAs as objects: where they come from and where they go.
 *
 * A lookup under RCU may look at a VMA that has left its tree and has been freed, or is
 * another one by now. So the cache's memory goes back to the allocator after a grace
 * period only, and vm_lock is left alone while a VMA is free (vma_lock.h).
 */
#include <string.h>

#include "base/assert.h"
#include "core/vma_lock.h"

static DEFINE_TYPESAFE_CACHE(vma_cache, "vma", sizeof(struct vma), CACHE_LINE,
			     offsetof(struct vma, vm_lock));

/* Flags as smaps shows them on x86-64. */
static const struct vma_special specials[] = {
	{ "[vdso]", VM_MAY_ACCESS | VM_DONTEXPAND },
	{ "[vvar]", VM_MAYREAD | VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP },
	{ "[vvar_vclock]", VM_MAYREAD | VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP },
	{ "[uprobes]", VM_MAY_ACCESS | VM_DONTCOPY | VM_IO | VM_DONTEXPAND },
};

struct vma *vma_alloc(struct samara_mm *mm)
{
	struct vma *vma = cache_alloc(&vma_cache);

	if (!vma)
		return NULL;
	memset(vma, 0, offsetof(struct vma, vm_lock));
	vma->vm_mm = mm;
	/* 0 already, unless the memory is fresh. */
	WRITE_ONCE(vma->vm_lock.refcnt, 0);
	WRITE_ONCE(vma->vm_lock.seq, mm->mmap_lock.seq);
	return vma;
}

void vma_free(struct vma *vma)
{
	VM_WARN_ON(vma_is_attached(vma) || vma->rmap.links);
	cache_free(&vma_cache, vma);
}

void vma_set_range(struct vma *vma, unsigned long start, unsigned long end, unsigned long pgoff)
{
	WRITE_ONCE(vma->vm_start, start);
	WRITE_ONCE(vma->vm_end, end);
	WRITE_ONCE(vma->vm_pgoff, pgoff);
}

const struct vma_special *vma_special_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(specials); i++)
		if (!strcmp(specials[i].name, name))
			return &specials[i];
	return NULL;
}
