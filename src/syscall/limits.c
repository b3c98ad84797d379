/* SPDX-License-Identifier: MIT */
/*
 * Limits, capabilities, layout, overcommit and touch policy.
 */
#include <errno.h>
#include <sys/resource.h>

#include "base/sized.h"
#include "store/file.h"
#include "syscall/call_door.h"
#include "syscall/install.h"
#include "vma/find.h"

static int rlimit_index(int resource)
{
	switch (resource) {
	case RLIMIT_AS:
		return MM_RLIMIT_AS;
	case RLIMIT_DATA:
		return MM_RLIMIT_DATA;
	case RLIMIT_STACK:
		return MM_RLIMIT_STACK;
	case RLIMIT_MEMLOCK:
		return MM_RLIMIT_MEMLOCK;
	default:
		return -EINVAL;
	}
}

int samara_set_rlimit(struct samara_mm *mm, int resource, unsigned long cur, unsigned long max)
{
	const int refused = mm_call(mm);
	const int i = rlimit_index(resource);

	if (refused)
		return refused;
	if (i < 0 || cur > max)
		return -EINVAL;
	mmap_write_lock(mm);
	mm->limits.rlim[i] = cur;
	mm->limits.rlim_max[i] = max;
	mmap_write_unlock(mm);
	return 0;
}

int samara_set_caps(struct samara_mm *mm, unsigned int caps)
{
	const int refused = mm_call(mm);

	if (refused)
		return refused;
	mmap_write_lock(mm);
	mm->limits.caps = caps;
	mmap_write_unlock(mm);
	return 0;
}

int samara_set_overcommit(struct samara_machine *machine, enum samara_overcommit mode)
{
	const int refused = gate_check(machine->gate);

	if (refused)
		return refused;
	WRITE_ONCE(machine->store->commit.mode, (int)mode);
	return 0;
}

long samara_committed_pages(const struct samara_machine *machine)
{
	const int refused = gate_check(machine->gate);

	return refused ? refused : READ_ONCE(machine->store->commit.pages);
}

int samara_set_touch_policy(struct samara_mm *mm, enum samara_touch_policy policy)
{
	const int refused = mm_call(mm);

	if (refused)
		return refused;
	mmap_write_lock(mm);
	mm->limits.touch = policy;
	mmap_write_unlock(mm);
	return 0;
}

/* 0 keeps what is there. */
static void take(unsigned long *field, unsigned long value)
{
	if (value)
		*field = value;
}

static void take_places(struct mm_layout *to, const struct samara_layout *from)
{
	to->flags = from->flags;
	take(&to->mmap_base, from->mmap_base);
	take(&to->legacy_base, from->legacy_base);
	take(&to->task_size, from->task_size);
	take(&to->start_code, from->start_code);
	take(&to->end_code, from->end_code);
	take(&to->start_data, from->start_data);
	take(&to->end_data, from->end_data);
	take(&to->start_brk, from->start_brk);
	take(&to->brk, from->brk);
	take(&to->start_stack, from->start_stack);
	if (to->brk < to->start_brk)
		to->brk = to->start_brk;
}

static bool places_fit(const struct samara_mm *mm, const struct samara_layout *l)
{
	const unsigned long most = mm->geo->task_size;

	return l->mmap_base <= most && l->legacy_base <= most && l->task_size <= most &&
	       l->start_brk <= most && l->brk <= most && l->start_stack <= most &&
	       mm_page_aligned(mm, l->mmap_base | l->legacy_base | l->task_size);
}

/* Unmapping a whole VMA needs no memory. A seal would refuse it, so it is taken off. */
static void uninstall(struct samara_mm *mm, const struct samara_mapping *mapping,
		      struct vma_dead *dead)
{
	struct vma *vma = vma_lookup(mm, mapping->start);

	vma_set_flags(vma, vma->vm_flags & ~VM_SEALED);
	BUG_ON(unmap_range(mm, mapping->start, mapping->end, dead));
}

int samara_set_layout(struct samara_mm *mm, const struct samara_layout *callers)
{
	struct samara_layout own, *layout = &own;
	struct door door;
	size_t i;
	int err = mm_call(mm);

	if (!err)
		err = sized_get(&own, sizeof(own), callers);
	if (err)
		return err;
	if (!places_fit(mm, layout))
		return -EINVAL;
	door_enter(&door, mm);
	for (i = 0; !err && i < layout->nr_special; i++)
		err = install_mapping(mm, &layout->special[i]);
	if (err) {
		/* The last one was not installed; those before it were in free places. */
		for (i--; i-- > 0;)
			uninstall(mm, &layout->special[i], &door.dead);
	} else {
		take_places(&mm->layout, layout);
	}
	door_leave(&door);
	return err;
}

int samara_get_layout(struct samara_mm *mm, struct samara_layout *out)
{
	const int refused = mm_call(mm);
	const struct mm_layout *l = &mm->layout;

	if (refused)
		return refused;
	mmap_read_lock(mm);
	*out = (struct samara_layout){
		.size = sizeof(*out),
		.flags = l->flags,
		.mmap_base = l->mmap_base,
		.legacy_base = l->legacy_base,
		.task_size = l->task_size,
		.start_code = l->start_code,
		.end_code = l->end_code,
		.start_data = l->start_data,
		.end_data = l->end_data,
		.start_brk = l->start_brk,
		.brk = l->brk,
		.start_stack = l->start_stack,
	};
	mmap_read_unlock(mm);
	return 0;
}
