/* SPDX-License-Identifier: MIT */
/*
 * mlock, mlock2, munlock, mlockall, munlockall: flags, RLIMIT_MEMLOCK, and faulting pages in.
 */
#include <errno.h>
#include <sys/mman.h>

#include "range/range.h"
#include "syscall/call_door.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/modify.h"

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

/*
 * Linux 6.18 counts a part's pages in an int, which overflows from 2^31 pages (8 TiB) on. To unlock
 * it negates that int. The negative of INT_MIN, 2^31 pages, is INT_MIN: they are taken from the
 * total a second time. added: pages, or their negative.
 */
static void count_locked(struct samara_mm *mm, unsigned long added)
{
	const unsigned long counted = (unsigned long)(long)(int)added;

	mm->count.locked_vm += counted;
	mm->count.locked_astray += counted - added;
}

/* Give one VMA's part the lock flags of walk->arg. */
static int step(const struct vma_walk *walk, struct vma_part *part)
{
	const unsigned long old = part->vma->vm_flags;
	const unsigned long flags = (old & ~VM_LOCKED_MASK) | walk->arg;
	const unsigned long pages = mm_pages(walk->mm, part->end - part->start);
	int err;

	if (flags == old || !vm_lockable(old))
		return 0;
	err = vma_modify_flags(part, flags, walk->dead);
	if (err)
		return err;
	if (!(flags & VM_LOCKED)) {
		count_locked(walk->mm, -pages);
		range_munlock(part->vma, part->start, part->end);
	} else if (!(old & VM_LOCKED)) {
		count_locked(walk->mm, pages);
	}
	return 0;
}

/* Pages of the range that are locked already: they do not count twice. */
static unsigned long locked_pages(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	unsigned long pages = 0;
	struct vma *vma;

	for (; start < end && (vma = vma_find(mm, start, end)); start = vma->vm_end)
		if (vma->vm_flags & VM_LOCKED)
			pages += mm_pages(mm, min(vma->vm_end, end) - max(vma->vm_start, start));
	return pages;
}

static bool within_limit(struct samara_mm *mm, unsigned long start, unsigned long end,
			 enum span span)
{
	const unsigned long limit = mm_pages(mm, mm->limits.rlim[MM_RLIMIT_MEMLOCK]);
	const unsigned long wanted = mm->count.locked_vm + mm_pages(mm, end - start);

	if (wanted <= limit || mm_capable(mm, SAMARA_CAP_IPC_LOCK))
		return true;
	return wanted - locked_pages(mm, start, span == SPAN_WRAPS ? ULONG_MAX : end) <= limit;
}

static int change_range(const struct vma_walk *walk, enum span span)
{
	return span == SPAN_WRAPS ? -EINVAL : vma_walk_strict(walk);
}

/* The range in whole pages. addr need not be aligned, and addr + len may wrap. */
static enum span set_range(struct vma_walk *walk, unsigned long addr, unsigned long len)
{
	walk->start = addr & mm_page_mask(walk->mm);
	return mm_span(walk->mm, walk->start, len + (addr - walk->start), &walk->end);
}

/* The range is locked, and its pages come in. mlock(2) has other names for what fails then. */
static int bring_in(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	const int err = populate_range(mm, start, end);

	if (err == -ENOMEM || err == -EAGAIN)
		return -EAGAIN;
	return err ? -ENOMEM : 0;
}

static int lock(struct samara_mm *mm, unsigned long addr, unsigned long len, unsigned long flags)
{
	struct door door;
	struct vma_walk walk = { .mm = mm, .step = step, .dead = &door.dead, .arg = flags };
	const enum span span = set_range(&walk, addr, len);
	int err = -ENOMEM;

	door_enter(&door, mm);
	if (!can_do_mlock(mm))
		err = -EPERM;
	else if (within_limit(mm, walk.start, walk.end, span))
		err = change_range(&walk, span);
	door_leave(&door);
	return err ? err : bring_in(mm, walk.start, walk.end);
}

int samara_mlock(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	const int refused = mm_call(mm);

	return refused ? refused : lock(mm, addr, len, VM_LOCKED);
}

int samara_mlock2(struct samara_mm *mm, unsigned long addr, unsigned long len, int flags)
{
	const int refused = mm_call(mm);

	if (refused)
		return refused;
	if (flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	return lock(mm, addr, len, VM_LOCKED | (flags & MLOCK_ONFAULT ? VM_LOCKONFAULT : 0));
}

int samara_munlock(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	struct door door;
	struct vma_walk walk = { .mm = mm, .step = step, .dead = &door.dead };
	const enum span span = set_range(&walk, addr, len);
	int err = mm_call(mm);

	if (err)
		return err;
	door_enter(&door, mm);
	err = change_range(&walk, span);
	door_leave(&door);
	return err;
}

/* Every mapping. One that cannot be changed is skipped. */
static void change_all(struct samara_mm *mm, unsigned long flags, struct vma_dead *dead)
{
	struct vma_walk walk = { .mm = mm, .step = step, .dead = dead, .arg = flags };
	struct vma *vma;

	for (unsigned long at = 0; (vma = vma_find_from(mm, at));) {
		walk.start = vma->vm_start;
		walk.end = at = vma->vm_end;
		(void)!vma_walk_strict(&walk);
	}
}

int samara_mlockall(struct samara_mm *mm, int flags)
{
	const unsigned long onfault = flags & MCL_ONFAULT ? VM_LOCKONFAULT : 0;
	struct door door;
	int err = mm_call(mm);

	if (err)
		return err;
	if (!flags || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || flags == MCL_ONFAULT)
		return -EINVAL;
	door_enter(&door, mm);
	if (!can_do_mlock(mm)) {
		err = -EPERM;
	} else if ((flags & MCL_CURRENT) && !mm_capable(mm, SAMARA_CAP_IPC_LOCK) &&
		   mm->count.total_vm > mm_pages(mm, mm->limits.rlim[MM_RLIMIT_MEMLOCK])) {
		err = -ENOMEM;
	} else {
		mm_set_def_flags(mm, flags & MCL_FUTURE ? VM_LOCKED | onfault : 0);
		if (flags & MCL_CURRENT) {
			change_all(mm, VM_LOCKED | onfault, &door.dead);
			door.populate = (struct populate_later){ .end = mm->layout.task_size };
		}
	}
	door_leave(&door);
	return err;
}

int samara_munlockall(struct samara_mm *mm)
{
	const int refused = mm_call(mm);
	struct door door;

	if (refused)
		return refused;
	door_enter(&door, mm);
	mm_set_def_flags(mm, 0);
	change_all(mm, 0, &door.dead);
	door_leave(&door);
	return 0;
}
