/* SPDX-License-Identifier: MIT */
/*
 * Moving a part of a VMA: a new VMA, or a neighbour grown, at the new place, and the
 * old place cleared.
 *
 *   1. may it be cut, are there VMAs enough, is there budget
 *   2. memory: the reserve, if any step needs some, and page tables for the new place
 *   3. the destination is stored
 *   ---- point of no return ----
 *   4. the pages move
 *   5. the source is cleared, its charge having gone over
 *
 * Memory that was never written to takes the page offset of its new address, so
 * that it can be merged there; memory that was keeps the old one.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "range/range.h"
#include "store/file.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/merge.h"
#include "vma/remap.h"
#include "vma/unmap.h"

/* The destination on its way. */
struct target {
	struct vma_merge_desc merge;
	struct vma *vma; /* when nobody merges */
};

static int check_cuts(const struct remap_desc *r)
{
	const struct vma *vma = r->vma;

	/* Up to three more VMAs while it is under way. */
	if (r->mm->count.map_count + 3 >= r->mm->machine->max_map_count)
		return -ENOMEM;
	if (!vma_may_split(vma) &&
	    (vma->vm_start != r->addr || vma->vm_end != r->addr + r->old_len))
		return -EINVAL;
	return 0;
}

static void plan(const struct remap_desc *r, struct target *t)
{
	const struct vma *vma = r->vma;
	unsigned long pgoff = vma->vm_pgoff + mm_pages(r->mm, r->addr - vma->vm_start);

	if (vma->is_anon && !vma->anon_vma)
		pgoff = mm_pages(r->mm, r->new_addr);
	t->merge = (struct vma_merge_desc){
		.mm = r->mm,
		.start = r->new_addr,
		.end = r->new_addr + r->new_len,
		.pgoff = pgoff,
		.flags = vma->vm_flags,
		.file = vma->vm_file,
		.special = vma->special,
		.anon_vma = vma->anon_vma,
		.copied = vma,
		.dead = r->dead,
		.prev = r->around.prev,
		.next = r->around.next,
	};
	if (!r->around.known) {
		t->merge.prev = r->new_addr ? vma_lookup(r->mm, r->new_addr - 1) : NULL;
		t->merge.next = vma_lookup(r->mm, r->new_addr + r->new_len);
	}
	vma_merge_plan(&t->merge);
}

/* Clearing the source needs no memory if it is a whole VMA that stays apart from the target. */
static bool needs_reserve(const struct remap_desc *r, const struct target *t)
{
	if (t->merge.kind != MERGE_NONE && (t->merge.prev == r->vma || t->merge.next == r->vma))
		return true;
	return remap_clears_source(r) &&
	       (r->vma->vm_start != r->addr || r->vma->vm_end != r->addr + r->old_len);
}

/* The VMA at the new place. NULL when refused. */
static struct vma *make_copy(struct remap_desc *r, const struct target *t)
{
	struct vma_reserve *reserve = remap_reserve(r);
	struct vma *copy = vma_take(r->mm, reserve);

	if (!copy)
		return NULL;
	vma_copy_fields(copy, r->vma, r->new_addr, r->new_addr + r->new_len);
	copy->vm_pgoff = t->merge.pgoff;
	if (vma_links_copy(copy, r->vma, reserve ? &reserve->links : NULL)) {
		vma_discard(copy);
		return NULL;
	}
	return copy;
}

/* What moves with the VMA, if anything has pages. */
static struct move_desc pages_of(const struct remap_desc *r, struct vma *to)
{
	return (struct move_desc){
		.from = r->vma,
		.to = to,
		.old_addr = r->addr,
		.new_addr = r->new_addr,
		.len = min(r->old_len, r->new_len),
	};
}

/*
 * A copy of r->vma has its links. If it has no family, a neighbour at the new place may bring one
 * into a merge; and if it is itself what grows there, it has that when it is cut.
 */
