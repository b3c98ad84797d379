/* SPDX-License-Identifier: MIT */
/*
 * What mincore(2) says of each page: 1 where an access would find it in memory,
 * mapped here, in the page cache of what is mapped, or in the swap cache.
 *
 * mmap_lock for reading; one leaf's lock at a time.
 */
#include "range/leaf.h"
#include "range/range.h"
#include "store/file.h"
#include "store/inode.h"

/* folio has a reference, which is dropped; NULL is allowed. */
static unsigned char folio_there(const struct vma *vma, struct folio *folio)
{
	bool there;

	if (!folio)
		return 0;
	there = folio_test(folio, FOLIO_UPTODATE);
	folio_put(vma_ram(vma), folio);
	return there;
}

/* Not mapped here: is it in the cache? */
static unsigned char in_cache(const struct vma *vma, unsigned long addr)
{
	/* A device's frames are no cache: they are found by frame number. */
	if (!vma->vm_file || vma->is_anon || inode_is_device(vma->vm_file->inode))
		return 0;
	return page_cache_incore(vma->vm_file->inode, vma_pgoff_at(vma, addr));
}

static unsigned char page_there(const struct vma *vma, unsigned long addr)
{
	const pte_t pte = table_look(vma->vm_mm, addr); /* huge or not */
	const swp_entry_t swap = pte_swap_entry(pte);

	if (pte_present(pte) || pte_migration(pte))
		return 1;
	if (!swp_none(swap))
		return folio_there(vma, swap_cache_find(vma->vm_mm->machine->store, swap));
	return in_cache(vma, addr);
}

void range_mincore(struct vma *vma, unsigned long start, unsigned long end, unsigned char *vec)
{
	const unsigned long page = mm_page_size(vma->vm_mm);
	rwsem_assert_held(&vma->vm_mm->mmap_lock.sem);
	for (unsigned long addr = start; addr < end; addr += page) {
		/* The kernel's own mappings have no page cache and are always there. */
		if (vma->rare.special)
			*vec++ = 1;
		else if (vma->vm_flags & VM_PFNMAP) /* Linux does not look at its entries. */
			*vec++ = in_cache(vma, addr);
		else
			*vec++ = page_there(vma, addr);
	}
}
