/* SPDX-License-Identifier: MIT */
/*
 * brk: the end of the heap, in bytes; the heap's mapping follows in whole pages.
 */
#include <errno.h>
#include <sys/mman.h>

#include "syscall/call_door.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/grow.h"
#include "vma/layout.h"

/* RLIMIT_DATA counts the program's data and its heap together. */
static bool data_limit_ok(const struct samara_mm *mm, unsigned long brk)
{
	const struct mm_layout *l = &mm->layout;
	const unsigned long limit = mm->limits.rlim[MM_RLIMIT_DATA];

	return limit == ~0UL || (brk - l->start_brk) + (l->end_data - l->start_data) <= limit;
}

/* The range is free, and one page above it, and no stack's guard gap reaches into these. */
static bool room_above(struct samara_mm *mm, unsigned long from, unsigned long to)
{
	const unsigned long page = mm_page_size(mm);
	const struct vma *next = vma_find(mm, from, to + page + mm->geo->stack_gap);

	return !next || to + page <= vma_start_gap(mm, next);
}

static int grow(struct door *door, unsigned long from, unsigned long to)
{
	struct samara_mm *mm = door->mm;
	const struct area_desc area = {
		.mm = mm, .addr = from, .len = to - from, .flags = MAP_FIXED
	};
	const unsigned long addr = get_unmapped_area(&area);
	int err;

	if (SAMARA_IS_ERR_VALUE(addr))
		return (int)addr;
	if (!mlock_future_ok(mm, mm->limits.def_flags, to - from))
		return -EAGAIN;
	if (!room_above(mm, from, to))
		return -ENOMEM;
	err = grow_heap(mm, from, to, &door->dead);
	if (!err && (mm->limits.def_flags & VM_LOCKED))
		door->populate = (struct populate_later){ .start = from, .end = to };
	return err;
}

static int move_break(struct door *door, unsigned long brk)
{
	struct samara_mm *mm = door->mm;
	const unsigned long from = mm_page_align(mm, mm->layout.brk);
	const unsigned long to = mm_page_align(mm, brk);
	const struct vma *vma;

	if (brk < mm->layout.start_brk || !data_limit_ok(mm, brk))
		return -ENOMEM;
	if (from == to)
		return 0;
	if (brk > mm->layout.brk)
		return grow(door, from, to);
	vma = vma_find(mm, to, from);
	return vma ? unmap_range(mm, to, from, &door->dead) : -EINVAL;
}

unsigned long samara_brk(struct samara_mm *mm, unsigned long brk)
{
	const int refused = mm_call(mm);
	struct door door;
	unsigned long now;

	if (refused)
		return refused;
	door_enter(&door, mm);
	if (!move_break(&door, brk))
		mm->layout.brk = brk;
	now = mm->layout.brk;
	door_leave(&door);
	return now;
}
