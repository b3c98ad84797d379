/* SPDX-License-Identifier: MIT */
/*
 * Moving a part of a VMA: a new VMA, or a neighbour grown, at the new place, and the
 * old place cleared.
 *
 *   1. check_cuts(), the commit charge
 *   2. move_reserve(): memory for later stores, page tables for the new place, events
 *   3. prepare_and_store(): the destination
 *   ---- point of no return ----
 *   4. complete(): the pages move. Where REMAP is not told, the VMA that has them is not registered
 *      any more, nor what it was merged with, as in Linux
 *   5. clear_source() or keep_source(). The charge of what is cleared stays, for the destination
 *
 * Anonymous memory without an anon_vma takes the page offset of its new address, so that it can
 * merge there. Other memory keeps its offset.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "range/range.h"
#include "store/file.h"
#include "uffd/uffd.h"
#include "vma/account.h"
#include "vma/find.h"
#include "vma/merge.h"
#include "vma/move.h"
#include "vma/unmap.h"

/* The destination: a neighbour that grows, or a new VMA. */
struct target {
	struct vma_merge_request grow;
	struct vma_merge_plan merge;
	struct vma *vma; /* new, if nothing merges */
};

static int check_cuts(const struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	const struct vma *vma = plan->vma;

	/* A move makes up to three more VMAs while it is under way. */
	if (req->mm->count.map_count + 3 >= req->mm->machine->max_map_count)
		return -ENOMEM;
	if (!vma_may_split(vma) &&
	    (vma->vm_start != req->addr || vma->vm_end != req->addr + plan->old_len))
		return -EINVAL;
	return 0;
}

static void plan_target(const struct remap_plan *plan, struct target *t)
{
	const unsigned long start = plan->new_addr, end = start + plan->req->new_len;
	const struct vma *vma = plan->vma;
	struct samara_mm *mm = plan->req->mm;
	unsigned long pgoff = vma_pgoff_at(vma, plan->req->addr);

	if (vma->is_anon && !vma->anon_vma)
		pgoff = mm_pages(mm, start);
	t->vma = NULL;
	t->grow = (struct vma_merge_request){
		.mm = mm,
		.start = start,
		.end = end,
		.pgoff = pgoff,
		.traits = vma_traits(vma),
		.copied = vma,
		.prev = plan->around.prev,
		.next = plan->around.next,
	};
	if (!plan->around.known) {
		t->grow.prev = start ? vma_lookup(mm, start - 1) : NULL;
		t->grow.next = vma_lookup(mm, end);
	}
	vma_merge_plan(&t->grow, &t->merge);
}

/* Clearing the source needs no memory if it is a whole VMA that stays apart from the target. */
static bool needs_reserve(const struct remap_plan *plan, const struct target *t)
{
	const struct vma *vma = plan->vma;
	const unsigned long start = plan->req->addr;

	if (t->merge.kind != MERGE_NONE && (t->grow.prev == vma || t->grow.next == vma))
		return true;
	return remap_clears_source(plan) &&
	       (vma->vm_start != start || vma->vm_end != start + plan->old_len);
}

/* The VMA at the new place. NULL when refused. */
static struct vma *make_copy(const struct remap_plan *plan, const struct target *t,
			     struct vma_reserve *reserve)
{
	struct vma *copy = vma_take(plan->req->mm, reserve);

	if (!copy)
		return NULL;
	vma_copy_fields(copy, plan->vma, t->grow.start, t->grow.end);
	copy->vm_pgoff = t->grow.pgoff;
	if (vma_links_copy(copy, plan->vma, reserve ? &reserve->links : NULL)) {
		vma_discard(copy);
		return NULL;
	}
	return copy;
}

/* The page-table entries that move to the VMA to. */
static struct move_desc pages_of(const struct remap_plan *plan, struct vma *to)
{
	return (struct move_desc){
		.from = plan->vma,
		.to = to,
		.old_addr = plan->req->addr,
		.new_addr = plan->new_addr,
		.len = min(plan->old_len, plan->req->new_len),
	};
}

/* Whether [start, end), which begins in the VMA that moves, may be registered. */
static bool may_be_told(const struct remap_plan *plan, unsigned long end)
{
	return (plan->vma->vm_flags & VM_UFFD_FLAGS) || end > plan->vma->vm_end;
}

/* REMAP; UNMAP of the tail, which may be other VMAs', and of the source. 0 or -ENOMEM. */
static __cold int prepare_events(struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	const unsigned long start = req->addr, end = start + plan->old_len;
	const unsigned long kept = min(plan->old_len, req->new_len);
	const struct uffd_remap remap = { .from = start, .to = plan->new_addr, .len = kept };
	struct remap_events *events = plan->events;
	int err;

	*events = (struct remap_events){ 0 };
	plan->told = true;
	err = uffd_remap_prepare(&events->remap, plan->vma, &remap);
	if (!err && kept < plan->old_len)
		err = uffd_unmap_prepare(&events->tail, req->mm, start + kept, end);
	if (!err && remap_clears_source(plan))
		err = uffd_unmap_prepare(&events->source, req->mm, start, start + kept);
	return err;
}

/*
 * A copy of plan->vma needs as many links as it has. One more if it has no anon_vma: when it grows
 * into the new place, a neighbour there may give it one before it is cut.
 */
int move_reserve(struct remap_plan *plan, unsigned int later)
{
	const struct move_desc pages = pages_of(plan, plan->vma);
	struct samara_mm *mm = plan->req->mm;

	if (plan->begun)
		return 0;
	if (later && vma_reserve_fill(&plan->reserve, mm, later,
				      vma_links_wanted(plan->vma) + !plan->vma->anon_vma))
		return -ENOMEM;
	if (unlikely(may_be_told(plan, plan->req->addr + plan->old_len)) && prepare_events(plan))
		return -ENOMEM;
	return mm_has_tables(mm) && plan->old_len ? move_prepare(&pages) : 0;
}

