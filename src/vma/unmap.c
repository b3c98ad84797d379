/* SPDX-License-Identifier: MIT */
/*
 * munmap (unmap.h has the picture), and splitting.
 */
#include <errno.h>

#include "base/assert.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/unmap.h"

struct vma *vma_dup_into(struct vma *copy, const struct vma *vma, unsigned long start,
			 unsigned long end)
{
	vma_set_range(copy, start, end,
		      vma->vm_pgoff + mm_pages(vma->vm_mm, start - vma->vm_start));
	copy->vm_flags = vma->vm_flags;
	copy->special = vma->special;
	copy->is_anon = vma->is_anon;
	if (vma->vm_file)
		copy->vm_file = file_get(vma->vm_file);
	anon_vma_clone(copy, vma);
	return copy;
}

struct vma *vma_dup_part(const struct vma *vma, unsigned long start, unsigned long end)
{
	struct vma *copy = vma_alloc(vma->vm_mm);

	return copy ? vma_dup_into(copy, vma, start, end) : NULL;
}

void vma_discard(struct vma *vma)
{
	if (!vma)
		return;
	file_put(vma->vm_file);
	anon_vma_unlink(vma);
	vma_free_unused(vma);
}

void vma_dead_release(struct vma_dead *dead)
{
	struct vma *vma;

	while ((vma = dead->first)) {
		dead->first = vma->dead_next;
		file_put(vma->vm_file);
		anon_vma_unlink(vma);
		vma_free(vma);
	}
}

int vma_split(struct vma *vma, unsigned long at)
{
	struct samara_mm *mm = vma->vm_mm;
	struct vma_store store = { .mm = mm, .start = at, .end = vma->vm_end };

	VM_WARN_ON(at <= vma->vm_start || at >= vma->vm_end);
	if (!vma_may_split(vma))
		return -EINVAL;
	store.entry = vma_dup_part(vma, at, vma->vm_end);
	if (!store.entry)
		return -ENOMEM;
	if (vma_store_prepare(&store)) {
		vma_discard(store.entry);
		return -ENOMEM;
	}
	vma_set_range(vma, vma->vm_start, at, vma->vm_pgoff);
	vma_store_commit(&store);
	mm->count.map_count++;
	return 0;
}

static void count_leaving(struct unmap_desc *d, const struct vma *vma)
{
	const unsigned long from = max(vma->vm_start, d->start), to = min(vma->vm_end, d->end);
	const unsigned long pages = mm_pages(d->mm, to - from), flags = vma->vm_flags;

	d->leaves.total_vm += pages;
	if (flags & VM_LOCKED)
		d->leaves.locked_vm += pages;
	if ((flags & VM_ACCOUNT) && !d->keep_accounted)
		d->leaves.accounted += pages;
	if (vm_is_exec(flags))
		d->leaves.exec_vm += pages;
	else if (vm_is_stack(flags))
		d->leaves.stack_vm += pages;
	else if (vm_is_data(flags))
		d->leaves.data_vm += pages;
	if (from == vma->vm_start && to == vma->vm_end)
		d->leaves.map_count++;
}

/* Whether the first VMA may be cut at start; Linux asks before it looks at any other. */
static int may_cut_head(const struct unmap_desc *d)
{
	const struct vma *vma = d->head;

	if (d->end < vma->vm_end && mm_map_full(d->mm))
		return -ENOMEM;
	if (vma_sealed(vma))
		return -EPERM;
	return vma_may_split(vma) ? 0 : -EINVAL;
}

/* What Linux cut before it met the VMA that stopped it stays cut. */
static int stopped(struct unmap_desc *d, int err)
{
	if (d->head && vma_split(d->head, d->start))
		return -ENOMEM;
	return err;
}

int unmap_gather(struct unmap_desc *d)
{
	MA_STATE(mas, &d->mm->mt, d->start, d->start);
	struct vma *vma = mas_find(&mas, d->end - 1);
	int err;

	mmap_assert_write_locked(d->mm);
	d->first = vma;
	if (vma && vma->vm_start < d->start) {
		d->head = vma;
		err = may_cut_head(d);
		if (err)
			return err;
	}
	for (; vma; vma = mas_find(&mas, d->end - 1)) {
		if (vma_sealed(vma))
			return stopped(d, -EPERM);
		if (vma->vm_end > d->end) {
			d->tail = vma;
			if (!vma_may_split(vma))
				return stopped(d, -EINVAL);
		}
		count_leaving(d, vma);
	}
	return 0;
}

