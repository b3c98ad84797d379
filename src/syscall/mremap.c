/* SPDX-License-Identifier: MIT */
/*
 * mremap: argument checks in Linux's order. Then one VMA's part is resized or moved; or, with
 * MREMAP_FIXED and the same length, all VMAs of the range.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "store/file.h"
#include "syscall/call_door.h"
#include "vma/find.h"
#include "vma/remap.h"
#include "vma/touch.h"

static bool overlaps(const struct remap_request *req)
{
	return req->addr < req->new_addr + req->new_len && req->new_addr < req->addr + req->old_len;
}

static int check_arguments(const struct remap_request *req)
{
	const struct samara_mm *mm = req->mm;

	if (req->flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP))
		return -EINVAL;
	if (!mm_page_aligned(mm, req->addr) || !req->new_len || req->new_len > mm->layout.task_size)
		return -EINVAL;
	if (!remap_has_target(req))
		return 0;
	if (req->new_addr > mm->layout.task_size - req->new_len ||
	    !mm_page_aligned(mm, req->new_addr) || !(req->flags & MREMAP_MAYMOVE) ||
	    ((req->flags & MREMAP_DONTUNMAP) && req->old_len != req->new_len) || overlaps(req))
		return -EINVAL;
	/* Source and target may each be cut in three meanwhile. */
	if (mm->count.map_count + 2 >= mm->machine->max_map_count - 3)
		return -ENOMEM;
	return 0;
}

/*
 * Moves alone or not at all: /dev/zero, which chooses addresses itself, and registered memory, of
 * which one REMAP is told.
 */
static bool moves_alone(const struct vma *vma)
{
	if (vma->vm_flags & VM_UFFD_FLAGS)
		return true;
	return vma->vm_file && file_is(vma->vm_file, SAMARA_FILE_ZERO);
}

/*
 * The range with all its VMAs and the holes between them goes to new_addr. What was moved before a
 * failure stays moved. The result is the first VMA's.
 */
static int remap_many(const struct remap_request *req, struct remap_result *result)
{
	const unsigned long start = req->addr, end = start + req->old_len;
	struct remap_request one = *req;
	unsigned long last_end = 0;
	bool seen = false;
	struct vma *vma;

	for (unsigned long at = start; at < end && (vma = vma_find(req->mm, at, end));
	     at = last_end) {
		struct remap_result moved;
		int err;

		if (!seen && vma->vm_start > start)
			return -EFAULT;
		if (moves_alone(vma) && (seen || vma->vm_end < end))
			return -EFAULT;
		if (seen)
			one.new_addr += vma->vm_start - last_end;
		last_end = vma->vm_end;
		one.addr = max(vma->vm_start, start);
		one.old_len = one.new_len = min(end, last_end) - one.addr;
		err = vma_remap(&one, vma, &moved);
		if (err)
			return err;
		if (!seen)
			*result = moved;
		one.new_addr = moved.addr + one.new_len;
		seen = true;
	}
	return seen ? 0 : -EFAULT;
}

static int do_mremap(const struct remap_request *req, struct remap_result *result)
{
	int err = check_arguments(req);

	if (err)
		return err;
	if ((req->flags & MREMAP_FIXED) && req->old_len == req->new_len)
		return remap_many(req, result);
	return vma_remap(req, vma_lookup(req->mm, req->addr), result);
}

unsigned long samara_mremap(struct samara_mm *mm, unsigned long old_addr, unsigned long old_len,
			    unsigned long new_len, int flags, unsigned long new_addr)
{
	struct door door;
	const struct remap_request req = {
		.mm = mm,
		.addr = old_addr,
		.old_len = mm_page_align(mm, old_len),
		.new_len = mm_page_align(mm, new_len),
		.new_addr = new_addr,
		.flags = flags,
		.dead = &door.dead,
	};
	struct remap_result result;
	int err = mm_call(mm);

	if (err)
		return err;
	door_enter(&door, mm);
	err = do_mremap(&req, &result);
	if (!err) {
		if (mm->limits.touch == SAMARA_TOUCH_EAGER)
			touch_by_policy(vma_lookup(mm, result.addr));
		door.populate.start = result.populate_from;
		door.populate.end = result.populate_to;
	}
	door_leave(&door);
	return err ? (unsigned long)err : result.addr;
}