/* Memory, then the destination: the point of no return. */
static int prepare_and_store(struct remap_plan *plan, struct target *t)
{
	struct vma_store store = {
		.mm = t->grow.mm,
		.start = t->grow.start,
		.end = t->grow.end,
	};

	if (move_reserve(plan, needs_reserve(plan, t)))
		return -ENOMEM;
	store.reserve = remap_reserve(plan);
	vma_start_write(plan->vma);
	if (t->merge.kind != MERGE_NONE)
		return vma_merge_store(&t->merge, NULL, store.reserve);
	store.entry = make_copy(plan, t, store.reserve);
	if (!store.entry)
		return -ENOMEM;
	if (vma_store(&store)) {
		vma_discard(store.entry);
		return -ENOMEM;
	}
	t->vma = store.entry;
	return 0;
}

/*
 * to has lost its registration, which had these flags. What has moved is not write-protected any
 * more. What was merged with it keeps its bits, which stop nothing.
 */
static void unprotect_moved(const struct remap_plan *plan, struct vma *to, unsigned long flags)
{
	const unsigned long start = plan->new_addr, end = start + plan->req->new_len;

	if (plan->old_len)
		range_uffd_unprotect_moved(to, start,
					   start + min(plan->old_len, plan->req->new_len));
	if ((flags & VM_UFFD_WP) && (to->vm_start != start || to->vm_end != end))
		mm_uffd_bits_stale(to->vm_mm);
}

/*
 * to, which is registered, has the pages. Without REMAP it is not registered any more, nor what was
 * merged with it.
 */
static __cold void keep_registered(struct remap_plan *plan, struct vma *to)
{
	const unsigned long flags = to->vm_flags;

	if (uffd_remap_told(to))
		return;
	/* Faults that were told in what was merged with it: nothing else ends them. */
	uffd_posts_drop(to->rare.uffd, to->vm_start, to->vm_end);
	vma_set_flags(to, flags & ~VM_UFFD_FLAGS);
	to->rare.uffd = NULL;
	unprotect_moved(plan, to, flags);
	/* The source was merged into it: clearing that is told to none. */
	if (plan->vma == to)
		uffd_events_drop(&plan->events->source);
}

/* VMAs follow the tree, and the pages move. Returns the VMA at the new place. */
static struct vma *complete(struct remap_plan *plan, const struct target *t)
{
	struct samara_mm *mm = plan->req->mm;
	struct vma *to = t->vma;
	struct move_desc pages;

	if (to) {
		mm->count.map_count++;
	} else {
		to = vma_merge_commit(&t->merge, plan->req->dead);
		/* The VMA that grew may have taken in the source, or be the source. */
		if (plan->old_len)
			plan->vma = vma_lookup(mm, plan->req->addr);
	}
	if (mm_has_tables(mm) && plan->old_len) {
		pages = pages_of(plan, to);
		move_page_tables(&pages);
	}
	if (unlikely(to->vm_flags & VM_UFFD_FLAGS))
		keep_registered(plan, to);
	return to;
}

static void clear_source(struct remap_plan *plan)
{
	const struct remap_request *req = plan->req;
	const struct unmap_request source = {
		.mm = req->mm,
		.start = req->addr,
		.end = req->addr + plan->old_len,
		.keep_accounted = true,
		.untold = true,
		.at_start = plan->vma,
		.reserve = remap_reserve(plan),
	};
	struct unmap_plan unmap;

	/* check_cuts() has checked what gathering asks, and the reserve has the memory. */
	BUG_ON(unmap_gather(&source, &unmap));
	BUG_ON(unmap_apply(&unmap, req->dead));
}

/*
 * MREMAP_DONTUNMAP: the source stays without its pages. It loses VM_LOCKED, and its anon_vma if the
 * whole VMA moved. Linux 6.18 goes on counting its pages in locked_vm.
 */
static void keep_source(const struct remap_plan *plan, const struct vma *to)
{
	const struct remap_request *req = plan->req;
	struct vma *vma = plan->vma;

	if (vma->vm_flags & VM_LOCKED)
		req->mm->count.locked_astray += vma_pages(vma);
	vma_set_flags(vma, vma->vm_flags & ~VM_LOCKED_MASK);
	if (vma->vm_start == req->addr && vma->vm_end == req->addr + plan->old_len && to != vma)
		anon_vma_unlink(vma);
}

int move_vma(struct remap_plan *plan)
{
	struct samara_mm *mm = plan->req->mm;
	const unsigned long flags = plan->vma->vm_flags;
	const bool stays = plan->req->flags & MREMAP_DONTUNMAP;
	const unsigned long pages = mm_pages(mm, plan->req->new_len);
	const unsigned long grows = stays ? pages : pages - mm_pages(mm, plan->old_len);
	const struct vma *to;
	struct target t;
	int err = check_cuts(plan);

	if (err)
		return err;
	if ((flags & VM_ACCOUNT) && mm_charge(mm, grows))
		return -ENOMEM;
	plan_target(plan, &t);
	err = prepare_and_store(plan, &t);
	if (err) {
		if (flags & VM_ACCOUNT)
			mm_uncharge(mm, grows);
		return err;
	}
	/* The point of no return: later stores draw on the reserve. */
	plan->begun = true;
	to = complete(plan, &t);
	vm_stat_account(mm, flags, (long)pages);
	if (flags & VM_LOCKED)
		mm->count.locked_vm += pages;
	if (stays)
		keep_source(plan, to);
	else if (plan->old_len)
		clear_source(plan);
	return 0;
}
