/* SPDX-License-Identifier: MIT */
/*
 * munmap (unmap.h has the picture), and splitting.
 */
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "uffd/uffd.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/pages.h"
#include "vma/unmap.h"

void vma_copy_fields(struct vma *copy, const struct vma *vma, unsigned long start,
		     unsigned long end)
{
	vma_set_range(copy, start, end, vma_pgoff_at(vma, start));
	copy->vm_flags = vma->vm_flags;
	copy->rare.special = vma->rare.special;
	copy->rare.uffd = vma->rare.uffd;
	copy->is_anon = vma->is_anon;
	if (vma->vm_file)
		copy->vm_file = file_get(vma->vm_file);
}

struct vma *vma_dup_part(const struct vma *vma, unsigned long start, unsigned long end,
			 struct vma_reserve *reserve)
{
	struct vma *copy = vma_take(vma->vm_mm, reserve);

	if (!copy)
		return NULL;
	vma_copy_fields(copy, vma, start, end);
	if (vma_links_copy(copy, vma, reserve ? &reserve->links : NULL)) {
		vma_discard(copy);
		return NULL;
	}
	return copy;
}

void vma_discard(struct vma *vma)
{
	if (!vma)
		return;
	vma_unlink(vma);
	file_put(vma->vm_file);
	vma_free(vma);
}

void vma_leave(struct vma_dead *dead, struct vma *vma)
{
	vma_unlink(vma);
	vma->dead_next = dead->first;
	dead->first = vma;
}

bool vma_has_close(const struct vma *vma)
{
	return vma->vm_file && inode_is_device(vma->vm_file->inode) &&
	       vma->vm_file->inode->device.ops.close;
}

static void tell_driver(const struct vma *vma)
{
	const struct samara_vma_desc gone = {
		.file = vma->vm_file,
		.start = vma->vm_start,
		.end = vma->vm_end,
		.pgoff = vma->vm_pgoff,
		.vm_flags = vma->vm_flags,
	};

	device_close(&gone);
}

void vma_dead_release(struct vma_dead *dead)
{
	struct vma *vma;

	while ((vma = dead->first)) {
		dead->first = vma->dead_next;
		if (vma_has_close(vma))
			tell_driver(vma);
		file_put(vma->vm_file);
		vma_free(vma);
	}
	if (unlikely(dead->events.first))
		uffd_events_deliver(&dead->events, NULL);
}

int vma_split(struct vma *vma, unsigned long at)
{
	struct samara_mm *mm = vma->vm_mm;
	struct vma_store store = { .mm = mm, .start = at, .end = vma->vm_end };

	if (at <= vma->vm_start || at >= vma->vm_end || !vma_may_split(vma))
		return -EINVAL;
	store.entry = vma_dup_part(vma, at, vma->vm_end, NULL);
	if (!store.entry)
		return -ENOMEM;
	vma_start_write(vma);
	if (vma_store(&store)) {
		vma_discard(store.entry);
		return -ENOMEM;
	}
	vma_adjust_range(vma, vma->vm_start, at, vma->vm_pgoff);
	mm->count.map_count++;
	return 0;
}

static void count_leaving(struct unmap_plan *plan, struct vma *vma)
{
	const struct unmap_request *req = plan->req;
	const unsigned long from = max(vma->vm_start, req->start), to = min(vma->vm_end, req->end);
	const unsigned long pages = mm_pages(req->mm, to - from), flags = vma->vm_flags;

	plan->flags |= flags;
	counters_add(&plan->leaves, flags, pages);
	if (flags & VM_LOCKED)
		plan->leaves.locked_vm += pages;
	if (flags & VM_ACCOUNT)
		plan->leaves.accounted += pages;
	if (vma == plan->head || vma == plan->tail)
		return;
	plan->leaves.map_count++;
	vma->dead_next = plan->doomed;
	plan->doomed = vma;
}

