/* SPDX-License-Identifier: MIT */
/*
 * Mappings put in place as a snapshot has them: no limits, no merging.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "store/file.h"
#include "syscall/call_door.h"
#include "syscall/install.h"
#include "syscall/mmap.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/reserve.h"
#include "vma/touch.h"

/* "[stack]" and "[heap]" are named by where they lie. 0 or -EINVAL. */
static int look_up_name(const struct samara_mapping *mapping, const struct vma_special **special)
{
	const char *name = mapping->name;

	*special = NULL;
	if (!name || !strcmp(name, "[stack]") || !strcmp(name, "[heap]"))
		return 0;
	*special = vma_special_find(name);
	return *special ? 0 : -EINVAL;
}

/* A snapshot's userfaultfds are gone: nothing would answer. */
static unsigned long flags_of(const struct samara_mm *mm, const struct samara_mapping *mapping,
			      const struct vma_special *special)
{
	unsigned long flags = vm_flags_of_prot(mapping->prot) |
			      (mapping->vm_flags & ~(VM_UFFD_FLAGS | VM_SOFTDIRTY)) |
			      (mm->limits.def_flags & VM_SOFTDIRTY);

	if (special)
		return flags | special->vm_flags;
	flags |= VM_MAY_ACCESS;
	if ((mapping->flags & MAP_TYPE) == MAP_SHARED)
		flags |= VM_SHARED | VM_MAYSHARE;
	if (mapping->file && (flags & VM_SHARED) && !file_is(mapping->file, SAMARA_FILE_WRITE))
		flags &= ~(VM_MAYWRITE | VM_SHARED);
	if ((mapping->flags & MAP_GROWSDOWN) ||
	    (mapping->name && !strcmp(mapping->name, "[stack]")))
		flags |= VM_GROWSDOWN;
	if (mapping->flags & MAP_NORESERVE)
		flags |= VM_NORESERVE;
	if (mapping->flags & MAP_LOCKED)
		flags |= VM_LOCKED;
	if ((mapping->flags & MAP_STACK) && mm_has_thp(mm))
		flags |= VM_NOHUGEPAGE;
	return vm_accountable(flags) ? flags | VM_ACCOUNT : flags;
}

static int check_range(struct samara_mm *mm, const struct samara_mapping *mapping)
{
	if (mapping->start >= mapping->end || mapping->end > mm->geo->task_size ||
	    !mm_page_aligned(mm, mapping->start | mapping->end | mapping->offset) ||
	    mapping->offset > ULONG_MAX - (mapping->end - mapping->start))
		return -EINVAL;
	if (mapping->file && !file_of_store(mapping->file, mm->machine->store))
		return -EINVAL;
	return vma_find(mm, mapping->start, mapping->end) ? -EEXIST : 0;
}

static int shared_memory(struct samara_mm *mm, const struct samara_mapping *mapping,
			 struct samara_file **out)
{
	struct shmem_desc desc = {
		.name = SHMEM_ZERO_NAME,
		.length = mapping->end - mapping->start + mapping->offset,
	};

	return file_shmem(mm->machine->store, &desc, out);
}

/* Neither limits nor the commit budget are checked. */
static void count_in(struct samara_mm *mm, const struct vma *vma)
{
	const unsigned long pages = vma_pages(vma);

	mm->count.map_count++;
	vm_stat_account(mm, vma->vm_flags, (long)pages);
	if (vma->vm_flags & VM_LOCKED)
		mm->count.locked_vm += pages;
	if (vma->vm_flags & VM_ACCOUNT)
		mm_charge_unasked(mm, pages);
}

int install_mapping(struct samara_mm *mm, const struct samara_mapping *mapping)
{
	struct vma_store store = { .mm = mm, .start = mapping->start, .end = mapping->end };
	const struct vma_special *special;
	struct vma *vma;
	int err = check_range(mm, mapping);

	if (!err)
		err = look_up_name(mapping, &special);
	if (err)
		return err;
	vma = vma_alloc(mm);
	if (!vma)
		return -ENOMEM;
	vma->rare.special = special;
	vma->vm_flags = flags_of(mm, mapping, special);
	vma->is_anon = !special && !(vma->vm_flags & VM_SHARED) && !mapping->file;
	vma_set_range(vma, mapping->start, mapping->end,
		      mm_pages(mm, vma->is_anon ? mapping->start : mapping->offset));
	if (mapping->file)
		vma->vm_file = file_get(mapping->file);
	else if (vma->vm_flags & VM_SHARED)
		err = shared_memory(mm, mapping, &vma->vm_file);
	if (!err)
		err = vma_link_file(vma);
	if (!err && mapping->touched)
		err = anon_vma_prepare(vma);
	if (err)
		goto discard;
	store.entry = vma;
	err = vma_store(&store);
	if (err)
		goto discard;
	count_in(mm, vma);
	touch_by_policy(vma);
	return 0;

discard:
	vma_discard(vma);
	return err;
}

int samara_mm_install(struct samara_mm *mm, const struct samara_mapping *mapping)
{
	struct door door;
	int err = mm_call(mm);

	if (err)
		return err;
	door_enter(&door, mm);
	err = install_mapping(mm, mapping);
	door_leave(&door);
	return err;
}
