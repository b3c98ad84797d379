/* SPDX-License-Identifier: MIT */
/*
 * The executable form of the invariants that core/mm.h and core/vma.h list.
 */
#include "base/report.h"
#include "core/vma_lock.h"
#include "range/validate_bits.h"
#include "rmap/rmap.h"
#include "uffd/validate_uffd.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/validate_mm.h"

static int check_flags(const struct vma *vma, struct samara_report *out)
{
	const unsigned long flags = vma->vm_flags;
	const unsigned long may = (flags & VM_MAY_ACCESS) >> VM_MAY_SHIFT;

	/* Special mappings (vdso) may be executable without VM_MAYEXEC. */
	if (!vma->rare.special && (flags & VM_ACCESS_FLAGS & ~may))
		return report_broken(out, "vma_flags",
				     "%lx..%lx: flags %lx: access without VM_MAY*", vma->vm_start,
				     vma->vm_end, flags);
	if ((flags & VM_SHARED) && !(flags & VM_MAYSHARE))
		return report_broken(out, "vma_flags", "%lx..%lx: VM_SHARED without VM_MAYSHARE",
				     vma->vm_start, vma->vm_end);
	if ((flags & VM_LOCKONFAULT) && !(flags & VM_LOCKED))
		return report_broken(out, "vma_flags", "%lx..%lx: VM_LOCKONFAULT without VM_LOCKED",
				     vma->vm_start, vma->vm_end);
	return 0;
}

static int check_vma(struct samara_mm *mm, const struct vma *vma, struct samara_report *out)
{
	const struct anon_vma *anon;
	unsigned int links;

	/* anon_vma_prepare() may run while mmap_lock is held for reading. */
	spin_lock(&mm->tables.anon_lock, RANK_PAGE_TABLE);
	anon = vma->anon_vma;
	links = vma->rmap.anon_links;
	spin_unlock(&mm->tables.anon_lock);
	if (vma->vm_start >= vma->vm_end || !mm_page_aligned(mm, vma->vm_start | vma->vm_end) ||
	    vma->vm_end > mm->geo->task_size)
		return report_broken(out, "vma_range", "%lx..%lx is not a range of user pages",
				     vma->vm_start, vma->vm_end);
	if (vma->vm_mm != mm)
		return report_broken(out, "vma_mm", "%lx..%lx belongs to mm %p, not %p",
				     vma->vm_start, vma->vm_end, (void *)vma->vm_mm, (void *)mm);
	if (!anon != !links)
		return report_broken(out, "vma_anon", "%lx..%lx: anon_vma %p with %u links",
				     vma->vm_start, vma->vm_end, (void *)anon, links);
	if ((vma->vm_flags & VM_SHARED) && !vma->vm_file)
		return report_broken(out, "vma_behind", "%lx..%lx: shared, but no file",
				     vma->vm_start, vma->vm_end);
	if (!vma_is_attached(vma))
		return report_broken(out, "vma_attached", "%lx..%lx is in the tree, but detached",
				     vma->vm_start, vma->vm_end);
	return check_flags(vma, out);
}

static void add(struct mm_counters *sum, const struct vma *vma)
{
	const unsigned long pages = vma_pages(vma), flags = vma->vm_flags;

	sum->map_count++;
	counters_add(sum, flags, pages);
	if (flags & VM_LOCKED)
		sum->locked_vm += pages;
	if (flags & VM_ACCOUNT)
		sum->accounted += pages;
}

static int check_counters(const struct samara_mm *mm, const struct mm_counters *sum,
			  struct samara_report *out)
{
	const struct {
		const char *name;
		unsigned long is, should;
	} each[] = {
		{ "map_count", mm->count.map_count, sum->map_count },
		{ "total_vm", mm->count.total_vm, sum->total_vm },
		{ "locked_vm", mm->count.locked_vm, sum->locked_vm + mm->count.locked_astray },
		{ "data_vm", mm->count.data_vm, sum->data_vm },
		{ "exec_vm", mm->count.exec_vm, sum->exec_vm },
		{ "stack_vm", mm->count.stack_vm, sum->stack_vm },
		{ "accounted", mm->count.accounted, sum->accounted },
	};

	for (size_t i = 0; i < ARRAY_SIZE(each); i++)
		if (each[i].is != each[i].should)
			return report_broken(out, each[i].name, "is %lu, the VMAs add up to %lu",
					     each[i].is, each[i].should);
	return 0;
}

int mm_validate(struct samara_mm *mm, struct samara_report *out)
{
	MA_STATE(mas, &mm->mt, 0, 0);
	struct mm_counters sum = { 0 };
	struct vma *vma;
	int err = samara_mtree_validate(&mm->mt, out);

	if (err)
		return err;
	if (!maple_writer_valid(&mm->writer))
		return report_broken(out, "writer",
				     "the path that the writer remembers is not in the tree");
	mas_for_each(&mas, vma, ULONG_MAX) {
		if (mas.index != vma->vm_start || mas.last != vma->vm_end - 1)
			return report_broken(out, "place", "%lx..%lx is stored under %lx..%lx",
					     vma->vm_start, vma->vm_end, mas.index, mas.last);
		err = check_vma(mm, vma, out);
		if (!err)
			err = rmap_validate_vma(vma, out);
		if (!err)
			err = uffd_validate_vma(vma, out);
		if (!err)
			err = range_validate_bits(vma, out);
		if (err)
			return err;
		add(&sum, vma);
	}
	err = check_counters(mm, &sum, out);
	return err ? err : uffd_validate_queues(mm, out);
}