/* Whether head may be cut at start. Linux checks this before it looks at later VMAs. */
static int may_cut_head(const struct unmap_plan *plan)
{
	const struct vma *vma = plan->head;

	if (plan->req->end < vma->vm_end && mm_map_full(plan->req->mm))
		return -ENOMEM;
	if (vma_sealed(vma))
		return -EPERM;
	return vma_may_split(vma) ? 0 : -EINVAL;
}

/* A later VMA refuses with err. Linux has cut head by then. */
static int stopped(const struct unmap_plan *plan, int err)
{
	if (plan->head && vma_split(plan->head, plan->req->start))
		return -ENOMEM;
	return err;
}

/* The first VMA of the range, or the next one above; mas continues from there. */
static struct vma *gather_first(struct unmap_plan *plan, struct vma *at_start, struct ma_state *mas)
{
	const struct unmap_request *req = plan->req;
	struct vma *vma = at_start ? at_start : vma_seek(req->mm, req->start);

	plan->around.known = req->around;
	if (req->around && req->start)
		plan->around.prev = vma_lookup(req->mm, req->start - 1);
	if (!vma)
		vma = vma_find(req->mm, req->start, req->end + 1);
	mas_init(mas, &req->mm->mt, vma ? vma->vm_end : req->start);
	return vma;
}

static int gather(const struct unmap_request *req, struct vma *at_start, struct unmap_plan *plan)
{
	struct ma_state mas;
	struct vma *vma;
	int err;

	mmap_assert_write_locked(req->mm);
	*plan = (struct unmap_plan){ .req = req };
	vma = gather_first(plan, at_start, &mas);
	if (vma && vma->vm_start >= req->end) {
		plan->around.next = vma;
		return 0;
	}
	plan->first = vma;
	if (vma && vma->vm_start < req->start) {
		plan->head = vma;
		err = may_cut_head(plan);
		if (err)
			return err;
	}
	while (vma && vma->vm_start < req->end) {
		if (vma_sealed(vma))
			return stopped(plan, -EPERM);
		if (vma->vm_end > req->end) {
			plan->tail = vma;
			if (!vma_may_split(vma))
				return stopped(plan, -EINVAL);
		}
		count_leaving(plan, vma);
		if (vma->vm_end + !req->around > req->end)
			break;
		vma = mas_find(&mas, req->end);
	}
	plan->around.next = vma;
	return 0;
}

/* A driver's close operation sees whole VMAs, so these are cut before gathering. */
static bool cut_by_driver(const struct vma *vma)
{
	return vma && vma_has_close(vma);
}

int unmap_gather(const struct unmap_request *req, struct unmap_plan *plan)
{
	int err = req->start < req->end ? gather(req, req->at_start, plan) : -EINVAL;

	if (err || !(cut_by_driver(plan->head) || cut_by_driver(plan->tail)))
		return err;
	if (cut_by_driver(plan->tail))
		err = vma_split(plan->tail, req->end);
	if (!err && cut_by_driver(plan->head))
		err = vma_split(plan->head, req->start);
	return err ? err : gather(req, NULL, plan);
}

/* A VMA of the range is registered. 0 or -ENOMEM. */
static __cold int prepare_events(struct unmap_plan *plan)
{
	const struct unmap_request *req = plan->req;

	if (req->untold)
		return 0;
	return uffd_unmap_prepare(&plan->events, req->mm, req->start, req->end);
}

int unmap_prepare(struct unmap_plan *plan)
{
	struct vma *head = plan->head;

	if (unlikely(plan->flags & VM_UFFD_FLAGS) && prepare_events(plan))
		return -ENOMEM;
	if (head)
		vma_start_write(head);
	if (plan->tail)
		vma_start_write(plan->tail);
	if (!head || head != plan->tail)
		return 0;
	plan->top = vma_dup_part(head, plan->req->end, head->vm_end, plan->req->reserve);
	if (plan->top)
		return 0;
	unmap_abort(plan);
	return -ENOMEM;
}

