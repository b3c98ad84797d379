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

/* One mapping on its way: what goes, what comes, and whether a neighbour takes it in. */
struct mapping {
	struct map_desc *d;
	struct unmap_desc old;
	struct vma_merge_desc merge;
	unsigned long pages;
	unsigned long charged;   /* pages charged above what the old ones were */
	unsigned long inherited; /* pages of the old ones' charge, to go over to the new ones */
	unsigned long shmem;     /* pages charged for fresh shared memory, not yet its own */
	struct vma *vma;         /* new, when nobody merges */
};

/* The limits, in the order in which Linux asks. */
static int ask_limits(struct mapping *m)
{
	struct samara_mm *mm = m->d->mm;
	int err;

	if (!may_expand_vm(mm, m->d->flags, m->pages - m->old.leaves.total_vm))
		return -ENOMEM;
	if (!vm_accountable(m->d->flags))
		return 0;
	m->charged = m->pages - m->old.leaves.accounted;
	err = m->charged ? mm_charge(mm, m->charged) : 0;
	if (err)
		return err;
	/* The old pages' charge goes over to the new ones. */
	m->inherited = m->old.leaves.accounted;
	m->old.leaves.accounted = 0;
	m->d->flags |= VM_ACCOUNT;
	return 0;
}

static void plan_merge(struct mapping *m)
{
	struct map_desc *d = m->d;

	m->merge = (struct vma_merge_desc){
		.mm = d->mm,
		.start = d->start,
		.end = d->end,
		.pgoff = d->pgoff,
		.flags = d->flags,
		.file = d->file,
		.dead = d->dead,
		.kind = MERGE_NONE,
	};
	if (!d->file && (d->flags & VM_SHARED))
		return; /* fresh shared memory is like no other */
	m->merge.prev = m->old.prev;
	m->merge.next = m->old.next;
	if (d->kind == MAP_HEAP) {
		m->merge.just_expand = true;
		/* What reaches up over the heap's start is the heap, wherever it begins. */
		if (m->merge.prev && m->merge.prev->vm_end <= d->mm->layout.start_brk)
			m->merge.prev = NULL;
	}
	vma_merge_plan(&m->merge);
}

static bool wants_shmem(const struct map_desc *d)
{
	if (!d->file)
		return d->flags & VM_SHARED;
	return (d->flags & VM_SHARED) && file_is(d->file, SAMARA_FILE_ZERO);
}

/* The driver's, or the host's. */
static int ask_mmap_operation(struct map_desc *d)
{
	const struct inode *inode = d->file->inode;
	struct samara_vma_desc desc = {
		.file = d->file,
		.start = d->start,
		.end = d->end,
		.pgoff = d->pgoff,
		.vm_flags = d->flags,
	};
	int err = 0;

	if (inode_is_device(inode))
		err = device_mmap_prepare(&desc);
	else if (inode->asks_host)
		err = host_map_ask(&desc);
	if (!err)
		d->flags = desc.vm_flags;
	return err;
}

/* The file's own say. */
static int ask_file(struct map_desc *d)
{
	/* Nobody has set huge pages aside. */
	if (d->flags & VM_HUGETLB)
		return d->pgoff & (d->huge_pages - 1) ? -EINVAL : -ENOMEM;
	if (d->file && (d->flags & VM_SYNC) && file_is(d->file, SAMARA_FILE_NO_SYNC))
		return -EOPNOTSUPP;
	return d->file ? ask_mmap_operation(d) : 0;
}

/* What fresh shared memory may come to is promised as a whole. */
static int charge_shmem(struct mapping *m)
{
	struct commit *commit = &m->d->mm->machine->store->commit;
	int err;

	if (!wants_shmem(m->d) || (m->d->flags & VM_NORESERVE))
		return 0;
	err = commit_charge(commit, m->pages, mm_commit_who(m->d->mm));
	if (!err)
		m->shmem = m->pages;
	return err;
}

static int make_shmem(struct mapping *m, struct samara_file **out)
{
	const struct shmem_desc desc = {
		.name = SHMEM_ZERO_NAME,
		.length = m->d->end - m->d->start,
		.charged = m->shmem,
	};
	int err = file_shmem(m->d->mm->machine->store, &desc, out);

	if (!err)
		m->shmem = 0;
	return err;
}

