/* SPDX-License-Identifier: MIT */
/*
 * mmap's second half, after arguments are checked and the place is chosen.
 */
#include <errno.h>

#include "base/assert.h"
#include "store/host.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/map.h"
#include "vma/merge.h"
#include "vma/unmap.h"

/* What leaves the range, what comes, and which neighbour grows over it. */
struct map_plan {
	const struct map_request *req;
	struct unmap_request remove;
	struct unmap_plan old;
	struct area_around around;
	struct vma_merge_request grow;
	struct vma_merge_plan merge;
	unsigned long flags; /* as limits and driver leave them */
	unsigned long pages;
	unsigned long charged; /* pages charged above what the old ones were */
	unsigned long shmem;   /* pages charged for fresh shared memory, not yet its own */
	struct vma *vma;       /* new, if nothing merges */
};

/* The limits, in the order in which Linux asks. The old pages' charge goes over to the new ones. */
static int ask_limits(struct map_plan *plan)
{
	struct samara_mm *mm = plan->req->mm;
	int err;

	if (!may_expand_vm(mm, plan->flags, plan->pages - plan->old.leaves.total_vm))
		return -ENOMEM;
	if (!plan->remove.keep_accounted)
		return 0;
	plan->charged = plan->pages - plan->old.leaves.accounted;
	err = plan->charged ? mm_charge(mm, plan->charged) : 0;
	if (!err)
		plan->flags |= VM_ACCOUNT;
	return err;
}

static void plan_merge(struct map_plan *plan)
{
	const struct map_request *req = plan->req;

	if (!req->file && (plan->flags & VM_SHARED))
		return; /* fresh shared memory never merges: its file is new */
	plan->grow = (struct vma_merge_request){
		.mm = req->mm,
		.start = req->start,
		.end = req->end,
		.pgoff = req->pgoff,
		.traits = { .flags = plan->flags, .file = req->file },
		.prev = plan->around.prev,
		.next = plan->around.next,
		.just_expand = req->kind == MAP_HEAP,
	};
	/* A VMA that reaches above start_brk is the heap, wherever it begins. */
	if (req->kind == MAP_HEAP && plan->grow.prev &&
	    plan->grow.prev->vm_end <= req->mm->layout.start_brk)
		plan->grow.prev = NULL;
	vma_merge_plan(&plan->grow, &plan->merge);
}

static bool wants_shmem(const struct map_plan *plan)
{
	const struct samara_file *file = plan->req->file;

	return (plan->flags & VM_SHARED) && (!file || file_is(file, SAMARA_FILE_ZERO));
}

/* The file's mmap operation: a driver's, or the host's. */
static int ask_mmap_operation(struct map_plan *plan)
{
	const struct map_request *req = plan->req;
	const struct inode *inode = req->file->inode;
	struct samara_vma_desc desc = {
		.file = req->file,
		.start = req->start,
		.end = req->end,
		.pgoff = req->pgoff,
		.vm_flags = plan->flags,
	};
	int err = 0;

	if (inode_is_device(inode))
		err = device_mmap_prepare(&desc);
	else if (inode->host.asks)
		err = host_map_ask(&desc);
	if (!err)
		plan->flags = desc.vm_flags;
	return err;
}

/* Whether the file allows the mapping. 0 or -errno. */
static int ask_file(struct map_plan *plan)
{
	const struct map_request *req = plan->req;

	/* The pool of huge pages is empty. */
	if (plan->flags & VM_HUGETLB)
		return req->pgoff & (req->huge_pages - 1) ? -EINVAL : -ENOMEM;
	if (!req->file)
		return 0;
	if ((plan->flags & VM_SYNC) && file_is(req->file, SAMARA_FILE_NO_SYNC))
		return -EOPNOTSUPP;
	return ask_mmap_operation(plan);
}

/* Fresh shared memory is charged as a whole, now. */
static int charge_shmem(struct map_plan *plan)
{
	struct samara_mm *mm = plan->req->mm;
	int err;

	if (!wants_shmem(plan) || (plan->flags & VM_NORESERVE))
		return 0;
	err = commit_charge(&mm->machine->store->commit, plan->pages, mm_commit_who(mm));
	if (!err)
		plan->shmem = plan->pages;
	return err;
}

static int make_shmem(struct map_plan *plan, struct samara_file **out)
{
	const struct map_request *req = plan->req;
	const struct shmem_desc desc = {
		.name = SHMEM_ZERO_NAME,
		.length = req->end - req->start,
		.charged = plan->shmem,
	};
	int err = file_shmem(req->mm->machine->store, &desc, out);

	if (!err)
		plan->shmem = 0;
	return err;
}