void unmap_abort(struct unmap_plan *plan)
{
	vma_discard(plan->top);
	plan->top = NULL;
	uffd_events_drop(&plan->events);
}

/* Faults that a handler was told of are over, where their mapping goes. */
static void forget_posts(const struct unmap_request *req, const struct vma *vma)
{
	if (vma && unlikely(vma->rare.uffd))
		uffd_posts_drop(vma->rare.uffd, req->start, req->end);
}

/* The doomed leave, head and tail shrink. */
static void trim(struct unmap_plan *plan, struct vma_dead *dead)
{
	const struct unmap_request *req = plan->req;
	struct vma *head = plan->head, *tail = plan->tail, *vma;

	for (vma = plan->doomed; vma; vma = vma->dead_next)
		vma_mark_detached(vma);
	/* No page fault is in the range from here on. */
	pages_unmap(plan);
	forget_posts(req, head);
	forget_posts(req, tail);
	while ((vma = plan->doomed)) {
		plan->doomed = vma->dead_next;
		forget_posts(req, vma);
		vma_leave(dead, vma);
	}
	if (tail && tail != head)
		vma_adjust_range(tail, req->end, tail->vm_end, vma_pgoff_at(tail, req->end));
	if (head)
		vma_adjust_range(head, head->vm_start, req->start, head->vm_pgoff);
}

void unmap_complete(struct unmap_plan *plan, struct vma_dead *dead)
{
	const struct mm_counters *leaves = &plan->leaves;
	struct mm_counters *count;

	if (!plan->first)
		return;
	trim(plan, dead);
	if (unlikely(plan->events.first))
		uffd_events_move(&dead->events, &plan->events);
	count = &plan->req->mm->count;
	count->map_count += !!plan->top - leaves->map_count;
	count->total_vm -= leaves->total_vm;
	count->locked_vm -= leaves->locked_vm;
	count->exec_vm -= leaves->exec_vm;
	count->stack_vm -= leaves->stack_vm;
	count->data_vm -= leaves->data_vm;
	if (!plan->req->keep_accounted)
		mm_uncharge(plan->req->mm, leaves->accounted);
}

int unmap_apply(struct unmap_plan *plan, struct vma_dead *dead)
{
	const struct unmap_request *req = plan->req;
	struct vma_store clear = {
		.mm = req->mm,
		.start = req->start,
		.end = req->end,
		.reserve = req->reserve,
	};

	if (unmap_prepare(plan))
		return -ENOMEM;
	clear.above = plan->top;
	/* The point of no return. Whole entries are cleared without memory. */
	if (!plan->head && !plan->tail && plan->leaves.map_count == 1) {
		vma_erase(req->mm, plan->first->vm_start);
	} else if (vma_store(&clear)) {
		BUG_ON(!plan->head && !plan->tail);
		unmap_abort(plan);
		return -ENOMEM;
	}
	unmap_complete(plan, dead);
	return 0;
}

void unmap_leave_cut(const struct unmap_plan *plan)
{
	/* From above, so that head and tail may be one VMA. Refused: that edge stays uncut. */
	if (plan->tail && vma_split(plan->tail, plan->req->end))
		return;
	if (plan->head && vma_split(plan->head, plan->req->start))
		return;
}

int unmap_range(struct samara_mm *mm, unsigned long start, unsigned long end, struct vma_dead *dead)
{
	const struct unmap_request req = { .mm = mm, .start = start, .end = end };
	struct unmap_plan plan;
	int err = unmap_gather(&req, &plan);

	return err || !plan.first ? err : unmap_apply(&plan, dead);
}

int do_munmap(struct samara_mm *mm, unsigned long start, unsigned long len, struct vma_dead *dead)
{
	unsigned long end;

	if (!mm_page_aligned(mm, start) || mm_span(mm, start, len, &end) != SPAN_PAGES ||
	    end > mm->layout.task_size)
		return -EINVAL;
	return unmap_range(mm, start, end, dead);
}