int move_prepare_steps(struct remap_desc *r, unsigned int later)
{
	const struct move_desc pages = pages_of(r, r->vma);

	if (r->begun)
		return 0;
	if (later && vma_reserve_fill(&r->reserve, r->mm, later,
				      vma_links_wanted(r->vma) + !r->vma->anon_vma))
		return -ENOMEM;
	return mm_has_tables(r->mm) && r->old_len ? move_prepare(&pages) : 0;
}

/* Memory, then the destination: the point of no return. */
static int store(struct remap_desc *r, struct target *t)
{
	struct vma_store store = {
		.mm = r->mm,
		.start = r->new_addr,
		.end = r->new_addr + r->new_len,
	};

	if (move_prepare_steps(r, needs_reserve(r, t)))
		return -ENOMEM;
	store.reserve = t->merge.reserve = remap_reserve(r);
	t->vma = NULL;
	vma_start_write(r->vma);
	if (t->merge.kind != MERGE_NONE)
		return vma_merge_store(&t->merge);
	store.entry = make_copy(r, t);
	if (!store.entry)
		return -ENOMEM;
	if (vma_store(&store)) {
		vma_discard(store.entry);
		return -ENOMEM;
	}
	t->vma = store.entry;
	return 0;
}

static void finish(struct remap_desc *r, struct target *t)
{
	if (t->vma) {
		r->mm->count.map_count++;
	} else {
		vma_merge_finish(&t->merge);
		/* The source itself may have been what grew. */
		if (r->old_len)
			r->vma = vma_lookup(r->mm, r->addr);
	}
	if (mm_has_tables(r->mm) && r->old_len) {
		const struct move_desc pages = pages_of(r, t->vma ? t->vma : t->merge.target);

		move_page_tables(&pages);
	}
}

static void clear_source(struct remap_desc *r)
{
	struct unmap_desc d = {
		.mm = r->mm,
		.start = r->addr,
		.end = r->addr + r->old_len,
		.dead = r->dead,
		.keep_accounted = true,
		.at_start = r->vma,
		.reserve = remap_reserve(r),
	};

	/* check_cuts() and the reserve have seen to it that neither fails. */
	BUG_ON(unmap_gather(&d));
	BUG_ON(unmap_commit(&d));
}

/*
 * MREMAP_DONTUNMAP: the source stays, empty: without lock, and without family
 * if all of it moved. Linux 6.18 does not take it off the pages it counts as locked.
 */
static void keep_source(struct remap_desc *r, const struct target *t)
{
	struct vma *vma = r->vma;

	if (vma->vm_flags & VM_LOCKED)
		r->mm->count.locked_astray += vma_pages(vma);
	vma_set_flags(vma, vma->vm_flags & ~VM_LOCKED_MASK);
	if (vma->vm_start == r->addr && vma->vm_end == r->addr + r->old_len &&
	    (t->vma || t->merge.target != vma))
		anon_vma_unlink(vma);
}

int move_vma(struct remap_desc *r)
{
	const unsigned long flags = r->vma->vm_flags;
	const bool stays = r->flags & MREMAP_DONTUNMAP;
	const unsigned long pages = mm_pages(r->mm, r->new_len);
	const unsigned long grows = stays ? pages : pages - mm_pages(r->mm, r->old_len);
	struct target t; /* plan() and store() fill it */
	int err = check_cuts(r);

	if (err)
		return err;
	if ((flags & VM_ACCOUNT) && mm_charge(r->mm, grows))
		return -ENOMEM;
	plan(r, &t);
	err = store(r, &t);
	if (err) {
		if (flags & VM_ACCOUNT)
			mm_uncharge(r->mm, grows);
		return err;
	}
	r->begun = true;
	finish(r, &t);
	vm_stat_account(r->mm, flags, (long)pages);
	if (flags & VM_LOCKED)
		r->mm->count.locked_vm += pages;
	if (stays)
		keep_source(r, &t);
	else if (r->old_len)
		clear_source(r);
	return 0;
}
