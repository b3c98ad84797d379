/* SPDX-License-Identifier: MIT */
/*
 * mremap of one VMA's part: what is to be done, and doing it. remap.h has the
 * picture, move.c the move.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "vma/account.h"
#include "vma/find.h"
#include "vma/layout.h"
#include "vma/merge.h"
#include "vma/remap.h"
#include "vma/unmap.h"

static void set_type(struct remap_desc *r)
{
	if (r->old_len == r->new_len) {
		r->type = REMAP_NO_RESIZE;
		r->delta = 0;
	} else if (r->old_len > r->new_len) {
		r->type = REMAP_SHRINK;
		r->delta = r->old_len - r->new_len;
	} else {
		r->type = REMAP_EXPAND;
		r->delta = r->new_len - r->old_len;
	}
}

/* May the VMA's part become larger, or lie elsewhere. */
static int check_growth(const struct remap_desc *r)
{
	const struct vma *vma = r->vma;
	unsigned long pgoff;

	if (vma->vm_flags & (VM_DONTEXPAND | VM_PFNMAP))
		return -EFAULT;
	pgoff = vma->vm_pgoff + mm_pages(r->mm, r->addr - vma->vm_start);
	if (pgoff + mm_pages(r->mm, r->new_len) < pgoff)
		return -EINVAL;
	if (!mlock_future_ok(r->mm, vma->vm_flags, r->delta))
		return -EAGAIN;
	if (!may_expand_vm(r->mm, vma->vm_flags, mm_pages(r->mm, r->delta)))
		return -ENOMEM;
	return 0;
}

/*
 * A driver is told of each page that goes: the part is cut out before anything is done, so
 * that what moves is a whole VMA, and clearing the old place cannot fail.
 */
static int cut_out(struct remap_desc *r)
{
	int err = 0;

	if (!vma_has_close(r->vma))
		return 0;
	/* A part that is shrunk may reach beyond the VMA, and its length wrap. */
	if (r->old_len && r->old_len < r->vma->vm_end - r->addr)
		err = vma_split(r->vma, r->addr + r->old_len);
	if (!err && r->addr > r->vma->vm_start)
		err = vma_split(r->vma, r->addr);
	r->vma = vma_lookup(r->mm, r->addr);
	return err;
}

