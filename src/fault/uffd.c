/* SPDX-License-Identifier: MIT */
/*
 * Which accesses a userfaultfd stops. One predicate decides for the fault and, once the access is
 * queued, for the second look (uffd/uffd.h has why there are two):
 *
 *   entry                       VMA registered for     stopped as
 *   empty, or uffd-wp marker    MISSING                missing, if it is anonymous memory, or the
 *                                                      page cache does not have the page
 *                               MINOR                  minor, if the page cache has it, or swap
 *   present, with uffd-wp bit   WP                     write-protected, if it is a write; not with
 *                                                      WP_ASYNC, where cow.c clears the bit
 *
 * Nothing else is: beyond the end of its file a page is a signal's matter.
 */
#include "fault/parts.h"
#include "uffd/uffd.h"

/* One access. */
struct stopped {
	const struct vma *vma; /* has a uffd */
	unsigned long addr;
	unsigned int flags; /* enum fault_flags */
	pte_t pte;
};

static unsigned int stopped_by_cache(const struct stopped *s)
{
	struct inode *inode = vma_inode(s->vma);
	const unsigned long index = vma_pgoff_at(s->vma, s->addr);

	if (index >= inode_pages(inode))
		return 0;
	if (page_cache_has(inode, index))
		return s->vma->vm_flags & VM_UFFD_MINOR ? VM_FAULT_UFFD | VM_FAULT_UFFD_MINOR : 0;
	return s->vma->vm_flags & VM_UFFD_MISSING ? VM_FAULT_UFFD : 0;
}

static unsigned int stopped(const struct stopped *s)
{
	const unsigned long vm_flags = s->vma->vm_flags;

	if (pte_present(s->pte)) {
		if (!(s->flags & FAULT_WRITE) || pte_write(s->pte) || !pte_uffd_wp(s->pte) ||
		    !(vm_flags & VM_UFFD_WP) ||
		    (uffd_features(s->vma->rare.uffd) & UFFD_FEATURE_WP_ASYNC))
			return 0;
		return VM_FAULT_UFFD | VM_FAULT_UFFD_WP;
	}
	if (!pte_none(s->pte) && pte_marker(s->pte) != MARKER_UFFD_WP)
		return 0;
	if (!(vm_flags & (VM_UFFD_MISSING | VM_UFFD_MINOR)))
		return 0;
	if (vma_faults_anon(s->vma))
		return vm_flags & VM_UFFD_MISSING ? VM_FAULT_UFFD : 0;
	return stopped_by_cache(s);
}

/* No handler is asked for this access: it ends with a signal. */
static bool refused(const struct samara_uffd *uffd, unsigned int fault_flags)
{
	return (uffd_features(uffd) & UFFD_FEATURE_SIGBUS) ||
	       ((fault_flags & FAULT_KERNEL) && (uffd->flags & UFFD_USER_MODE_ONLY));
}

unsigned int fault_ask_uffd(const struct vm_fault *vmf)
{
	const struct stopped s = {
		.vma = vmf->vma, .addr = vmf->addr, .flags = vmf->flags, .pte = vmf->orig
	};
	struct samara_uffd *uffd = vmf->vma->rare.uffd;
	const unsigned int codes = stopped(&s);

	if (codes)
		return refused(uffd, vmf->flags) ? VM_FAULT_SIGBUS : codes;
	/* The access goes on: what was posted for it is over, though the handler did not say so. */
	uffd_posts_drop(uffd, vmf->addr, vmf->addr + mm_page_size(vmf->vma->vm_mm));
	return 0;
}

bool fault_uffd_waits(struct vma *vma, unsigned long addr, unsigned int flags, unsigned int codes)
{
	struct samara_mm *mm = vma->vm_mm;
	struct stopped s = { .vma = vma, .addr = addr & mm_page_mask(mm), .flags = flags };
	struct table *leaf = table_find(mm, s.addr);
	unsigned int now;

	BUG_ON(!leaf); /* the fault has made it, and it stays as long as its VMA is held */
	table_lock(leaf);
	s.pte = pte_read(table_pte(mm, leaf, s.addr));
	now = stopped(&s);
	table_unlock(leaf);
	return now && now == codes;
}
