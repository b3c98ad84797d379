/* SPDX-License-Identifier: MIT */
/*
 * mremap of one VMA's part: checks and steps. remap.h has the picture, move.c the move.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "uffd/uffd.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/layout.h"
#include "vma/merge.h"
#include "vma/move.h"
#include "vma/unmap.h"

static void set_type(struct remap_plan *plan)
{
	const unsigned long old_len = plan->req->old_len, new_len = plan->req->new_len;

	if (old_len == new_len) {
		plan->type = REMAP_NO_RESIZE;
	} else if (old_len > new_len) {
		plan->type = REMAP_SHRINK;
		plan->delta = old_len - new_len;
	} else {
		plan->type = REMAP_EXPAND;
		plan->delta = new_len - old_len;
	}
}

/* Whether the VMA's part may grow, or move. 0 or -errno. */
static int check_growth(const struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	const struct vma *vma = plan->vma;
	unsigned long pgoff;

	if (vma->vm_flags & (VM_DONTEXPAND | VM_PFNMAP))
		return -EFAULT;
	pgoff = vma_pgoff_at(vma, req->addr);
	if (pgoff + mm_pages(req->mm, req->new_len) < pgoff)
		return -EINVAL;
	if (!mlock_future_ok(req->mm, vma->vm_flags, plan->delta))
		return -EAGAIN;
	if (!may_expand_vm(req->mm, vma->vm_flags, mm_pages(req->mm, plan->delta)))
		return -ENOMEM;
	return 0;
}

/*
 * A driver's close operation sees whole VMAs. So the part is cut out before the first step: a whole
 * VMA moves, and clearing the old place cannot fail.
 */
static int cut_out(struct remap_plan *plan)
{
	const unsigned long addr = plan->req->addr, old_len = plan->old_len;
	int err = 0;

	if (!vma_has_close(plan->vma))
		return 0;
	/* A part that is shrunk may reach beyond the VMA, and its length wrap. */
	if (old_len && old_len < plan->vma->vm_end - addr)
		err = vma_split(plan->vma, addr + old_len);
	if (!err && addr > plan->vma->vm_start)
		err = vma_split(plan->vma, addr);
	plan->vma = vma_lookup(plan->req->mm, addr);
	return err;
}

