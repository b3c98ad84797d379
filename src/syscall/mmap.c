/* SPDX-License-Identifier: MIT */
/*
 * mmap and munmap: arguments in Linux's order, then src/vma/map.c and unmap.c.
 *
 * PROT_READ, PROT_WRITE and PROT_EXEC have the values of VM_READ, VM_WRITE and VM_EXEC.
 */
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

#include "store/file.h"
#include "syscall/call_door.h"
#include "syscall/mmap.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/layout.h"
#include "vma/map.h"
#include "vma/touch.h"

_Static_assert(PROT_READ == VM_READ && PROT_WRITE == VM_WRITE && PROT_EXEC == VM_EXEC,
	       "prot bits are vm_flags bits");

/* Flags that MAP_SHARED knows. It ignores others; MAP_SHARED_VALIDATE refuses them. */
#define OLD_FLAGS \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | \
	 MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | \
	 MAP_HUGETLB | (int)(0x3fu << MAP_HUGE_SHIFT) | MAP_32BIT | MAP_ABOVE4G)

static unsigned long vm_flags_of_map(const struct samara_mm *mm, int flags)
{
	return (flags & MAP_GROWSDOWN ? VM_GROWSDOWN : 0) | (flags & MAP_LOCKED ? VM_LOCKED : 0) |
	       (flags & MAP_SYNC ? VM_SYNC : 0) |
	       (flags & MAP_STACK && mm_has_thp(mm) ? VM_NOHUGEPAGE : 0);
}

/*
 * Whether a file can have these offsets. The limit of this file's file system does not count: pages
 * beyond the file's end may be mapped, and raise SIGBUS.
 */
static bool offset_fits(const struct mmap_desc *d)
{
	const unsigned long long most = max(d->file->max_length, (unsigned long long)LLONG_MAX);

	return d->len <= most && d->pgoff <= (most - d->len) >> d->mm->geo->page_shift;
}

static int shared_file_flags(const struct mmap_desc *d, unsigned long *vm_flags)
{
	const bool writable = file_is(d->file, SAMARA_FILE_WRITE);
	int known = OLD_FLAGS | (file_is(d->file, SAMARA_FILE_SYNC) ? MAP_SYNC : 0);
	int flags = d->flags;

	if ((flags & MAP_TYPE) == MAP_SHARED)
		flags &= OLD_FLAGS;
	else
		known |= MAP_SHARED_VALIDATE;
	if (flags & ~known)
		return -EOPNOTSUPP;
	if ((d->prot & PROT_WRITE) && !writable)
		return -EACCES;
	if (file_is(d->file, SAMARA_FILE_APPEND) && writable)
		return -EACCES;
	*vm_flags |= VM_SHARED | VM_MAYSHARE;
	if (!writable)
		*vm_flags &= ~(VM_MAYWRITE | VM_SHARED);
	return 0;
}

static int file_flags(const struct mmap_desc *d, unsigned long *vm_flags)
{
	const int type = d->flags & MAP_TYPE;
	int err = 0;

	if (!offset_fits(d))
		return -EOVERFLOW;
	if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE)
		err = shared_file_flags(d, vm_flags);
	else if (type != MAP_PRIVATE)
		err = -EINVAL;
	if (err)
		return err;
	if (!file_is(d->file, SAMARA_FILE_READ))
		return -EACCES;
	if (file_is(d->file, SAMARA_FILE_NOEXEC)) {
		if (*vm_flags & VM_EXEC)
			return -EPERM;
		*vm_flags &= ~VM_MAYEXEC;
	}
	if (file_is(d->file, SAMARA_FILE_NOMAP))
		return -ENODEV;
	return *vm_flags & VM_GROWSDOWN ? -EINVAL : 0;
}

