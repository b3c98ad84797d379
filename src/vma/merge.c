/* SPDX-License-Identifier: MIT */
/*
 * When two neighbours may become one VMA, and making them one.
 *
 * Conditions, as /proc/PID/maps shows them on Linux 6.18:
 *  1. equal flags but for VM_STICKY, which all take on; equal file and kind;
 *     offsets that go on where the other ends
 *  2. none of VM_SPECIAL
 *  3. pages of one family: the same anon_vma, or only one side has any. If that
 *     side inherited its pages by fork, nothing untouched is merged into it,
 *     and it is not merged into anything untouched: its family is too large to
 *     take on strangers
 *  4. a VMA whose file has a close hook is never removed
 */
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "store/file.h"
#include "vma/find.h"
#include "vma/merge.h"
#include "vma/unmap.h"

/* The page after the part of prev that stays. */
static unsigned long prev_end_pgoff(const struct vma_merge_desc *d)
{
	return d->prev->vm_pgoff + mm_pages(d->mm, d->start - d->prev->vm_start);
}

/* The first page of the part of next that stays. */
static unsigned long next_pgoff(const struct vma_merge_desc *d)
{
	return d->next->vm_pgoff + mm_pages(d->mm, d->end - d->next->vm_start);
}

static bool same_kind(const struct vma_merge_desc *d, const struct vma *vma)
{
	return !((vma->vm_flags ^ d->flags) & ~VM_STICKY) && vma->vm_file == d->file &&
	       vma->special == d->special;
}

/* Condition 3 for the range and a neighbour. */
static bool families_fit(const struct vma_merge_desc *d, const struct vma *vma)
{
	if (vma->anon_vma == d->anon_vma)
		return true;
	if (!vma->anon_vma)
		return !(d->middle && vma_is_fork_child(d->middle)) &&
		       !(d->copied && vma_is_fork_child(d->copied));
	return !d->anon_vma && !vma_is_fork_child(vma);
}

static bool can_merge_left(const struct vma_merge_desc *d)
{
	return d->prev && same_kind(d, d->prev) && families_fit(d, d->prev) &&
	       prev_end_pgoff(d) == d->pgoff;
}

static bool can_merge_right(const struct vma_merge_desc *d)
{
	return d->next && !d->just_expand && same_kind(d, d->next) && families_fit(d, d->next) &&
	       d->pgoff + mm_pages(d->mm, d->end - d->start) == next_pgoff(d);
}

/* Each fits the range; do they fit each other? */
static bool sides_fit(const struct vma_merge_desc *d)
{
	return !d->prev->anon_vma || !d->next->anon_vma || d->prev->anon_vma == d->next->anon_vma;
}

static bool may_remove(const struct vma *vma)
{
	return !(vma->vm_file && file_is(vma->vm_file, SAMARA_FILE_CLOSE));
}

static enum merge_kind decide(const struct vma_merge_desc *d)
{
	bool left, right, whole_middle = false;

	if (d->flags & VM_SPECIAL)
		return MERGE_NONE;
	left = can_merge_left(d);
	right = can_merge_right(d);
	if (d->middle) {
		left = left && d->start == d->middle->vm_start;
		right = right && d->end == d->middle->vm_end;
		whole_middle = d->start == d->middle->vm_start && d->end == d->middle->vm_end;
	}
	if (left && right && !sides_fit(d))
		right = false;
	if (whole_middle && !may_remove(d->middle))
		return MERGE_NONE;
	/* A range inside one VMA: growing back over it removes nothing. */
	if (left && right && d->prev != d->next && !may_remove(d->next))
		right = false;
	if (left)
		return right ? MERGE_BOTH : MERGE_LEFT;
	return right ? MERGE_RIGHT : MERGE_NONE;
}

void vma_merge_plan(struct vma_merge_desc *d)
{
	d->kind = decide(d);
	d->target = NULL;
	if (d->kind == MERGE_NONE)
		return;
	d->target = d->kind == MERGE_RIGHT ? d->next : d->prev;
	d->new_start = d->kind == MERGE_RIGHT ? d->start : d->prev->vm_start;
	d->new_pgoff = d->kind == MERGE_RIGHT ? d->pgoff : d->prev->vm_pgoff;
	d->new_end = d->kind == MERGE_LEFT ? d->end : d->next->vm_end;
}

/*
 * The VMA whose family the target takes over, as it has none and there are pages of that; or
 * NULL.
 */
static const struct vma *family_from(const struct vma_merge_desc *d)
{
	if (d->target->anon_vma)
		return NULL;
	if (d->kind == MERGE_BOTH && d->next->anon_vma)
		return d->next;
	return d->middle ? d->middle : d->copied;
}

/* Part of middle stays. */
static bool middle_stays(const struct vma_merge_desc *d)
{
	return d->middle && (d->start != d->middle->vm_start || d->end != d->middle->vm_end);
}

int vma_merge_store(struct vma_merge_desc *d)
{
	const struct vma *from = family_from(d);
	const struct vma_store store = {
		.mm = d->mm,
		.start = d->new_start,
		.end = d->new_end,
		.entry = d->target,
		.above = d->above,
		.reserve = d->reserve,
	};
	int err;

	vma_start_write(d->target);
	if (middle_stays(d))
		vma_start_write(d->middle);
	if (from && anon_vma_clone(d->target, from, d->reserve ? &d->reserve->links : NULL))
		return -ENOMEM;
	err = vma_store(&store);
	if (err && from)
		anon_vma_unlink(d->target);
	return err;
}

static void remove_swallowed(struct vma_merge_desc *d, struct vma *vma)
{
	d->mm->count.map_count--;
	vma_leave(d->dead, vma);
}

/* What stays of middle. */
static void cut_middle(struct vma_merge_desc *d)
{
	struct vma *middle = d->middle;

	if (d->kind == MERGE_LEFT)
		vma_set_range(middle, d->end, middle->vm_end,
			      middle->vm_pgoff + mm_pages(d->mm, d->end - d->start));
	else
		vma_set_range(middle, middle->vm_start, d->start, middle->vm_pgoff);
}

static void adjust(struct vma_merge_desc *d)
{
	struct vma_adjust adjust = { .vma = { d->target, d->middle }, .n = 1 + middle_stays(d) };

	vma_adjust_begin(&adjust);
	vma_set_range(d->target, d->new_start, d->new_end, d->new_pgoff);
	if (adjust.n == 2)
		cut_middle(d);
	vma_adjust_end(&adjust);
}

void vma_merge_finish(struct vma_merge_desc *d)
{
	struct vma *next = d->kind == MERGE_BOTH && d->next != d->prev ? d->next : NULL;
	struct vma *middle = middle_stays(d) ? NULL : d->middle;

	mmap_assert_write_locked(d->mm);
	if (next)
		vma_mark_detached(next);
	if (middle)
		vma_mark_detached(middle);
	vma_set_flags(d->target, d->target->vm_flags | (d->flags & VM_STICKY));
	if (d->kind == MERGE_BOTH)
		vma_set_flags(d->target,
			      d->target->vm_flags | (d->next->vm_flags & VM_STICKY));
	adjust(d);
	if (next)
		remove_swallowed(d, next);
	if (middle)
		remove_swallowed(d, middle);
}
