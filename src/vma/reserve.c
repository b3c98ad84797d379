/* SPDX-License-Identifier: MIT */
/*
 * Stores into the tree of VMAs, and memory set aside for several of them.
 */
#include <errno.h>

#include "base/assert.h"
#include "maple/store.h"
#include "vma/reserve.h"

int vma_reserve_fill(struct vma_reserve *reserve, struct samara_mm *mm)
{
	struct ma_state mas;

	for (reserve->n = 0; reserve->n < RESERVE_VMAS; reserve->n++) {
		reserve->spare[reserve->n] = vma_alloc(mm);
		if (!reserve->spare[reserve->n])
			goto drop;
	}
	mas_init(&mas, &mm->mt, 0);
	if (mas_expected_entries(&mas, RESERVE_ENTRIES))
		goto drop;
	reserve->mm = mm;
	reserve->nodes[0] = mas.prealloc[0];
	reserve->nodes[1] = mas.prealloc[1];
	reserve->filled = true;
	return 0;
drop:
	while (reserve->n)
		vma_free_unused(reserve->spare[--reserve->n]);
	return -ENOMEM;
}

void vma_reserve_drop(struct vma_reserve *reserve)
{
	struct ma_state mas;

	if (!reserve->filled)
		return;
	while (reserve->n)
		vma_free_unused(reserve->spare[--reserve->n]);
	mas_init(&mas, &reserve->mm->mt, 0);
	mas.prealloc[0] = reserve->nodes[0];
	mas.prealloc[1] = reserve->nodes[1];
	mas_destroy(&mas);
	reserve->filled = false;
}

struct vma *vma_take(struct samara_mm *mm, struct vma_reserve *reserve)
{
	if (reserve && reserve->n)
		return reserve->spare[--reserve->n];
	return vma_alloc(mm);
}

/*
 * The tree's own entrance, not mas_store(): that also finds out what was there
 * and where it stands afterwards, which costs a walk each and is known here.
 */
int vma_store(const struct vma_store *s)
{
	struct maple_store op;
	int err;

	store_begin(&op, &s->mm->mt, s->start, s->end - 1, s->entry);
	if (s->reserve)
		op.reserve = s->reserve->nodes;
	err = maple_store(&op);
	BUG_ON(err && s->reserve);
	return err;
}

void vma_erase(struct samara_mm *mm, unsigned long start)
{
	struct maple_store op;

	store_begin(&op, &mm->mt, start, start, NULL);
	BUG_ON(!maple_erase(&op));
}

void vma_store_exact(struct samara_mm *mm, struct vma *entry)
{
	const struct vma_store store = { mm, entry->vm_start, entry->vm_end, entry, NULL };

	BUG_ON(vma_store(&store));
}
