/* SPDX-License-Identifier: MIT */
/*
 * dup_mmap: all that can fail first, then a child that is whole at once.
 *
 *   1. a copy of every VMA that is inherited, on a list         may fail
 *   2. the charge for them                                       may fail
 *   3. the tree, duplicated node by node: it holds parent's VMAs may fail
 *   ---- point of no return ----
 *   4. each entry replaced by its copy, or erased                in its slot: cannot
 *
 * Until 4 is over nobody else knows the child, so its entries need no mark that
 * says whose they are.
 */
#include <errno.h>

#include "base/assert.h"
#include "vma/account.h"
#include "vma/dup.h"
#include "vma/find.h"
#include "vma/unmap.h"

static struct vma *copy_vma_for_fork(const struct vma *vma, struct samara_mm *child)
{
	struct vma *copy = vma_dup_part(vma, vma->vm_start, vma->vm_end);

	if (!copy)
		return NULL;
	copy->vm_mm = child;
	copy->vm_flags &= ~VM_LOCKED_MASK;
	if (vma->vm_flags & VM_WIPEONFORK) {
		anon_vma_unlink(copy);
	} else if (copy->anon_vma) {
		/* New pages of the child are a family of their own. */
		struct anon_vma *own = anon_vma_alloc();

		if (!own) {
			vma_discard(copy);
			return NULL;
		}
		anon_vma_put(copy->anon_vma);
		copy->anon_vma = anon_vma_get(own);
		copy->anon_links++;
	}
	return copy;
}

static void copies_discard(struct vma *copies)
{
	while (copies) {
		struct vma *next = copies->dead_next;

		vma_discard(copies);
		copies = next;
	}
}

/* Step 1: copies in address order. */
static int copies_make(struct samara_mm *parent, struct samara_mm *child, struct vma **first)
{
	MA_STATE(mas, &parent->mt, 0, 0);
	struct vma **at = first, *vma;

	*first = NULL;
	mas_for_each(&mas, vma, ULONG_MAX) {
		if (vma->vm_flags & VM_DONTCOPY)
			continue;
		*at = copy_vma_for_fork(vma, child);
		if (!*at) {
			copies_discard(*first);
			return -ENOMEM;
		}
		at = &(*at)->dead_next;
	}
	return 0;
}

/* Step 2. VMA by VMA, as mode GUESS judges each on its own. */
static int copies_charge(struct samara_mm *parent, struct samara_mm *child,
			 const struct vma *copies)
{
	struct commit *commit = &child->machine->store->commit;

	for (const struct vma *vma = copies; vma; vma = vma->dead_next) {
		if (!(vma->vm_flags & VM_ACCOUNT))
			continue;
		if (commit_charge(commit, vma_pages(vma), mm_commit_who(parent))) {
			mm_uncharge(child, child->count.accounted);
			return -ENOMEM;
		}
		child->count.accounted += vma_pages(vma);
	}
	return 0;
}

/* Step 4. */
static void copies_place(struct samara_mm *child, struct vma *copies)
{
	MA_STATE(mas, &child->mt, 0, 0);
	struct vma *vma;

	mas_for_each(&mas, vma, ULONG_MAX) {
		struct vma *copy = copies;

		if (vma->vm_flags & VM_DONTCOPY) {
			mas_erase(&mas);
			continue;
		}
		copies = copy->dead_next;
		copy->dead_next = NULL;
		mas_store(&mas, copy);
		BUG_ON(mas_is_err(&mas));
		child->count.map_count++;
		vm_stat_account(child, copy->vm_flags, (long)vma_pages(copy));
	}
}

int dup_mmap(struct samara_mm *parent, struct samara_mm *child)
{
	struct vma *copies;
	int err;

	mmap_assert_write_locked(parent);
	mm_inherit(child, parent);
	err = copies_make(parent, child, &copies);
	if (err)
		return err;
	err = copies_charge(parent, child, copies);
	if (err)
		goto discard;
	err = __mt_dup(&parent->mt, &child->mt, GFP_KERNEL);
	if (err)
		goto uncharge;
	copies_place(child, copies);
	return 0;

uncharge:
	mm_uncharge(child, child->count.accounted);
discard:
	copies_discard(copies);
	return err;
}

void exit_mmap(struct samara_mm *mm, struct vma_dead *dead)
{
	MA_STATE(mas, &mm->mt, 0, 0);
	struct vma *vma;

	mmap_assert_write_locked(mm);
	mas_for_each(&mas, vma, ULONG_MAX)
		vma_bury(dead, vma);
	mt_clear_in_rcu(&mm->mt); /* nobody else is left */
	__mt_destroy(&mm->mt);
	mm_uncharge(mm, mm->count.accounted);
	mm->count = (struct mm_counters){ 0 };
}
