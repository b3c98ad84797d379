/* SPDX-License-Identifier: MIT */
/*
 * When two neighbours may become one VMA, and making them one.
 *
 * Conditions, as /proc/PID/maps shows them on Linux 6.18:
 *  1. equal flags but for VM_STICKY, which the merged VMA takes from each; equal file, special
 *     mapping and userfaultfd; one's offsets continue the other's
 *  2. none of VM_SPECIAL
 *  3. one anon_vma, or only one side has any. A VMA that has inherited pages by fork merges with no
 *     VMA that has no anon_vma: this keeps families small, on which rmap walks
 *  4. a VMA whose file has a close hook is never removed
 */
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "store/file.h"
#include "vma/find.h"
#include "vma/merge.h"
#include "vma/unmap.h"

static bool same_kind(const struct vma_merge_request *req, const struct vma *vma)
{
	return !((vma->vm_flags ^ req->traits.flags) & ~VM_STICKY) &&
	       vma->vm_file == req->traits.file && vma->rare.special == req->traits.special &&
	       vma->rare.uffd == req->traits.uffd;
}

/* Condition 3 for the range and a neighbour. */
static bool families_fit(const struct vma_merge_request *req, const struct vma *vma)
{
	if (vma->anon_vma == req->traits.anon_vma)
		return true;
	if (!vma->anon_vma)
		return !(req->middle && vma_is_fork_child(req->middle)) &&
		       !(req->copied && vma_is_fork_child(req->copied));
	return !req->traits.anon_vma && !vma_is_fork_child(vma);
}

static bool can_merge_left(const struct vma_merge_request *req)
{
	return req->prev && same_kind(req, req->prev) && families_fit(req, req->prev) &&
	       vma_pgoff_at(req->prev, req->start) == req->pgoff;
}

static bool can_merge_right(const struct vma_merge_request *req)
{
	return req->next && !req->just_expand && same_kind(req, req->next) &&
	       families_fit(req, req->next) &&
	       vma_pgoff_at(req->next, req->end) ==
		       req->pgoff + mm_pages(req->mm, req->end - req->start);
}

/* Both neighbours fit the range. Whether they fit each other. */
static bool sides_fit(const struct vma_merge_request *req)
{
	return !req->prev->anon_vma || !req->next->anon_vma ||
	       req->prev->anon_vma == req->next->anon_vma;
}

static bool may_remove(const struct vma *vma)
{
	return !(vma->vm_file && file_is(vma->vm_file, SAMARA_FILE_CLOSE));
}

static enum merge_kind decide(const struct vma_merge_request *req)
{
	bool left, right, whole_middle = false;

	if (req->traits.flags & VM_SPECIAL)
		return MERGE_NONE;
	left = can_merge_left(req);
	right = can_merge_right(req);
	if (req->middle) {
		left = left && req->start == req->middle->vm_start;
		right = right && req->end == req->middle->vm_end;
		whole_middle =
			req->start == req->middle->vm_start && req->end == req->middle->vm_end;
	}
	if (left && right && !sides_fit(req))
		right = false;
	if (whole_middle && !may_remove(req->middle))
		return MERGE_NONE;
	/* prev == next: the VMA grows back over part of itself, and none is removed. */
	if (left && right && req->prev != req->next && !may_remove(req->next))
		right = false;
	if (left)
		return right ? MERGE_BOTH : MERGE_LEFT;
	return right ? MERGE_RIGHT : MERGE_NONE;
}

void vma_merge_plan(const struct vma_merge_request *req, struct vma_merge_plan *plan)
{
	const enum merge_kind kind = decide(req);

	*plan = (struct vma_merge_plan){ .req = req, .kind = kind };
	if (kind == MERGE_NONE)
		return;
	plan->target = kind == MERGE_RIGHT ? req->next : req->prev;
	plan->start = kind == MERGE_RIGHT ? req->start : req->prev->vm_start;
	plan->pgoff = kind == MERGE_RIGHT ? req->pgoff : req->prev->vm_pgoff;
	plan->end = kind == MERGE_LEFT ? req->end : req->next->vm_end;
}

/* The VMA whose families target joins; NULL: target has an anon_vma already, or none has one. */
static const struct vma *family_from(const struct vma_merge_plan *plan)
{
	const struct vma_merge_request *req = plan->req;

	if (plan->target->anon_vma)
		return NULL;
	if (plan->kind == MERGE_BOTH && req->next->anon_vma)
		return req->next;
	return req->middle ? req->middle : req->copied;
}

/* Whether part of middle stays. */
static bool middle_stays(const struct vma_merge_request *req)
{
	const struct vma *middle = req->middle;

	return middle && (req->start != middle->vm_start || req->end != middle->vm_end);
}

int vma_merge_store(const struct vma_merge_plan *plan, struct vma *above,
		    struct vma_reserve *reserve)
{
	const struct vma *from = family_from(plan);
	const struct vma_store store = {
		.mm = plan->req->mm,
		.start = plan->start,
		.end = plan->end,
		.entry = plan->target,
		.above = above,
		.reserve = reserve,
	};
	int err;

	vma_start_write(plan->target);
	if (middle_stays(plan->req))
		vma_start_write(plan->req->middle);
	if (from && anon_vma_clone(plan->target, from, reserve ? &reserve->links : NULL))
		return -ENOMEM;
	err = vma_store(&store);
	if (err && from)
		anon_vma_unlink(plan->target);
	return err;
}

/* middle shrinks to the part that stays. */
static void cut_middle(const struct vma_merge_plan *plan)
{
	const struct vma_merge_request *req = plan->req;
	struct vma *middle = req->middle;

	if (plan->kind == MERGE_LEFT)
		vma_set_range(middle, req->end, middle->vm_end,
			      middle->vm_pgoff + mm_pages(req->mm, req->end - req->start));
	else
		vma_set_range(middle, middle->vm_start, req->start, middle->vm_pgoff);
}

static void adjust(const struct vma_merge_plan *plan, bool cuts_middle)
{
	struct vma_adjust adjust = { .vma = { plan->target, plan->req->middle },
				     .n = 1 + cuts_middle };

	vma_adjust_begin(&adjust);
	vma_set_range(plan->target, plan->start, plan->end, plan->pgoff);
	if (cuts_middle)
		cut_middle(plan);
	vma_adjust_end(&adjust);
}

struct vma *vma_merge_commit(const struct vma_merge_plan *plan, struct vma_dead *dead)
{
	const struct vma_merge_request *req = plan->req;
	const bool cuts_middle = middle_stays(req);
	struct vma *gone[] = {
		plan->kind == MERGE_BOTH && req->next != req->prev ? req->next : NULL,
		cuts_middle ? NULL : req->middle,
	};
	struct vma *target = plan->target;
	unsigned long sticky = req->traits.flags;

	mmap_assert_write_locked(req->mm);
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
		if (gone[i])
			vma_mark_detached(gone[i]);
	if (plan->kind == MERGE_BOTH)
		sticky |= req->next->vm_flags;
	vma_set_flags(target, target->vm_flags | (sticky & VM_STICKY));
	adjust(plan, cuts_middle);
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
		if (!gone[i])
			continue;
		req->mm->count.map_count--;
		vma_leave(dead, gone[i]);
	}
	return target;
}
