/* SPDX-License-Identifier: MIT */
/*
 * Stores into the tree of VMAs, and memory set aside for several of them.
 */
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "maple/store.h"
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
	    reserve_for(&mm->mt, stores, reserve->nodes))
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
		reserve_drop(&reserve->mm->mt, reserve->nodes);
}

struct vma *vma_take(struct samara_mm *mm, struct vma_reserve *reserve)
{
	if (reserve && reserve->n)
		return reserve->spare[--reserve->n];
	return vma_alloc(mm);
}

/*
 * The tree's own entrance, not mas_store(): that also finds out what was there
 * and where it stands afterwards, which costs a walk each and is known here. All
 * changes to an mm's tree go through its one struct maple_store, which finds its
 * way from where the last one, or a vma_seek(), was.
 */
int vma_store(const struct vma_store *s)
{
	struct maple_store *op = &s->mm->store;
	const bool new_entry = s->entry && !vma_is_attached(s->entry);
	int err;

	BUG_ON(s->start >= s->end || s->end > s->mm->geo->task_size);
	if (new_entry)
		vma_mark_attached(s->entry);
	if (s->above)
		vma_mark_attached(s->above);
	store_next(op, &s->mm->mt, s->start, s->end - 1, s->entry);
	op->above = s->above;
	if (s->reserve)
		op->reserve = s->reserve->nodes;
	err = maple_store(op);
	BUG_ON(err && s->reserve);
	if (likely(!err))
		return 0;
	/* Nobody has seen them. */
	if (new_entry)
		vma_mark_detached(s->entry);
	if (s->above)
		vma_mark_detached(s->above);
	return err;
}

void vma_erase(struct samara_mm *mm, unsigned long start)
{
	store_next(&mm->store, &mm->mt, start, start, NULL);
	BUG_ON(!maple_erase(&mm->store));
}

struct vma *vma_seek(struct samara_mm *mm, unsigned long addr)
{
	mmap_assert_write_locked(mm);
	store_next(&mm->store, &mm->mt, addr, addr, NULL);
	if (!root_is_node(mm->mt.ma_root))
		return NULL; /* no VMA begins at 0 and ends there */
	edge_find_left(&mm->store);
	return edge_entry(&mm->store);
}