/* The checks on plan->vma and the limits. 0 or -errno. */
static int check_vma(struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	const struct vma *vma = plan->vma;
	unsigned long old_len = req->old_len;
	int err = 0;

	if (!vma)
		return -EFAULT;
	if (vma_sealed(vma))
		return -EPERM;
	set_type(plan);
	if (plan->type != REMAP_EXPAND && !remap_has_target(req))
		return 0;
	/* old_len 0 makes a second mapping of the same pages: for shared memory only. */
	if (!old_len && !(vma->vm_flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if ((req->flags & MREMAP_DONTUNMAP) && (vma->vm_flags & (VM_DONTEXPAND | VM_PFNMAP)))
		return -EINVAL;
	if (plan->type == REMAP_SHRINK)
		old_len = req->new_len;
	if (old_len > vma->vm_end - req->addr)
		return -EFAULT;
	if (req->new_len != old_len)
		err = check_growth(plan);
	return err ? err : cut_out(plan);
}

static int shrink(struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	struct unmap_request rest = {
		.mm = req->mm,
		.start = req->addr + req->new_len,
		.keep_tables = remap_has_target(req),
		.untold = remap_has_target(req),
		.reserve = remap_reserve(plan),
	};
	struct unmap_plan unmap;
	int err;

	if (mm_span(req->mm, rest.start, plan->delta, &rest.end) != SPAN_PAGES ||
	    rest.end > req->mm->layout.task_size)
		return -EINVAL;
	err = unmap_gather(&rest, &unmap);
	return err || !unmap.first ? err : unmap_apply(&unmap, req->dead);
}

/* The part ends where the VMA ends, and the room above is free and below the task size. */
static bool can_grow_here(const struct remap_plan *plan)
{
	struct samara_mm *mm = plan->req->mm;
	const struct vma *vma = plan->vma;
	const unsigned long end = vma->vm_end + plan->delta;

	return vma->vm_end - plan->req->addr == plan->old_len && end > vma->vm_end &&
	       end <= mm->layout.task_size && !vma_find(mm, vma->vm_end, end);
}

static int grow_here(const struct remap_plan *plan)
{
	struct samara_mm *mm = plan->req->mm;
	struct vma *vma = plan->vma;
	const unsigned long pages = mm_pages(mm, plan->delta), end = vma->vm_end + plan->delta;
	const struct vma_merge_request req = {
		.mm = mm,
		.prev = vma,
		.next = vma_lookup(mm, end),
		.start = vma->vm_end,
		.end = end,
		.pgoff = vma_pgoff_at(vma, vma->vm_end),
		.traits = vma_traits(vma),
	};
	struct vma_merge_plan merge;

	if ((vma->vm_flags & VM_ACCOUNT) && mm_charge(mm, pages))
		return -ENOMEM;
	vma_merge_plan(&req, &merge);
	if (merge.target != vma || vma_merge_store(&merge, NULL, NULL)) {
		if (vma->vm_flags & VM_ACCOUNT)
			mm_uncharge(mm, pages);
		return -ENOMEM;
	}
	vma_merge_commit(&merge, plan->req->dead);
	vm_stat_account(mm, vma->vm_flags, (long)pages);
	if (vma->vm_flags & VM_LOCKED)
		mm->count.locked_vm += pages;
	return 0;
}

/* plan->new_addr: as the target says, or anywhere. */
static int choose_place(struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	const struct vma *vma = plan->vma;
	const struct area_desc area = {
		.mm = req->mm,
		.file = vma->vm_file,
		.len = req->new_len,
		.addr = remap_has_target(req) ? req->new_addr : 0,
		.pgoff = vma_pgoff_at(vma, req->addr),
		.flags = (req->flags & MREMAP_FIXED ? MAP_FIXED : 0) |
			 (vma->vm_flags & VM_MAYSHARE ? MAP_SHARED : 0),
	};
	const unsigned long addr = get_unmapped_area(&area);

	if (SAMARA_IS_ERR_VALUE(addr))
		return (int)addr;
	plan->new_addr = addr;
	return 0;
}

static int move_to(struct remap_plan *plan)
{
	int err = choose_place(plan);

	return err ? err : move_vma(plan);
}

/* Without a target: in place if possible, else anywhere if MREMAP_MAYMOVE. */
static int remap_here(struct remap_plan *plan)
{
	switch (plan->type) {
	case REMAP_SHRINK:
		return shrink(plan);
	case REMAP_EXPAND:
		if (can_grow_here(plan))
			return grow_here(plan);
		return plan->req->flags & MREMAP_MAYMOVE ? move_to(plan) : -ENOMEM;
	default:
		return 0;
	}
}

/* Clears the destination. This may cut the VMA at addr. */
static int clear_target(struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	const struct unmap_request target = {
		.mm = req->mm,
		.start = req->new_addr,
		.end = req->new_addr + req->new_len,
		.around = true,
		.keep_tables = true,
	};
	struct unmap_plan unmap;
	int err = unmap_gather(&target, &unmap);

	if (err)
		return err;
	if (!unmap.first) {
		plan->around = unmap.around;
		/* Shrinking the source comes first, and may change its neighbours. */
		plan->around.known = plan->type != REMAP_SHRINK;
		return 0;
	}
	err = move_reserve(plan, 1 + (plan->type == REMAP_SHRINK) + remap_clears_source(plan));
	if (!err)
		err = unmap_apply(&unmap, req->dead);
	if (err)
		return err;
	plan->begun = true;
	plan->vma = vma_lookup(req->mm, req->addr);
	return plan->vma ? 0 : -EFAULT;
}

/* With a target. MREMAP_FIXED unmaps what is there first. */
static int remap_there(struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	int err = req->flags & MREMAP_FIXED ? clear_target(plan) : 0;

	if (!err && plan->type == REMAP_SHRINK) {
		err = move_reserve(plan, 1 + remap_clears_source(plan));
		if (!err)
			err = shrink(plan);
		if (!err) {
			plan->begun = true;
			if (plan->told)
				plan->events->tail_gone = true;
			plan->old_len = req->new_len;
		}
	}
	if (err)
		return err;
	if ((req->flags & MREMAP_DONTUNMAP) &&
	    !may_expand_vm(req->mm, plan->vma->vm_flags, mm_pages(req->mm, plan->old_len)))
		return -ENOMEM;
	return move_to(plan);
}

/* What was done is told, also by a request that failed at a later step. */
static __cold void hand_over_events(struct remap_plan *plan, int err)
{
	struct remap_events *events = plan->events;
	struct uffd_events *to = &plan->req->dead->events;

	if (!err)
		uffd_events_move(to, &events->remap);
	if (events->tail_gone)
		uffd_events_move(to, &events->tail);
	if (!err)
		uffd_events_move(to, &events->source);
	uffd_events_drop(&events->remap);
	uffd_events_drop(&events->tail);
	uffd_events_drop(&events->source);
}

int vma_remap(const struct remap_request *req, struct vma *vma, struct remap_result *result)
{
	const bool locked = vma && (vma->vm_flags & VM_LOCKED);
	struct remap_events events;
	struct remap_plan plan = {
		.req = req,
		.events = &events,
		.vma = vma,
		.old_len = req->old_len,
		.new_addr = remap_has_target(req) ? req->new_addr : req->addr,
	};
	int err = check_vma(&plan);

	if (!err)
		err = remap_has_target(req) ? remap_there(&plan) : remap_here(&plan);
	vma_reserve_drop(&plan.reserve);
	if (unlikely(plan.told))
		hand_over_events(&plan, err);
	if (err)
		return err;
	*result = (struct remap_result){ .addr = plan.new_addr };
	if (locked && plan.type == REMAP_EXPAND) {
		result->populate_from = plan.new_addr + req->old_len;
		result->populate_to = plan.new_addr + req->new_len;
	}
	return 0;
}
