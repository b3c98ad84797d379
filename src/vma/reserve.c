/* SPDX-License-Identifier: MIT */
/*
 * Stores into the tree of VMAs, and memory set aside for several of them.
 */
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "vma/reserve.h"

int vma_reserve_fill(struct vma_reserve *reserve, struct samara_mm *mm, unsigned int stores,
		     unsigned int links)
{
	reserve->mm = mm;
	while (reserve->n < stores) {
		struct vma *vma = vma_alloc(mm);

		if (!vma)
			goto drop;
		reserve->spare[reserve->n++] = vma;
	}
	if (link_stock_add(&reserve->links, stores * links) ||
	    maple_reserve_fill(&mm->mt, stores, reserve->nodes))
		goto drop;
	return 0;
drop:
	vma_reserve_drop(reserve);
	return -ENOMEM;
}

void vma_reserve_drop(struct vma_reserve *reserve)
{
	while (reserve->n)
		vma_free(reserve->spare[--reserve->n]);
	link_stock_drop(&reserve->links);
	if (reserve->mm)
		maple_reserve_drop(&reserve->mm->mt, reserve->nodes);
}

struct vma *vma_take(struct samara_mm *mm, struct vma_reserve *reserve)
{
	if (reserve && reserve->n)
		return reserve->spare[--reserve->n];
	return vma_alloc(mm);
}

/* mas_store() would also look up the first entry of the range and the new place of its cursor. */
int vma_store(const struct vma_store *s)
{
	const struct maple_request request = {
		.first = s->start,
		.last = s->end - 1,
		.entry = s->entry,
		.above = s->above,
		.reserve = s->reserve ? s->reserve->nodes : NULL,
	};
	const bool new_entry = s->entry && !vma_is_attached(s->entry);
	int err;

	BUG_ON(s->start >= s->end || s->end > s->mm->geo->task_size);
	if (new_entry)
		vma_mark_attached(s->entry);
	if (s->above)
		vma_mark_attached(s->above);
	err = maple_writer_store(&s->mm->writer, &request);
	BUG_ON(err && s->reserve);
	if (likely(!err))
		return 0;
	/* No lookup has seen them. */
	if (new_entry)
		vma_mark_detached(s->entry);
	if (s->above)
		vma_mark_detached(s->above);
	return err;
}

void vma_erase(struct samara_mm *mm, unsigned long start)
{
	BUG_ON(!maple_writer_erase(&mm->writer, start));
}

struct vma *vma_seek(struct samara_mm *mm, unsigned long addr)
{
	mmap_assert_write_locked(mm);
	return maple_writer_seek(&mm->writer, addr);
}
