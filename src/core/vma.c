/* SPDX-License-Identifier: MIT */
/*
 * VMAs and anon_vmas as objects: where they come from and where they go.
 *
 * A VMA's memory may be read under RCU after it has left its tree, so it goes
 * back to its cache after a grace period. An anon_vma is only looked at under
 * mmap_lock of an mm that holds a VMA naming it.
 */
#include <string.h>

#include "base/assert.h"
#include "core/vma.h"

static DEFINE_OBJ_CACHE(vma_cache, "vma", sizeof(struct vma), CACHE_LINE);
static DEFINE_OBJ_CACHE(anon_vma_cache, "anon_vma", sizeof(struct anon_vma), 8);

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
	memset(vma, 0, sizeof(*vma));
	vma->vm_mm = mm;
	return vma;
}

void vma_free_unused(struct vma *vma)
{
	if (vma)
		cache_free(&vma_cache, vma);
}

void vma_free(struct vma *vma)
{
	cache_free_rcu(&vma_cache, vma);
}

void vma_set_range(struct vma *vma, unsigned long start, unsigned long end, unsigned long pgoff)
{
	WRITE_ONCE(vma->vm_start, start);
	WRITE_ONCE(vma->vm_end, end);
	WRITE_ONCE(vma->vm_pgoff, pgoff);
}

void vma_bury(struct vma_dead *dead, struct vma *vma)
{
	vma->dead_next = dead->first;
	dead->first = vma;
}

struct anon_vma *anon_vma_alloc(void)
{
	struct anon_vma *anon = cache_alloc(&anon_vma_cache);

	if (anon)
		anon->refs = 0;
	return anon;
}

struct anon_vma *anon_vma_get(struct anon_vma *anon)
{
	__atomic_fetch_add(&anon->refs, 1, __ATOMIC_RELAXED);
	return anon;
}

void anon_vma_put(struct anon_vma *anon)
{
	if (__atomic_fetch_sub(&anon->refs, 1, __ATOMIC_ACQ_REL) == 1)
		cache_free(&anon_vma_cache, anon);
}

void anon_vma_clone(struct vma *dst, const struct vma *src)
{
	VM_WARN_ON(dst->anon_vma);
	if (!src->anon_vma)
		return;
	dst->anon_vma = anon_vma_get(src->anon_vma);
	dst->anon_links = src->anon_links;
}

void anon_vma_unlink(struct vma *vma)
{
	if (!vma->anon_vma)
		return;
	anon_vma_put(vma->anon_vma);
	vma->anon_vma = NULL;
	vma->anon_links = 0;
}

const struct vma_special *vma_special_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(specials); i++)
		if (!strcmp(specials[i].name, name))
			return &specials[i];
	return NULL;
}