int unmap_alloc_top(struct unmap_desc *d)
{
	struct vma *top;

	if (!d->head || d->head != d->tail)
		return 0;
	top = vma_take(d->mm, d->reserve);
	if (!top)
		return -ENOMEM;
	d->top = vma_dup_into(top, d->head, d->end, d->head->vm_end);
	return 0;
}

int unmap_prepare(struct unmap_desc *d)
{
	int err = unmap_alloc_top(d);

	if (err)
		return err;
	d->clear = (struct vma_store){
		.mm = d->mm,
		.start = d->start,
		.end = d->end,
		.reserve = d->reserve,
	};
	/* Whole entries are cleared without memory. */
	if (!d->head && !d->tail)
		return 0;
	err = vma_store_prepare(&d->clear);
	if (err)
		unmap_cancel(d);
	return err;
}

void unmap_cancel(struct unmap_desc *d)
{
	vma_discard(d->top);
	d->top = NULL;
	vma_store_cancel(&d->clear);
}

static void clear_range(struct unmap_desc *d)
{
	MAS_OF_RANGE(mas, d->mm, d->start, d->end);

	if (d->head || d->tail) {
		vma_store_commit(&d->clear);
		return;
	}
	mas_store(&mas, NULL);
	BUG_ON(mas_is_err(&mas));
}

void unmap_trim(struct unmap_desc *d)
{
	MA_STATE(mas, &d->mm->mt, d->start, d->start);
	struct vma *vma;

	mas_for_each(&mas, vma, d->end - 1)
		if (vma != d->head && vma != d->tail)
			vma_bury(d->dead, vma);
	if (d->tail && d->tail != d->head)
		vma_set_range(d->tail, d->end, d->tail->vm_end,
			      d->tail->vm_pgoff + mm_pages(d->mm, d->end - d->tail->vm_start));
	if (d->head)
		vma_set_range(d->head, d->head->vm_start, d->start, d->head->vm_pgoff);
}

void unmap_complete(struct unmap_desc *d)
{
	struct mm_counters *count = &d->mm->count;

	if (d->top) {
		/* What the entry of the upper part covers. */
		vma_store_exact(d->mm, d->top);
		count->map_count++;
		d->top = NULL;
	}
	count->total_vm -= d->leaves.total_vm;
	count->locked_vm -= d->leaves.locked_vm;
	count->exec_vm -= d->leaves.exec_vm;
	count->stack_vm -= d->leaves.stack_vm;
	count->data_vm -= d->leaves.data_vm;
	count->map_count -= d->leaves.map_count;
	mm_uncharge(d->mm, d->leaves.accounted);
}

void unmap_commit(struct unmap_desc *d)
{
	unmap_trim(d);
	clear_range(d);
	unmap_complete(d);
}

void unmap_leave_cut(struct unmap_desc *d)
{
	/* From above, so that head and tail may be one VMA. */
	if (d->tail && vma_split(d->tail, d->end))
		return;
	if (d->head && vma_split(d->head, d->start))
		return;
}

int unmap_range(struct samara_mm *mm, unsigned long start, unsigned long end, struct vma_dead *dead)
{
	struct unmap_desc d = { .mm = mm, .start = start, .end = end, .dead = dead };
	int err = unmap_gather(&d);

	if (err || !d.first)
		return err;
	err = unmap_prepare(&d);
	if (err)
		return err;
	unmap_commit(&d);
	return 0;
}

int do_munmap(struct samara_mm *mm, unsigned long start, unsigned long len, struct vma_dead *dead)
{
	unsigned long end;

	if (!mm_page_aligned(mm, start) || start > mm->layout.task_size ||
	    len > mm->layout.task_size - start)
		return -EINVAL;
	end = start + mm_page_align(mm, len);
	if (end == start)
		return -EINVAL;
	return unmap_range(mm, start, end, dead);
}
