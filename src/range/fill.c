/* SPDX-License-Identifier: MIT */
/*
 * Pages that the handler of a userfaultfd gives. The frames were filled before, with no lock held.
 *
 * Private memory gets anonymous pages; also where it shows shared memory, whose page cache gets
 * nothing. The leaf's lock orders a fill, a fault and a zap. An entry is looked at under it, so one
 * of two fills of a page says -EEXIST.
 */
#include <errno.h>

#include "frame/lru.h"
#include "range/leaf.h"
#include "range/range.h"
#include "rmap/rmap.h"
#include "store/file.h"

/* As Linux: dirty whether or not it will be written to, and writable at once. */
static pte_t copied_pte(const struct fill_desc *d, unsigned long pfn)
{
	const unsigned long vm_flags = d->vma->vm_flags;
	const pte_t pte = pte_with(mk_pte(pfn, vm_flags), PTE_DIRTY | d->bits);

	return (vm_flags & VM_WRITE) && !(d->bits & PTE_UFFD_WP) ? pte_with(pte, PTE_WRITE) : pte;
}

/* What is at at gives way to a page. Leaf's lock. */
static bool gives_way(const struct fill_desc *d, pte_t pte)
{
	return pte_none(pte) || (d->kind == FILL_COPY && pte_marker(pte) == MARKER_UFFD_WP);
}

/* Leaf's lock. Page i of d is filled, or nothing has changed. */
static int fill_private(const struct fill_desc *d, unsigned int i, struct table *leaf)
{
	struct vma *vma = d->vma;
	struct ram *ram = vma_ram(vma);
	const unsigned long addr = d->addr + i * mm_page_size(vma->vm_mm);
	pte_t *at = table_pte(vma->vm_mm, leaf, addr);

	if (vma->vm_file && vma_pgoff_at(vma, addr) >= inode_pages(vma->vm_file->inode))
		return -EFAULT;
	if (!gives_way(d, pte_read(at)))
		return -EEXIST;
	if (d->kind == FILL_ZERO) {
		table_fill(leaf, at, pte_with(mk_pte(ZERO_FRAME, vma->vm_flags), PTE_SPECIAL));
		return 0;
	}
	folio_add_new_anon(d->folio[i], vma, addr);
	lru_add(ram, d->folio[i]);
	table_put(leaf, at, copied_pte(d, folio_pfn(ram, d->folio[i])));
	mm_rss_add(vma->vm_mm, MM_ANONPAGES, 1);
	d->folio[i] = NULL;
	return 0;
}

unsigned int range_fill(const struct fill_desc *d, int *err)
{
	struct samara_mm *mm = d->vma->vm_mm;
	const unsigned long end = d->addr + d->pages * mm_page_size(mm);
	unsigned long addr = d->addr;
	unsigned int done = 0;
	struct table *leaf;

	rwsem_assert_held(&mm->mmap_lock.sem);
	*err = d->vma->vm_flags & VM_SHARED ? -EINVAL : 0;
	while (!*err && addr < end) {
		const unsigned long part = leaf_end(mm->geo, addr, end);

		*err = table_get(mm, addr, &leaf);
		if (*err)
			break;
		table_lock(leaf);
		for (; addr < part; addr += mm_page_size(mm), done++) {
			*err = fill_private(d, done, leaf);
			if (*err)
				break;
		}
		table_unlock(leaf);
	}
	return done;
}
