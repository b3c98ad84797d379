/* SPDX-License-Identifier: MIT */
/*
 * dup_mmap: fork.h has the steps.
 */
#include "process/fork.h"

#include <errno.h>

#include "base/assert.h"
#include "core/mms.h"
#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "process/exit.h"
#include "range/range.h"
#include "rmap/rmap.h"
#include "uffd/uffd.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/unmap.h"

#ifdef SAMARA_DEBUG
void (*fork_step_hook)(enum fork_step step, struct samara_mm *parent, struct samara_mm *child);

static void begin(enum fork_step step, struct samara_mm *parent, struct samara_mm *child)
{
	if (unlikely(fork_step_hook))
		fork_step_hook(step, parent, child);
}
#else
#define begin(step, parent, child) ((void)0)
#endif

/* A copy that is linked to vma's families and to one of its own, or NULL. */
static struct vma *copy_vma(const struct vma *vma, struct samara_mm *child,
			    struct uffd_events *forks)
{
	struct vma *copy = vma_alloc(child);

	if (!copy)
		return NULL;
	vma_copy_fields(copy, vma, vma->vm_start, vma->vm_end);
	copy->vm_flags &= ~VM_LOCKED_MASK;
	if (unlikely(copy->vm_flags & VM_UFFD_FLAGS) && uffd_fork_vma(forks, copy, vma))
		goto discard;
	if (!(vma->vm_flags & VM_WIPEONFORK) && anon_vma_fork(copy, vma))
		goto discard;
	if (vma_link_file(copy))
		goto discard;
	return copy;
discard:
	vma_discard(copy);
	return NULL;
}

static void copies_discard(struct vma *copies)
{
	while (copies) {
		struct vma *next = copies->dead_next;

		vma_discard(copies);
		copies = next;
	}
}

/* FORK_VMAS: copies in address order. Each VMA is write-locked, so no page fault runs in it. */
static int copies_make(struct samara_mm *parent, struct samara_mm *child, struct vma **first,
		       struct uffd_events *forks)
{
	MA_STATE(mas, &parent->mt, 0, 0);
	struct vma **at = first, *vma;

	*first = NULL;
	mas_for_each(&mas, vma, ULONG_MAX) {
		if (vma->vm_flags & VM_DONTCOPY)
			continue;
		vma_start_write(vma);
		*at = copy_vma(vma, child, forks);
		if (!*at) {
			copies_discard(*first);
			return -ENOMEM;
		}
		at = &(*at)->dead_next;
	}
	return 0;
}

/* FORK_CHARGE. VMA by VMA, as mode GUESS judges each on its own. */
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

/* FORK_PLACE. */
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
		vma_mark_attached(copy);
		maple_replace(&mas, copy);
		child->count.map_count++;
		vm_stat_account(child, copy->vm_flags, (long)vma_pages(copy));
	}
}

/* FORK_VMAS to FORK_PLACE. */
static int map_copy(struct samara_mm *parent, struct samara_mm *child, struct uffd_events *forks)
{
	struct vma *copies;
	int err;

	begin(FORK_VMAS, parent, child);
	err = copies_make(parent, child, &copies, forks);
	if (err)
		return err;
	begin(FORK_CHARGE, parent, child);
	err = copies_charge(parent, child, copies);
	if (err)
		goto discard;
	begin(FORK_TREE, parent, child);
	err = __mt_dup(&parent->mt, &child->mt, GFP_KERNEL);
	if (err)
		goto uncharge;
	begin(FORK_PLACE, parent, child);
	copies_place(child, copies);
	return 0;

uncharge:
	mm_uncharge(child, child->count.accounted);
discard:
	copies_discard(copies);
	return err;
}

/*
 * FORK_PAGES. *until becomes the end of the last VMA it visited. The parent's TLBs may hold shared
 * pages as writable, so these are flushed, also after a failure.
 */
static int pages_copy(struct samara_mm *parent, struct samara_mm *child, unsigned long *until)
{
	struct samara_notifier_range range = {
		.mm = parent,
		.end = parent->geo->task_size,
		.why = SAMARA_NOTIFY_PROTECT,
	};
	struct tlb_batch protected = { .mm = parent, .lost = TLB_LOST_WRITE };
	MA_STATE(from, &parent->mt, 0, 0);
	MA_STATE(to, &child->mt, 0, 0);
	struct vma *vma, *copy;
	int err = 0;

	begin(FORK_PAGES, parent, child);
	notifier_start(parent, &range);
	mas_for_each(&from, vma, ULONG_MAX) {
		if (vma->vm_flags & VM_DONTCOPY)
			continue;
		copy = mas_find(&to, ULONG_MAX);
		*until = copy->vm_end;
		if (vma->vm_flags & VM_WIPEONFORK)
			continue;
		err = copy_page_range(copy, vma, &protected);
		if (err)
			break;
	}
	tlb_batch_flush(&protected);
	notifier_end(parent, &range);
	return err;
}

/* After the child has exited: pages that were shared with it are exclusively the parent's again. */
static void pages_take_back(struct samara_mm *parent, unsigned long until)
{
	MA_STATE(mas, &parent->mt, 0, 0);
	struct vma *vma;

	mas_for_each(&mas, vma, until - 1)
		if (!(vma->vm_flags & (VM_DONTCOPY | VM_WIPEONFORK)))
			copy_undo(vma);
}

int dup_mmap(struct samara_mm *parent, struct samara_mm *child, struct uffd_events *forks)
{
	struct vma_dead dead = { 0 };
	unsigned long until = 0;
	int err;

	VM_WARN_ON(child->life.state != MM_BUILDING);
	mmap_write_lock(parent);
	/* No other thread knows the child yet, so none can hold its lock. */
	down_write_nested(&child->mmap_lock.sem);
	mm_join(child);
	mm_inherit(child, parent);
	/* What the reaper has taken from the parent must not be zeros in the child. */
	err = mm_pages_lost(parent) ? -ENOMEM : map_copy(parent, child, forks);
	if (!err && mm_has_tables(parent))
		err = pages_copy(parent, child, &until);
	if (!err) {
		begin(FORK_LIVE, parent, child);
		uffd_forks_join(forks);
		smp_store_release(&child->life.state, MM_LIVE);
	}
	mmap_write_unlock(child);
	if (err) {
		frames_returned += child->count.copied;
		exit_mmap(child, &dead);
		uffd_events_drop(forks);
		if (until)
			pages_take_back(parent, until);
	}
	mmap_write_unlock(parent);
	vma_dead_release(&dead);
	return err;
}
