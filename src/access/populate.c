/* SPDX-License-Identifier: MIT */
/*
 * Pages faulted in ahead, for mlock, MAP_POPULATE and MADV_POPULATE_*: real faults, one a page.
 * What was faulted in before an error stays.
 *
 *   mmap_lock for reading
 *     walk from VMA to VMA, page by page ---- a fault that waits --> at: its page
 *   unlock                                                              |
 *   access_wait() <-----------------------------------------------------'
 *   again, from at: the VMA may be another one
 */
#include <errno.h>

#include "access/fault_door.h"
#include "access/populate.h"
#include "access/wait.h"
#include "frame/frame.h"
#include "mmu/table.h"
#include "vma/find.h"

struct populate {
	struct samara_mm *mm;
	unsigned long at, end; /* at: where to go on */
	unsigned long need;    /* populate_access(); else 0 */
	unsigned long only;    /* other VMAs are passed over; 0: none is */
	unsigned int codes;    /* of the last fault */
	struct waited *waited; /* NULL: nothing may be waited for */
};

/*
 * The VMA is locked in memory: reclaim, which may have looked at its flags before they changed, is
 * done with the entry once its leaf's lock is had, and later finds the flag.
 */
static pte_t settled(struct table *leaf, const pte_t *at)
{
	pte_t pte;

	table_lock(leaf);
	pte = pte_read(at);
	table_unlock(leaf);
	return pte;
}

/*
 * Whether the page is there already. The VMA cannot change, so an entry that allows it goes on
 * doing so, or reclaim has taken the page since.
 */
static bool there(struct vma *vma, unsigned long addr, unsigned int flags)
{
	struct table *leaf = table_find(vma->vm_mm, addr);
	pte_t pte;

	if (!leaf)
		return false;
	pte = pte_read(table_pte(vma->vm_mm, leaf, addr));
	if (pte_present(pte) && (vma->vm_flags & VM_LOCKED))
		pte = settled(leaf, table_pte(vma->vm_mm, leaf, addr));
	if (flags & FAULT_WRITE)
		return pte_present(pte) && pte_write(pte) && pte_dirty(pte);
	return pte_present(pte);
}

/* p->at becomes the end of vma's part, or the page that could not be faulted in. */
static int fault_in(struct populate *p, struct vma *vma, unsigned int flags)
{
	const unsigned long end = min(p->end, vma->vm_end);
	int err = 0;

	p->at = max(p->at, vma->vm_start);
	while (!err && p->at < end) {
		if (there(vma, p->at, flags)) {
			p->at += mm_page_size(p->mm);
			continue;
		}
		p->codes = fault_or_queue(vma, p->at, flags | FAULT_KERNEL, p->waited);
		fault_count(p->mm, p->codes);
		err = fault_errno(p->codes);
	}
	return err;
}

/*
 * Private memory that may be written is, so that it need not be copied later; shared memory is
 * not made dirty.
 */
static int fault_in_allowed(struct populate *p, struct vma *vma)
{
	const unsigned long flags = vma->vm_flags;

	if ((flags & (VM_IO | VM_PFNMAP | VM_LOCKONFAULT)) || (flags & p->only) != p->only)
		return 0;
	if (!vma_accessible(vma))
		return -EFAULT;
	return fault_in(p, vma, (flags & (VM_WRITE | VM_SHARED)) == VM_WRITE ? FAULT_WRITE : 0);
}

static int walk_allowed(struct populate *p)
{
	struct vma *vma;
	int err = 0;

	while (!err && (vma = vma_find(p->mm, p->at, p->end))) {
		err = fault_in_allowed(p, vma);
		if (!err)
			p->at = vma->vm_end;
	}
	return err;
}

static int walk_access(struct populate *p)
{
	int err = 0;

	while (!err && p->at < p->end) {
		struct vma *vma = vma_lookup(p->mm, p->at);

		if (!vma)
			return -ENOMEM;
		if ((vma->vm_flags & (VM_IO | VM_PFNMAP)) || !(vma->vm_flags & p->need))
			return -EINVAL;
		err = fault_in(p, vma, p->need == VM_WRITE ? FAULT_WRITE : 0);
	}
	return err;
}

/* walk from p->at on, again after each wait; no lock is held in between. */
static int populate(struct populate *p, int (*walk)(struct populate *p))
{
	struct waited waited;
	int err;

	waited_begin(&waited, frames_refused, 0);
	p->waited = &waited;
	for (;;) {
		p->codes = 0;
		mmap_read_lock(p->mm);
		err = walk(p);
		mmap_read_unlock(p->mm);
		if (!err || !(p->codes & VM_FAULT_WAITS))
			break;
		err = access_wait(p->mm, p->at, p->codes, &waited);
		if (err) {
			err = err == -EIO ? -EFAULT : err;
			break;
		}
	}
	waited_end(p->mm, &waited);
	return err;
}

int populate_range(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	struct populate p = { .mm = mm, .at = start, .end = end };

	return populate(&p, walk_allowed);
}

/* The end of the VMA at addr, or of the first above it; end where there is none. */
static unsigned long behind(struct samara_mm *mm, unsigned long addr, unsigned long end)
{
	struct vma *vma;

	mmap_read_lock(mm);
	vma = vma_find(mm, addr, end);
	addr = vma ? vma->vm_end : end;
	mmap_read_unlock(mm);
	return addr;
}

void populate_quietly(struct samara_mm *mm, const struct populate_later *later)
{
	struct populate p = {
		.mm = mm, .at = later->start, .end = later->end, .only = later->only
	};

	while (p.at < p.end) {
		const int err = populate(&p, walk_allowed);

		if (!err || err == -EAGAIN)
			break;
		p.at = behind(mm, p.at, p.end);
	}
}

int populate_access(struct samara_mm *mm, unsigned long start, unsigned long end,
		    unsigned long need)
{
	struct populate p = { .mm = mm, .at = start, .end = end, .need = need };

	return populate(&p, walk_access);
}

void populate_locked(struct vma *vma, unsigned long start, unsigned long end,
		     struct populate_later *later)
{
	struct populate p = { .mm = vma->vm_mm, .at = start, .end = end };

	mmap_assert_write_locked(p.mm);
	if (!fault_in_allowed(&p, vma) || !(p.codes & VM_FAULT_WAITS))
		return;
	/* As in Linux no handler is asked, and the rest is left out. */
	if (p.codes & VM_FAULT_UFFD)
		return;
	if (later->start == later->end)
		later->start = p.at;
	later->end = end;
	later->only = VM_LOCKED;
}