int remap_check_vma(struct remap_desc *r)
{
	const struct vma *vma = r->vma;
	unsigned long old_len = r->old_len;

	if (!vma)
		return -EFAULT;
	if (vma_sealed(vma))
		return -EPERM;
	set_type(r);
	if (!remap_has_target(r))
		r->new_addr = r->addr;
	if (r->type != REMAP_EXPAND && !remap_has_target(r))
		return 0;
	/* Nothing to move: another mapping of the same pages, which only shared memory has. */
	if (!old_len && !(vma->vm_flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if ((r->flags & MREMAP_DONTUNMAP) && (vma->vm_flags & (VM_DONTEXPAND | VM_PFNMAP)))
		return -EINVAL;
	if (r->type == REMAP_SHRINK)
		old_len = r->new_len;
	if (old_len > vma->vm_end - r->addr)
		return -EFAULT;
	if (r->new_len != old_len) {
		int err = check_growth(r);

		if (err)
			return err;
	}
	return cut_out(r);
}

static int shrink(struct remap_desc *r)
{
	struct unmap_desc d = {
		.mm = r->mm,
		.start = r->addr + r->new_len,
		.dead = r->dead,
		.keep_tables = remap_has_target(r),
		.reserve = remap_reserve(r),
	};
	int err;

	if (mm_span(r->mm, d.start, r->delta, &d.end) != SPAN_PAGES ||
	    d.end > r->mm->layout.task_size)
		return -EINVAL;
	err = unmap_gather(&d);
	return err || !d.first ? err : unmap_commit(&d);
}

/* The part ends where the VMA does, and what it would grow over is free and below the task size. */
static bool can_grow_here(const struct remap_desc *r)
{
	const struct vma *vma = r->vma;
	const unsigned long end = vma->vm_end + r->delta;

	return vma->vm_end - r->addr == r->old_len && end > vma->vm_end &&
	       end <= r->mm->layout.task_size && !vma_find(r->mm, vma->vm_end, end);
}

static int grow_here(struct remap_desc *r)
{
	struct vma *vma = r->vma;
	const unsigned long pages = mm_pages(r->mm, r->delta);
	struct vma_merge_desc merge = {
		.mm = r->mm,
		.prev = vma,
		.start = vma->vm_end,
		.end = vma->vm_end + r->delta,
		.pgoff = vma->vm_pgoff + vma_pages(vma),
		.flags = vma->vm_flags,
		.file = vma->vm_file,
		.special = vma->special,
		.anon_vma = vma->anon_vma,
		.dead = r->dead,
	};

	merge.next = vma_lookup(r->mm, merge.end);
	if ((vma->vm_flags & VM_ACCOUNT) && mm_charge(r->mm, pages))
		return -ENOMEM;
	vma_merge_plan(&merge);
	if (merge.target != vma || vma_merge_store(&merge)) {
		if (vma->vm_flags & VM_ACCOUNT)
			mm_uncharge(r->mm, pages);
		return -ENOMEM;
	}
	vma_merge_finish(&merge);
	vm_stat_account(r->mm, vma->vm_flags, (long)pages);
	if (vma->vm_flags & VM_LOCKED)
		r->mm->count.locked_vm += pages;
	return 0;
}

/* r->new_addr: as the target says, or anywhere. */
static int choose_place(struct remap_desc *r)
{
	const struct vma *vma = r->vma;
	const struct area_desc area = {
		.mm = r->mm,
		.file = vma->vm_file,
		.len = r->new_len,
		.addr = remap_has_target(r) ? r->new_addr : 0,
		.pgoff = vma->vm_pgoff + mm_pages(r->mm, r->addr - vma->vm_start),
		.flags = (r->flags & MREMAP_FIXED ? MAP_FIXED : 0) |
			 (vma->vm_flags & VM_MAYSHARE ? MAP_SHARED : 0),
	};
	const unsigned long addr = get_unmapped_area(&area);

	if (SAMARA_IS_ERR_VALUE(addr))
		return (int)addr;
	r->new_addr = addr;
	return 0;
}

/* What was added to locked memory is to be there when the call returns. */
static void note_growth(struct remap_desc *r, unsigned long flags)
{
	if (r->type != REMAP_EXPAND || !(flags & VM_LOCKED))
		return;
	r->populate_from = r->new_addr + r->old_len;
	r->populate_to = r->new_addr + r->new_len;
}

static unsigned long move_to(struct remap_desc *r)
{
	const unsigned long flags = r->vma->vm_flags;
	int err = choose_place(r);

	if (!err)
		err = move_vma(r);
	if (err)
		return (unsigned long)err;
	note_growth(r, flags);
	return r->new_addr;
}

unsigned long remap_here(struct remap_desc *r)
{
	const unsigned long flags = r->vma->vm_flags;
	int err = 0;

	switch (r->type) {
	case REMAP_NO_RESIZE:
		break;
	case REMAP_SHRINK:
		err = shrink(r);
		break;
	case REMAP_EXPAND:
		if (!can_grow_here(r))
			return r->flags & MREMAP_MAYMOVE ? move_to(r) : (unsigned long)-ENOMEM;
		err = grow_here(r);
		if (!err)
			note_growth(r, flags);
		break;
	}
	return err ? (unsigned long)err : r->addr;
}

/* Clear the destination; the VMA at addr may have been cut by that. */
static int clear_target(struct remap_desc *r)
{
	struct unmap_desc d = {
		.mm = r->mm,
		.start = r->new_addr,
		.end = r->new_addr + r->new_len,
		.dead = r->dead,
		.around = true,
	};
	int err = unmap_gather(&d);

	if (err)
		return err;
	if (!d.first) {
		/* Cutting the source first might make them others. */
		r->around.known = r->type != REMAP_SHRINK;
		r->around.prev = d.prev;
		r->around.next = d.next;
		return 0;
	}
	d.keep_tables = true;
	err = move_prepare_steps(r, 1 + (r->type == REMAP_SHRINK) + remap_clears_source(r));
	if (!err)
		err = unmap_commit(&d);
	if (err)
		return err;
	r->begun = true;
	r->vma = vma_lookup(r->mm, r->addr);
	return r->vma ? 0 : -EFAULT;
}

unsigned long remap_there(struct remap_desc *r)
{
	int err = 0;

	r->around.known = false;
	if (r->flags & MREMAP_FIXED)
		err = clear_target(r);
	if (!err && r->type == REMAP_SHRINK) {
		err = move_prepare_steps(r, 1 + remap_clears_source(r));
		if (!err)
			err = shrink(r);
		if (!err) {
			r->begun = true;
			r->old_len = r->new_len;
		}
	}
	if (err)
		return (unsigned long)err;
	if ((r->flags & MREMAP_DONTUNMAP) &&
	    !may_expand_vm(r->mm, r->vma->vm_flags, mm_pages(r->mm, r->old_len)))
		return (unsigned long)-ENOMEM;
	return move_to(r);
}