static int anon_flags(struct mmap_desc *d, unsigned long *vm_flags)
{
	switch (d->flags & MAP_TYPE) {
	case MAP_SHARED:
		if (*vm_flags & VM_GROWSDOWN)
			return -EINVAL;
		d->pgoff = 0;
		*vm_flags |= VM_SHARED | VM_MAYSHARE;
		return 0;
	case MAP_DROPPABLE:
		if ((d->flags & (MAP_LOCKED | MAP_HUGETLB)) || (*vm_flags & VM_GROWSDOWN))
			return -EINVAL;
		*vm_flags |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP;
		break;
	case MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	d->pgoff = mm_pages(d->mm, d->addr);
	return 0;
}

/* d->addr becomes the place, and *around its neighbours. 0 or -errno. */
static int choose_address(struct mmap_desc *d, struct area_around *around)
{
	struct area_desc area = {
		.mm = d->mm,
		.file = d->file,
		.addr = d->addr,
		.len = d->len,
		.pgoff = d->pgoff,
		.flags = d->flags,
		.around = around,
	};

	if (d->flags & MAP_FIXED_NOREPLACE)
		area.flags |= MAP_FIXED;
	if (d->huge && (area.flags & MAP_FIXED) && (d->addr & (d->huge - 1)))
		return d->len > d->mm->layout.task_size ? -ENOMEM : -EINVAL;
	if (!(area.flags & MAP_FIXED))
		area.addr = round_hint_to_min(d->mm, d->addr);
	d->addr = get_unmapped_area(&area);
	if (d->huge && !(area.flags & MAP_FIXED) && d->addr != area.addr) {
		/* The hint was not taken: ask for room to align the place. */
		area.addr = 0;
		area.len += d->huge - mm_page_size(d->mm);
		d->addr = get_unmapped_area(&area);
	}
	if (SAMARA_IS_ERR_VALUE(d->addr))
		return (int)d->addr;
	if ((d->flags & MAP_FIXED_NOREPLACE) && vma_find(d->mm, d->addr, d->addr + d->len))
		return -EEXIST;
	return 0;
}

static int check_sizes(struct mmap_desc *d)
{
	struct samara_mm *mm = d->mm;

	if (!d->len)
		return -EINVAL;
	if ((d->prot & PROT_READ) && (mm->layout.flags & SAMARA_LAYOUT_READ_EXEC) &&
	    !(d->file && file_is(d->file, SAMARA_FILE_NOEXEC)))
		d->prot |= PROT_EXEC;
	d->len = mm_page_align(mm, d->len);
	if (!d->len)
		return -ENOMEM;
	if (d->pgoff + mm_pages(mm, d->len) < d->pgoff)
		return -EOVERFLOW;
	return mm->count.map_count > mm->machine->max_map_count ? -ENOMEM : 0;
}

unsigned long do_mmap(struct mmap_desc *d)
{
	struct samara_mm *mm = d->mm;
	struct commit *commit = &mm->machine->store->commit;
	unsigned long vm_flags;
	struct area_around around = { .known = false };
	struct map_request map;
	struct vma *vma;
	int err = check_sizes(d);

	if (!err)
		err = choose_address(d, &around);
	if (err)
		return (unsigned long)err;
	vm_flags = vm_flags_of_prot(d->prot) | vm_flags_of_map(mm, d->flags) |
		   mm->limits.def_flags | VM_MAY_ACCESS;
	if ((d->flags & MAP_LOCKED) && !can_do_mlock(mm))
		return (unsigned long)-EPERM;
	if (!mlock_future_ok(mm, vm_flags, d->len))
		return (unsigned long)-EAGAIN;
	err = d->file ? file_flags(d, &vm_flags) : anon_flags(d, &vm_flags);
	if (err)
		return (unsigned long)err;
	if (d->huge)
		vm_flags |= VM_HUGETLB | VM_DONTEXPAND;
	if ((d->flags & MAP_NORESERVE) && READ_ONCE(commit->mode) != SAMARA_OVERCOMMIT_NEVER)
		vm_flags |= VM_NORESERVE;
	map = (struct map_request){
		.mm = mm,
		.start = d->addr,
		.end = d->addr + d->len,
		.pgoff = d->pgoff,
		.flags = vm_flags,
		.file = d->file,
		.untold = d->untold,
		.vacant = !(d->flags & MAP_FIXED),
		.around = around,
		.huge_pages = mm_pages(mm, d->huge),
		.dead = &d->door->dead,
	};
	err = map_region(&map, &vma);
	if (err)
		return (unsigned long)err;
	touch_by_policy(vma);
	if ((vm_flags & VM_LOCKED) || (d->flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE)
		d->door->populate = (struct populate_later){ .start = map.start, .end = map.end };
	return d->addr;
}

/* MAP_HUGETLB's page size in bytes; 0: no such size. */
static unsigned long huge_page_size(const struct samara_mm *mm, int flags)
{
	const unsigned int log = ((unsigned int)flags >> MAP_HUGE_SHIFT) & 0x3f;
	const unsigned long huge = geo_huge_size(mm->geo);

	if (!log || 1UL << log == huge)
		return huge;
	return log == 30 && !(mm->machine->flags & SAMARA_MACHINE_NO_1G_PAGES) ? 1UL << log : 0;
}

/* The file of MAP_HUGETLB without a file. Only its rights are read. */
static struct samara_file huge_pages = {
	.refs = REFCOUNT_INIT(1),
	.flags = SAMARA_FILE_READ | SAMARA_FILE_WRITE,
	.max_length = LLONG_MAX,
};

static int ask_for_huge_pages(struct mmap_desc *d)
{
	d->huge = huge_page_size(d->mm, d->flags);
	if (!(d->flags & MAP_ANONYMOUS) || !d->huge)
		return -EINVAL;
	d->len = (d->len + d->huge - 1) & ~(d->huge - 1);
	d->file = &huge_pages;
	return 0;
}

unsigned long samara_mmap(struct samara_mm *mm, unsigned long addr, unsigned long len, int prot,
			  int flags, struct samara_file *file, unsigned long offset)
{
	const int refused = mm_call(mm);
	struct door door;
	struct mmap_desc d = {
		.mm = mm,
		.addr = addr,
		.len = len,
		.prot = prot,
		.flags = flags,
		.file = flags & MAP_ANONYMOUS ? NULL : file,
		.pgoff = mm_pages(mm, offset),
		.door = &door,
	};
	unsigned long ret;

	if (refused)
		return refused;
	if (!mm_page_aligned(mm, offset))
		return (unsigned long)-EINVAL;
	if (!(flags & MAP_ANONYMOUS) && !file)
		return (unsigned long)-EBADF;
	if (d.file && !file_of_store(d.file, mm->machine->store))
		return (unsigned long)-EINVAL;
	if (flags & MAP_HUGETLB) {
		const int err = ask_for_huge_pages(&d);

		if (err)
			return (unsigned long)err;
	}
	door_enter(&door, mm);
	ret = do_mmap(&d);
	door_leave(&door);
	return ret;
}

int samara_munmap(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	struct door door;
	int err = mm_call(mm);

	if (err)
		return err;
	door_enter(&door, mm);
	err = do_munmap(mm, addr, len, &door.dead);
	door_leave(&door);
	return err;
}
