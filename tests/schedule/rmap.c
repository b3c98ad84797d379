/* SPDX-License-Identifier: MIT */
/*
 * Walks from a folio to its mappings, while those come, move and go.
 *
 *   unlink     A walker that finds a folio mapped holds its family, or finds none: the family is
 *              not freed under it, nor is its memory another family's meanwhile.
 *   cut        A page that is mapped all the time is met, while mprotect cuts and merges its VMA:
 *              through one VMA of the tree at most, and perhaps through one that was merged away.
 *   unmap_all  A file's page leaves all page tables, or a fault has brought it back; its counts fit
 *              its entries.
 *   zap        munmap, and an unmapping of all entries, take the entry of one page out once.
 *   exit       An mm exits while its page is walked.
 */
#include "schedule/world.h"

#include "core/vma_lock.h"
#include "frame/frame.h"
#include "mmu/table.h"
#include "rmap/rmap_walk.h"

struct rmap_world {
	struct world w;
	struct samara_mm *other;
	struct folio *folio;   /* of page 1, with a reference */
	unsigned int met;      /* through VMAs in mm's tree */
	unsigned int met_gone; /* through others */
};

/* The folio that is mapped at a page, with a reference. */
static struct folio *hold_page(struct rmap_world *r, unsigned long page)
{
	struct table *leaf = table_find(r->w.mm, PG(page));
	struct folio *folio;

	schedule_require(leaf);
	folio = pfn_folio(r->w.machine->ram, pte_pfn(pte_read(table_pte(r->w.mm, leaf, PG(page)))));
	schedule_require(folio_try_get(folio));
	return folio;
}

static void open_anon(void *arg)
{
	struct rmap_world *r = arg;

	world_open(&r->w);
	world_map(r->w.mm, 1, 2, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(r->w.mm, 1, 7);
	r->folio = hold_page(r, 1);
}

static void open_shmem(void *arg)
{
	struct rmap_world *r = arg;

	world_open(&r->w);
	world_shmem(&r->w, 1);
	world_map(r->w.mm, 1, 1, WORLD_RW, MAP_SHARED, r->w.file);
	world_set(r->w.mm, 1, 7);
	r->folio = hold_page(r, 1);
}

static void close_all(void *arg)
{
	struct rmap_world *r = arg;

	folio_put(r->w.machine->ram, r->folio);
	if (r->w.mm)
		world_check(&r->w);
	samara_mm_exit(r->other);
	world_close(&r->w);
}

static enum rmap_answer count_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct rmap_world *r = walk->arg;
	struct mapped m;

	if (mapped_lock(walk, vma, addr, &m)) {
		if (vma_is_attached(vma))
			r->met++;
		else
			r->met_gone++;
		mapped_unlock(&m);
	}
	return RMAP_ON;
}

static void walk(void *arg)
{
	struct rmap_world *r = arg;
	struct rmap_walk walk = {
		.ram = r->w.machine->ram,
		.folio = r->folio,
		.gate = MM_GATE_LOOK,
		.one = count_one,
		.arg = r,
	};

	folio_lock(r->folio);
	rmap_walk(&walk);
	folio_unlock(r->folio);
}

/* No VMA is merged meanwhile. */
static void walk_once(void *arg)
{
	struct rmap_world *r = arg;

	walk(r);
	schedule_require(r->met + r->met_gone <= 1);
}

/* unlink ------------------------------------------------------------------------------- */

/* The family goes with the VMA. The next one comes from the same memory. */
static void unmap_and_write(void *arg)
{
	struct rmap_world *r = arg;

	world_unmap(r->w.mm, 1, 2);
	world_map(r->w.mm, 5, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(r->w.mm, 5, 8);
}

static const struct scenario unlink_scenario = {
	.name = "unlink",
	.what = "a family is not freed under a walk",
	.world_size = sizeof(struct rmap_world),
	.setup = open_anon,
	.threads = { { "walker", walk_once }, { "munmap", unmap_and_write } },
	.check = close_all,
};

/* cut ---------------------------------------------------------------------------------- */

static void protect(void *arg)
{
	struct rmap_world *r = arg;

	schedule_require(!samara_mprotect(r->w.mm, PG(2), WORLD_PAGE, PROT_READ));
	schedule_require(!samara_mprotect(r->w.mm, PG(1), WORLD_PAGE, PROT_READ));
}

static void was_met(void *arg)
{
	struct rmap_world *r = arg;

	/* A VMA that is merged away is unlinked after the other has its range. */
	schedule_require(r->met <= 1 && r->met_gone <= 1 && r->met + r->met_gone >= 1);
	close_all(arg);
}

static const struct scenario cut = {
	.name = "cut",
	.what = "a mapped page is met while its VMA is cut and merged",
	.world_size = sizeof(struct rmap_world),
	.setup = open_anon,
	.threads = { { "walker", walk }, { "mprotect", protect } },
	.check = was_met,
};

/* unmap_all, zap ----------------------------------------------------------------------- */

static void unmap_all(void *arg)
{
	struct rmap_world *r = arg;

	folio_lock(r->folio);
	/* -EBUSY is no answer for a page that no VMA locks and whose mm lives on. */
	schedule_require(!folio_unmap_all(r->w.machine->store, r->folio, (swp_entry_t){ 0 }));
	folio_unlock(r->folio);
}

static void read_and_write(void *arg)
{
	struct rmap_world *r = arg;

	schedule_require(world_value(r->w.mm, 1) == 7);
	world_set(r->w.mm, 1, 8);
}

static void value_is_there(void *arg)
{
	struct rmap_world *r = arg;

	schedule_require(folio_maps(r->folio) <= 1);
	schedule_require(world_value(r->w.mm, 1) == 8);
	schedule_require(folio_maps(r->folio) == 1);
	close_all(arg);
}

static const struct scenario unmap_all_scenario = {
	.name = "unmap_all",
	.what = "a page that leaves all page tables comes back whole",
	.world_size = sizeof(struct rmap_world),
	.setup = open_shmem,
	.threads = { { "unmap all", unmap_all }, { "user", read_and_write } },
	.check = value_is_there,
};

static void unmap(void *arg)
{
	struct rmap_world *r = arg;

	world_unmap(r->w.mm, 1, 1);
}

static void try_unmap_all(void *arg)
{
	struct rmap_world *r = arg;

	folio_lock(r->folio);
	/* The count of an entry that munmap has cleared falls behind its flush. */
	(void)!folio_unmap_all(r->w.machine->store, r->folio, (swp_entry_t){ 0 });
	folio_unlock(r->folio);
}

static void nothing_maps_it(void *arg)
{
	struct rmap_world *r = arg;

	schedule_require(!folio_maps(r->folio));
	close_all(arg);
}

static const struct scenario zap = {
	.name = "zap",
	.what = "of two that take out an entry one does",
	.world_size = sizeof(struct rmap_world),
	.setup = open_shmem,
	.threads = { { "unmap all", try_unmap_all }, { "munmap", unmap } },
	.check = nothing_maps_it,
};

/* exit --------------------------------------------------------------------------------- */

static void exit_mm(void *arg)
{
	struct rmap_world *r = arg;

	samara_mm_exit(r->w.mm);
	r->w.mm = NULL;
}

static const struct scenario exit_scenario = {
	.name = "exit",
	.what = "an mm exits under a walk",
	.world_size = sizeof(struct rmap_world),
	.setup = open_anon,
	.threads = { { "walker", walk_once }, { "exit", exit_mm } },
	.check = close_all,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&unlink_scenario, &cut, &unmap_all_scenario, &zap, &exit_scenario, NULL,
	};

	return schedule_main(argc, argv, all);
}
