/* SPDX-License-Identifier: MIT */
/*
 * What mincore(2) says of each page: 1 where an access would find it in memory,
 * mapped here or in the page cache of what is mapped.
 *
 * mmap_lock for reading; one leaf's lock at a time.
 */
#include "range/leaf.h"
#include "range/range.h"
#include "store/file.h"
#include "store/inode.h"

/* Not mapped here: is it in the cache? */
static unsigned char in_cache(const struct vma *vma, unsigned long addr)
{
	struct folio *folio;
	bool there;

	/* A device's frames are no cache: they are found by frame number. */
	if (!vma->vm_file || vma->is_anon || inode_is_device(vma->vm_file->inode))
		return 0;
	folio = page_cache_find(vma->vm_file->inode, vma_pgoff_at(vma, addr));
	if (!folio)
		return 0;
	there = folio_test(folio, FOLIO_UPTODATE);
	folio_put(vma->vm_mm->machine->ram, folio);
	return there;
}

static bool mapped(struct samara_mm *mm, unsigned long addr)
{
	const pte_t pte = table_look(mm, addr); /* huge or not */

	return pte_present(pte) || (pte_swp(pte) && swp_kind(pte) == SWP_KIND_MIGRATION);
}

void range_mincore(struct vma *vma, unsigned long start, unsigned long end, unsigned char *vec)
{
	const unsigned long page = mm_page_size(vma->vm_mm);
	/* Linux does not look at the entries of such a mapping. */
	const bool pfns = vma->vm_flags & VM_PFNMAP;

	rwsem_assert_held(&vma->vm_mm->mmap_lock.sem);
	for (unsigned long addr = start; addr < end; addr += page) {
		/* The kernel's own mappings have no page cache and are always there. */
		*vec++ = vma->special || (!pfns && mapped(vma->vm_mm, addr)) ? 1 :
									       in_cache(vma, addr);
	}
}
