/* SPDX-License-Identifier: MIT */
/*
 * mremap: arguments in Linux's order; then one VMA's part, or with
 * MREMAP_FIXED and unchanged length as many VMAs as the range holds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "access/populate.h"
#include "store/file.h"
#include "syscall/door.h"
#include "vma/find.h"
#include "vma/remap.h"
#include "vma/touch.h"

static bool overlaps(const struct remap_desc *r)
{
	return r->addr < r->new_addr + r->new_len && r->new_addr < r->addr + r->old_len;
}

static int check_arguments(const struct remap_desc *r)
{
	const struct samara_mm *mm = r->mm;

	if (r->flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP))
		return -EINVAL;
	if (!mm_page_aligned(mm, r->addr) || !r->new_len || r->new_len > mm->layout.task_size)
		return -EINVAL;
	if (!remap_has_target(r))
		return 0;
	if (r->new_addr > mm->layout.task_size - r->new_len || !mm_page_aligned(mm, r->new_addr) ||
	    !(r->flags & MREMAP_MAYMOVE) ||
	    ((r->flags & MREMAP_DONTUNMAP) && r->old_len != r->new_len) || overlaps(r))
		return -EINVAL;
	/* Both places may be cut in three while it is under way. */
	if (mm->count.map_count + 2 >= mm->machine->max_map_count - 3)
		return -ENOMEM;
	return 0;
}

static unsigned long remap_one(struct remap_desc *r)
{
	int err = remap_check_vma(r);

	if (err)
		return (unsigned long)err;
	return remap_has_target(r) ? remap_there(r) : remap_here(r);
}

/* /dev/zero chooses addresses itself: such a mapping moves alone or not at all. */
static bool moves_alone(const struct vma *vma)
{
	return vma->vm_file && file_is(vma->vm_file, SAMARA_FILE_ZERO);
}

/*
 * The range with all its VMAs and the holes between them goes to new_addr. What
 * was moved before a failure stays moved.
 */
static unsigned long remap_many(struct remap_desc *r)
{
	const unsigned long start = r->addr, end = r->addr + r->old_len;
	unsigned long target = r->new_addr, last_end = 0, ret = (unsigned long)-EFAULT, at;
	bool seen = false;
	struct vma *vma;

	for (at = start; at < end && (vma = vma_find(r->mm, at, end)); at = last_end) {
		unsigned long res;

		if (!seen && vma->vm_start > start)
			return (unsigned long)-EFAULT;
		if (moves_alone(vma) && (seen || vma->vm_end < end))
			return (unsigned long)-EFAULT;
		if (seen)
			target += vma->vm_start - last_end;
		last_end = vma->vm_end;
		r->vma = vma;
		r->addr = max(vma->vm_start, start);
		r->old_len = r->new_len = min(end, last_end) - r->addr;
		r->new_addr = target;
		res = remap_one(r);
		vma_reserve_drop(&r->reserve);
		r->begun = false;
		if (SAMARA_IS_ERR_VALUE(res))
			return res;
		if (!seen)
			ret = res;
		target = res + r->new_len;
		seen = true;
	}
	return ret;
}

static unsigned long do_mremap(struct remap_desc *r)
{
	int err;

	r->old_len = mm_page_align(r->mm, r->old_len);
	r->new_len = mm_page_align(r->mm, r->new_len);
	err = check_arguments(r);
	if (err)
		return (unsigned long)err;
	if ((r->flags & MREMAP_FIXED) && r->old_len == r->new_len)
		return remap_many(r);
	r->vma = vma_lookup(r->mm, r->addr);
	return remap_one(r);
}

unsigned long samara_mremap(struct samara_mm *mm, unsigned long old_addr, unsigned long old_len,
			    unsigned long new_len, int flags, unsigned long new_addr)
{
	const int refused = mm_call(mm);
	struct door door;
	struct remap_desc r = {
		.mm = mm,
		.addr = old_addr,
		.old_len = old_len,
		.new_len = new_len,
		.new_addr = new_addr,
		.flags = flags,
		.dead = &door.dead,
	};
	unsigned long ret;

	if (refused)
		return refused;
	door_enter(&door, mm);
	ret = do_mremap(&r);
	if (!SAMARA_IS_ERR_VALUE(ret)) {
		touch_at_by_policy(mm, ret);
		populate_quietly(mm, r.populate_from, r.populate_to);
	}
	vma_reserve_drop(&r.reserve);
	door_leave(&door);
	return ret;
}