static int new_vma(struct map_plan *plan)
{
	const struct map_request *req = plan->req;
	struct vma *vma = vma_alloc(req->mm);
	int err = 0;

	if (!vma)
		return -ENOMEM;
	vma_set_range(vma, req->start, req->end, req->pgoff);
	vma->vm_flags = plan->flags;
	vma->is_anon =
		!(plan->flags & VM_SHARED) && (!req->file || file_is(req->file, SAMARA_FILE_ZERO));
	if (wants_shmem(plan))
		err = make_shmem(plan, &vma->vm_file);
	else if (req->file)
		vma->vm_file = file_get(req->file);
	if (!err)
		err = vma_link_file(vma);
	if (err) {
		vma_discard(vma);
		return err;
	}
	plan->vma = vma;
	return 0;
}

/* The one store that puts the mapping in place of what was there. */
static int store(const struct map_plan *plan)
{
	const struct vma_store store = {
		.mm = plan->req->mm,
		.start = plan->req->start,
		.end = plan->req->end,
		.entry = plan->vma,
		.above = plan->old.top,
	};

	return plan->vma ? vma_store(&store) : vma_merge_store(&plan->merge, plan->old.top, NULL);
}

/* Everything that needs memory, and the point of no return. */
static int prepare_and_store(struct map_plan *plan)
{
	int err = 0;

	/* prev == next: one VMA grows back over part of itself, and is not cut. */
	if (plan->merge.kind != MERGE_BOTH || plan->grow.prev != plan->grow.next)
		err = unmap_prepare(&plan->old);
	if (!err && plan->merge.kind == MERGE_NONE)
		err = new_vma(plan);
	if (!err)
		err = store(plan);
	if (err) {
		vma_discard(plan->vma);
		unmap_abort(&plan->old);
	}
	return err;
}

/* Returns the VMA that holds the range. */
static struct vma *complete(struct map_plan *plan)
{
	const struct map_request *req = plan->req;
	struct mm_counters *count = &req->mm->count;
	struct vma *vma = plan->vma;

	unmap_complete(&plan->old, req->dead);
	if (vma)
		count->map_count++;
	else
		vma = vma_merge_commit(&plan->merge, req->dead);
	vm_stat_account(req->mm, plan->flags, (long)plan->pages);
	if (!(plan->flags & VM_LOCKED))
		return vma;
	/* A mapping that cannot be locked loses VM_LOCKED only now, after merging, as in Linux. */
	if (vm_lockable(plan->flags))
		count->locked_vm += plan->pages;
	else
		vma_set_flags(vma, vma->vm_flags & ~VM_LOCKED_MASK);
	return vma;
}

/*
 * The file refused. Linux has cleared the range by then, so it is cleared here too. If there is no
 * memory for that, the range stays as it was.
 */
static void leave_gap(struct map_plan *plan)
{
	if (plan->old.first && !unmap_apply(&plan->old, plan->req->dead) &&
	    plan->remove.keep_accounted)
		mm_uncharge(plan->req->mm, plan->old.leaves.accounted);
}

/* What goes, and the neighbours. 0 or -errno. */
static int look_around(struct map_plan *plan)
{
	const struct map_request *req = plan->req;
	int err;

	if (!req->vacant) {
		err = unmap_gather(&plan->remove, &plan->old);
		plan->around = plan->old.around;
		return err;
	}
	VM_WARN_ON(vma_find(req->mm, req->start, req->end));
	plan->around = req->around;
	if (!req->around.known) {
		plan->around.prev = req->start ? vma_lookup(req->mm, req->start - 1) : NULL;
		plan->around.next = vma_lookup(req->mm, req->end);
	}
	return 0;
}

int map_region(const struct map_request *req, struct vma **out)
{
	struct samara_mm *mm = req->mm;
	struct map_plan plan = {
		.req = req,
		.remove = { .mm = mm,
			    .start = req->start,
			    .end = req->end,
			    .around = true,
			    .untold = req->untold },
		.flags = req->flags,
		.pages = mm_pages(mm, req->end - req->start),
	};
	int err;

	plan.remove.keep_accounted = vm_accountable(req->flags);
	err = look_around(&plan);
	if (err)
		return err;
	err = ask_limits(&plan);
	if (err) {
		unmap_leave_cut(&plan.old);
		return err;
	}
	err = ask_file(&plan);
	if (!err)
		err = charge_shmem(&plan);
	if (err) {
		mm_uncharge(mm, plan.charged);
		leave_gap(&plan);
		return err;
	}
	plan_merge(&plan);
	err = prepare_and_store(&plan);
	if (err) {
		mm_uncharge(mm, plan.charged);
		commit_uncharge(&mm->machine->store->commit, plan.shmem);
		return err;
	}
	*out = complete(&plan);
	return 0;
}
