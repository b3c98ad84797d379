/* SPDX-License-Identifier: MIT */
/*
 * Describing VMAs: names and permissions as /proc/PID/maps gives them, and the
 * questions a program can ask about its mm.
 */
#include <errno.h>
#include <string.h>

#include <samara/access.h>

#include "base/sized.h"
#include "store/file.h"
#include "syscall/report.h"
#include "vma/find.h"
#include "vma/validate_mm.h"

/* A mapping without file or special name is named by its address. */
static const char *place_name(const struct vma *vma)
{
	const struct mm_layout *l = &vma->vm_mm->layout;

	if (vma->vm_start < l->brk && vma->vm_end > l->start_brk)
		return "[heap]";
	if (vma->vm_start <= l->start_stack && vma->vm_end >= l->start_stack)
		return "[stack]";
	return "";
}

static void set_perms(struct samara_vma_info *out, unsigned long flags)
{
	out->perms[0] = flags & VM_READ ? 'r' : '-';
	out->perms[1] = flags & VM_WRITE ? 'w' : '-';
	out->perms[2] = flags & VM_EXEC ? 'x' : '-';
	out->perms[3] = flags & VM_MAYSHARE ? 's' : 'p';
	out->perms[4] = '\0';
}

void vma_describe(const struct vma *vma, struct samara_vma_info *out)
{
	const struct samara_file *file = vma->vm_file;

	*out = (struct samara_vma_info){
		.start = vma->vm_start,
		.end = vma->vm_end,
		.flags = vma->vm_flags,
	};
	set_perms(out, vma->vm_flags);
	if (file) {
		out->offset = vma->vm_pgoff << vma->vm_mm->geo->page_shift;
		out->ino = file->inode->id.ino;
		out->dev_major = file->inode->id.dev_major;
		out->dev_minor = file->inode->id.dev_minor;
		out->name = file->name;
	} else {
		out->name = vma->rare.special ? vma->rare.special->name : place_name(vma);
	}
}

bool gate_describe(const struct samara_mm *mm, struct samara_vma_info *out)
{
	const struct samara_geometry *geo = mm->geo;
	const bool reads = mm->machine->flags & SAMARA_MACHINE_GATE_READ;

	if (!mm_is_gate(mm, geo->gate_start))
		return false;
	*out = (struct samara_vma_info){
		.start = geo->gate_start,
		.end = geo->gate_end,
		.name = "[vsyscall]",
		.flags = VM_EXEC | (reads ? VM_READ | VM_MAYREAD | VM_MAYEXEC : 0),
	};
	set_perms(out, out->flags);
	return true;
}

/* mmap_lock in either mode. 0 or -ENOENT. */
static int describe_from(struct samara_mm *mm, unsigned long from, struct samara_vma_info *out)
{
	const struct vma *vma = vma_find_from(mm, from);

	if (vma)
		vma_describe(vma, out);
	return vma ? 0 : -ENOENT;
}

int samara_vma_next(struct samara_mm *mm, unsigned long from, struct samara_vma_info *out)
{
	int err = mm_call(mm);

	if (err)
		return err;
	mmap_read_lock(mm);
	err = describe_from(mm, from, out);
	mmap_read_unlock(mm);
	return err;
}

int samara_vma_next_copy(struct samara_mm *mm, unsigned long from, struct samara_vma_info *out,
			 char *buf, size_t size)
{
	struct samara_vma_info own;
	int err = mm_call(mm);

	if (err)
		return err;
	mmap_read_lock(mm);
	err = describe_from(mm, from, &own);
	if (!err && strlen(own.name) >= size)
		err = -ENOSPC;
	if (!err) {
		*out = own;
		out->name = memcpy(buf, own.name, strlen(own.name) + 1);
	}
	mmap_read_unlock(mm);
	return err;
}

int samara_gate_info(struct samara_mm *mm, struct samara_vma_info *out)
{
	const int refused = mm_call(mm);

	if (refused)
		return refused;
	return gate_describe(mm, out) ? 0 : -ENOENT;
}

int samara_mm_stats(struct samara_mm *mm, struct samara_mm_stats *out)
{
	const int refused = mm_call(mm);
	const struct mm_counters *count = &mm->count;
	struct samara_tree_stats tree;
	struct samara_mm_stats own;

	if (refused)
		return refused;
	mmap_read_lock(mm);
	samara_mtree_stats(&mm->mt, &tree);
	own = (struct samara_mm_stats){
		.total_vm = count->total_vm,
		.locked_vm = count->locked_vm,
		.data_vm = count->data_vm,
		.exec_vm = count->exec_vm,
		.stack_vm = count->stack_vm,
		.map_count = count->map_count,
		.accounted = count->accounted,
		.tree_bytes = tree.bytes,
	};
	mmap_read_unlock(mm);
	return sized_put(out, &own, sizeof(own));
}

int samara_mm_memory(struct samara_mm *mm, struct samara_mm_memory *out)
{
	const int refused = mm_call(mm);
	const struct samara_mm_memory own = {
		.rss_anon = (unsigned long)mm_rss_sum(mm, MM_ANONPAGES),
		.rss_file = (unsigned long)mm_rss_sum(mm, MM_FILEPAGES),
		.rss_shmem = (unsigned long)mm_rss_sum(mm, MM_SHMEMPAGES),
		.page_tables = READ_ONCE(mm->tables.nr),
		.vma_lock_success = mm_lock_stat_sum(mm, VMA_LOCK_SUCCESS) +
				    mm_lock_stat_sum(mm, VMA_LOCK_NO_FAULT),
		.vma_lock_abort = mm_lock_stat_sum(mm, VMA_LOCK_ABORT),
		.vma_lock_retry = mm_lock_stat_sum(mm, VMA_LOCK_RETRY),
		.vma_lock_miss = mm_lock_stat_sum(mm, VMA_LOCK_MISS),
		.swap_ents = (unsigned long)mm_rss_sum(mm, MM_SWAPENTS),
	};

	if (refused)
		return refused;
	return sized_put(out, &own, sizeof(own));
}

int samara_mm_validate(struct samara_mm *mm, struct samara_report *out)
{
	int err = mm_call(mm);

	if (err)
		return err;
	if (out)
		memset(out, 0, sizeof(*out));
	mmap_read_lock(mm);
	err = mm_validate(mm, out);
	mmap_read_unlock(mm);
	return err;
}

int samara_mm_print_tree(struct samara_mm *mm, int fd)
{
	int err = mm_call(mm);

	if (err)
		return err;
	mmap_read_lock(mm);
	err = samara_mtree_print_dot(&mm->mt, fd);
	mmap_read_unlock(mm);
	return err;
}
