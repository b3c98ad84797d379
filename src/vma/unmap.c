/* SPDX-License-Identifier: MIT */
/*
 * munmap (unmap.h has the picture), and splitting.
 */
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/pages.h"
#include "vma/unmap.h"

void vma_copy_fields(struct vma *copy, const struct vma *vma, unsigned long start,
		     unsigned long end)
{
	vma_set_range(copy, start, end,
		      vma->vm_pgoff + mm_pages(vma->vm_mm, start - vma->vm_start));
	copy->vm_flags = vma->vm_flags;
	copy->special = vma->special;
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
	vma_bury(dead, vma);
}

bool vma_has_close(const struct vma *vma)
{
	return vma->vm_file && inode_is_device(vma->vm_file->inode) &&
	       vma->vm_file->inode->ops.close;
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

static void count_leaving(struct unmap_desc *d, struct vma *vma)
{
	const unsigned long from = max(vma->vm_start, d->start), to = min(vma->vm_end, d->end);
	const unsigned long pages = mm_pages(d->mm, to - from), flags = vma->vm_flags;

	counters_add(&d->leaves, flags, pages);
	if (flags & VM_LOCKED)
		d->leaves.locked_vm += pages;
	if ((flags & VM_ACCOUNT) && !d->keep_accounted)
		d->leaves.accounted += pages;
	if (vma == d->head || vma == d->tail)
		return;
	d->leaves.map_count++;
	vma->dead_next = d->doomed;
	d->doomed = vma;
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

/* The first VMA of the range, or the one behind it; the cursor can go on from there. */
static struct vma *gather_first(struct unmap_desc *d, struct ma_state *mas)
{
	struct vma *vma = d->at_start ? d->at_start : vma_seek(d->mm, d->start);

	if (d->around && d->start)
		d->prev = vma_lookup(d->mm, d->start - 1);
	if (!vma)
		vma = vma_find(d->mm, d->start, d->end + 1);
	mas_init(mas, &d->mm->mt, vma ? vma->vm_end : d->start);
	return vma;
}

static int gather(struct unmap_desc *d)
{
	struct ma_state mas;
	struct vma *vma = gather_first(d, &mas);
	int err;

	mmap_assert_write_locked(d->mm);
	if (vma && vma->vm_start >= d->end) {
		d->next = vma;
		return 0;
	}
	d->first = vma;
	if (vma && vma->vm_start < d->start) {
		d->head = vma;
		err = may_cut_head(d);
		if (err)
			return err;
	}
	while (vma && vma->vm_start < d->end) {
		if (vma_sealed(vma))
			return stopped(d, -EPERM);
		if (vma->vm_end > d->end) {
			d->tail = vma;
			if (!vma_may_split(vma))
				return stopped(d, -EINVAL);
		}
		count_leaving(d, vma);
		if (vma->vm_end + !d->around > d->end)
			break;
		vma = mas_find(&mas, d->end);
	}
	d->next = vma;
	return 0;
}

/* A driver is told of each page that goes, so its mappings are cut before, and leave whole. */
static int cut_edges(struct unmap_desc *d)
{
	int err = 0;

	if (d->tail && vma_has_close(d->tail))
		err = vma_split(d->tail, d->end);
	if (!err && d->head && vma_has_close(d->head))
		err = vma_split(d->head, d->start);
	return err;
}

int unmap_gather(struct unmap_desc *d)
{
	struct unmap_desc asked = *d;
	int err = d->start < d->end ? gather(d) : -EINVAL;

	if (err || !((d->head && vma_has_close(d->head)) || (d->tail && vma_has_close(d->tail))))
		return err;
	err = cut_edges(d);
	if (err)
		return err;
	asked.at_start = NULL;
	*d = asked;
	return gather(d);
}

int unmap_alloc_top(struct unmap_desc *d)
{
	if (d->head)
		vma_start_write(d->head);
	if (d->tail)
		vma_start_write(d->tail);
	if (!d->head || d->head != d->tail)
		return 0;
	d->top = vma_dup_part(d->head, d->end, d->head->vm_end, d->reserve);
	return d->top ? 0 : -ENOMEM;
}

void unmap_trim(struct unmap_desc *d)
{
	struct vma *vma;

	for (vma = d->doomed; vma; vma = vma->dead_next)
		vma_mark_detached(vma);
	/* Nobody faults in the range any more. */
	pages_unmap(d);
	while ((vma = d->doomed)) {
		d->doomed = vma->dead_next;
		vma_leave(d->dead, vma);
	}
	if (d->tail && d->tail != d->head)
		vma_adjust_range(d->tail, d->end, d->tail->vm_end,
				 d->tail->vm_pgoff + mm_pages(d->mm, d->end - d->tail->vm_start));
	if (d->head)
		vma_adjust_range(d->head, d->head->vm_start, d->start, d->head->vm_pgoff);
}

void unmap_complete(struct unmap_desc *d)
{
	struct mm_counters *count = &d->mm->count;

	count->map_count += !!d->top;
	d->top = NULL;
	count->total_vm -= d->leaves.total_vm;
	count->locked_vm -= d->leaves.locked_vm;
	count->exec_vm -= d->leaves.exec_vm;
	count->stack_vm -= d->leaves.stack_vm;
	count->data_vm -= d->leaves.data_vm;
	count->map_count -= d->leaves.map_count;
	mm_uncharge(d->mm, d->leaves.accounted);
}

int unmap_commit(struct unmap_desc *d)
{
	struct vma_store clear = {
		.mm = d->mm,
		.start = d->start,
		.end = d->end,
		.reserve = d->reserve,
	};

	if (unmap_alloc_top(d))
		return -ENOMEM;
	clear.above = d->top;
	if (!d->head && !d->tail && d->leaves.map_count == 1) {
		vma_erase(d->mm, d->first->vm_start);
	} else if (vma_store(&clear)) {
		BUG_ON(!d->head && !d->tail); /* whole entries are cleared without memory */
		vma_discard(d->top);
		d->top = NULL;
		return -ENOMEM;
	}
	unmap_trim(d);
	unmap_complete(d);
	return 0;
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

	return err || !d.first ? err : unmap_commit(&d);
}

int do_munmap(struct samara_mm *mm, unsigned long start, unsigned long len, struct vma_dead *dead)
{
	unsigned long end;

	if (!mm_page_aligned(mm, start) || mm_span(mm, start, len, &end) != SPAN_PAGES ||
	    end > mm->layout.task_size)
		return -EINVAL;
	return unmap_range(mm, start, end, dead);
}
