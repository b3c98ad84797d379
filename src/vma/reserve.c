/* SPDX-License-Identifier: MIT */
/*
 * Stores into the tree of VMAs, and memory set aside for several of them.
 */
#include <errno.h>

#include "base/assert.h"
#include "vma/find.h"
#include "vma/reserve.h"

int vma_reserve_fill(struct vma_reserve *reserve, struct samara_mm *mm)
{
	for (reserve->n = 0; reserve->n < RESERVE_VMAS; reserve->n++) {
		reserve->spare[reserve->n] = vma_alloc(mm);
		if (!reserve->spare[reserve->n])
			goto drop;
	}
	mas_init(&reserve->mas, &mm->mt, 0);
	reserve->filled = !mas_expected_entries(&reserve->mas, RESERVE_ENTRIES);
	if (reserve->filled)
		return 0;
	mas_init(&reserve->mas, &mm->mt, 0);
drop:
	while (reserve->n)
		vma_free_unused(reserve->spare[--reserve->n]);
	return -ENOMEM;
}

void vma_reserve_drop(struct vma_reserve *reserve)
{
	if (!reserve->filled)
		return;
	while (reserve->n)
		vma_free_unused(reserve->spare[--reserve->n]);
	mas_destroy(&reserve->mas);
	reserve->filled = false;
}

struct vma *vma_take(struct samara_mm *mm, struct vma_reserve *reserve)
{
	if (reserve && reserve->n)
		return reserve->spare[--reserve->n];
	return vma_alloc(mm);
}

int vma_store_prepare(struct vma_store *s)
{
	s->prepared = false;
	if (s->reserve)
		return 0;
	mas_init(&s->mas, &s->mm->mt, s->start);
	mas_set_range(&s->mas, s->start, s->end - 1);
	if (mas_preallocate(&s->mas, s->entry, GFP_KERNEL))
		return -ENOMEM;
	s->prepared = true;
	return 0;
}

void vma_store_commit(struct vma_store *s)
{
	if (s->reserve) {
		mas_set_range(&s->reserve->mas, s->start, s->end - 1);
		mas_store(&s->reserve->mas, s->entry);
		BUG_ON(mas_is_err(&s->reserve->mas));
		return;
	}
	VM_WARN_ON(!s->prepared);
	mas_store_prealloc(&s->mas, s->entry);
	s->prepared = false;
}

void vma_store_cancel(struct vma_store *s)
{
	if (s->prepared)
		mas_destroy(&s->mas);
	s->prepared = false;
}

void vma_store_exact(struct samara_mm *mm, struct vma *entry)
{
	MAS_OF_RANGE(mas, mm, entry->vm_start, entry->vm_end);

	mas_store(&mas, entry);
	BUG_ON(mas_is_err(&mas));
}