static int new_vma(struct mapping *m)
{
	struct map_desc *d = m->d;
	struct vma *vma = vma_alloc(d->mm);
	int err = 0;

	if (!vma)
		return -ENOMEM;
	vma_set_range(vma, d->start, d->end, d->pgoff);
	vma->vm_flags = d->flags;
	vma->is_anon = !(d->flags & VM_SHARED) && (!d->file || file_is(d->file, SAMARA_FILE_ZERO));
	if (wants_shmem(d))
		err = make_shmem(m, &vma->vm_file);
	else if (d->file)
		vma->vm_file = file_get(d->file);
	if (!err)
		err = vma_link_file(vma);
	if (err) {
		vma_discard(vma);
		return err;
	}
	m->vma = vma;
	return 0;
}

/* The one store that puts the mapping in place of what was there. */
static int store(struct mapping *m)
{
	const struct vma_store store = {
		.mm = m->d->mm,
		.start = m->d->start,
		.end = m->d->end,
		.entry = m->vma,
		.above = m->old.top,
	};

	m->merge.above = m->old.top;
	return m->vma ? vma_store(&store) : vma_merge_store(&m->merge);
}

/* Everything that needs memory, and the point of no return. */
static int prepare_and_store(struct mapping *m)
{
	int err = 0;

	/* A VMA that grows back over a hole in itself needs no other for its upper part. */
	if (m->merge.kind != MERGE_BOTH || m->merge.prev != m->merge.next)
		err = unmap_alloc_top(&m->old);
	if (!err && m->merge.kind == MERGE_NONE)
		err = new_vma(m);
	if (!err)
		err = store(m);
	if (err) {
		vma_discard(m->vma);
		vma_discard(m->old.top);
	}
	return err;
}

static void finish(struct mapping *m)
{
	struct map_desc *d = m->d;
	struct mm_counters *count = &d->mm->count;

	unmap_trim(&m->old);
	if (m->vma) {
		count->map_count++;
		d->out = m->vma;
	} else {
		vma_merge_finish(&m->merge);
		d->out = m->merge.target;
	}
	unmap_complete(&m->old);
	vm_stat_account(d->mm, d->flags, (long)m->pages);
	if (!(d->flags & VM_LOCKED))
		return;
	/* What cannot be locked is noticed only now, after merging. */
	if (vm_lockable(d->flags))
		count->locked_vm += m->pages;
	else
		vma_set_flags(d->out, d->out->vm_flags & ~VM_LOCKED_MASK);
}

/* The range is given up: Linux clears it before it asks the file or makes shared memory. */
static void leave_gap(struct mapping *m)
{
	m->old.leaves.accounted += m->inherited;
	if (m->old.first)
		(void)!unmap_commit(&m->old); /* refused: the range stays as it was */
}

/* What goes, and the neighbours. 0 or -errno. */
static int look_around(struct mapping *m)
{
	const struct map_desc *d = m->d;

	if (!d->vacant)
		return unmap_gather(&m->old);
	VM_WARN_ON(vma_find(d->mm, d->start, d->end));
	m->old.prev = d->around.prev;
	m->old.next = d->around.next;
	if (d->around.known)
		return 0;
	m->old.prev = d->start ? vma_lookup(d->mm, d->start - 1) : NULL;
	m->old.next = vma_lookup(d->mm, d->end);
	return 0;
}

int map_region(struct map_desc *d)
{
	struct mapping m = {
		.d = d,
		.pages = mm_pages(d->mm, d->end - d->start),
		.old = { .mm = d->mm, .start = d->start, .end = d->end, .dead = d->dead },
	};
	int err;

	m.old.around = true;
	err = look_around(&m);

	if (err)
		return err;
	err = ask_limits(&m);
	if (err) {
		unmap_leave_cut(&m.old);
		return err;
	}
	err = ask_file(d);
	if (!err)
		err = charge_shmem(&m);
	if (err) {
		mm_uncharge(d->mm, m.charged);
		leave_gap(&m);
		return err;
	}
	plan_merge(&m);
	err = prepare_and_store(&m);
	if (err) {
		mm_uncharge(d->mm, m.charged);
		commit_uncharge(&d->mm->machine->store->commit, m.shmem);
		return err;
	}
	finish(&m);
	return 0;
}
