/* SPDX-License-Identifier: MIT */
/*
 * Who keeps a copy by what was written, beside threads that write: at the end the copy is whole.
 *
 *   scan        Pages that PAGEMAP_SCAN gives and protects are copied, while a thread stores.
 *   scan_cpu    The same of a CPU, whose TLB remembers the right to write.
 *   scan_move   The same while the page is moved to another frame.
 *   clear       All is copied behind clear_refs; later the pages that are soft-dirty once more.
 *   clear_cpu   The same of a CPU.
 *   clear_move  The same while the page is moved to another frame.
 */
#include "schedule/world.h"

#include <samara/reclaim.h>
#include <samara/uffd.h>

#include "core/mm.h"

#define FIRST 2UL /* pages 2 to 5: two leaves */
#define PAGES 4UL

struct written_world {
	struct world w;
	struct samara_uffd *uffd;
	struct samara_cpu *cpu;
	uint64_t copy[PAGES];
};

static void open_pages(struct written_world *t, unsigned int flags)
{
	world_open(&t->w);
	t->w.machine->flags |= flags;
	/* The first mm was made without the flag. */
	samara_mm_exit(t->w.mm);
	t->w.mm = world_mm(&t->w);
	world_map(t->w.mm, FIRST, PAGES, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(t->w.mm, FIRST, 1);
	world_set(t->w.mm, FIRST + 2, 1);
	schedule_require(!samara_cpu_create(t->w.machine, &t->cpu));
}

static void copy_page(struct written_world *t, unsigned long page)
{
	t->copy[page - FIRST] = world_value(t->w.mm, page);
}

static void store_some(void *arg)
{
	struct written_world *t = arg;

	for (uint64_t value = 2; value < 5; value++) {
		world_set(t->w.mm, FIRST, value);
		world_set(t->w.mm, FIRST + 3, value);
	}
}

static void store_by_cpu(void *arg)
{
	struct written_world *t = arg;

	samara_cpu_run(t->cpu, t->w.mm);
	for (uint64_t value = 2; value < 6; value++)
		schedule_require(world_cpu_store(t->cpu, FIRST, value));
}

static void move_pages(void *arg)
{
	struct written_world *t = arg;

	(void)samara_migrate_pages(t->w.mm, PG(FIRST), PAGES);
	(void)samara_migrate_pages(t->w.mm, PG(FIRST), PAGES);
}

static void copy_is_whole(struct written_world *t)
{
	for (unsigned long i = 0; i < PAGES; i++)
		schedule_require(t->copy[i] == world_value(t->w.mm, FIRST + i));
	world_check(&t->w);
	samara_cpu_destroy(t->cpu);
	samara_uffd_put(t->uffd);
	world_close(&t->w);
}

/* scan ------------------------------------------------------------------------------ */

static void open_scanned(void *arg)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct uffdio_register all = { .range = { PG(FIRST), PAGES * WORLD_PAGE },
				       .mode = UFFDIO_REGISTER_MODE_WP };
	struct written_world *t = arg;

	open_pages(t, 0);
	schedule_require(!samara_uffd_create(t->w.mm, 0, &t->uffd));
	schedule_require(!samara_uffd_ioctl(t->uffd, UFFDIO_API, &api));
	schedule_require(!samara_uffd_ioctl(t->uffd, UFFDIO_REGISTER, &all));
}

static void scan_once(struct written_world *t)
{
	struct page_region region[PAGES];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_WP_MATCHING,
		.start = PG(FIRST),
		.end = PG(FIRST + PAGES),
		.vec = (uintptr_t)region,
		.vec_len = PAGES,
		.category_mask = PAGE_IS_WRITTEN,
	};
	const long n = samara_pagemap_scan(t->w.mm, &arg);

	schedule_require(n >= 0);
	for (long i = 0; i < n; i++)
		for (unsigned long at = region[i].start; at < region[i].end; at += WORLD_PAGE)
			copy_page(t, at / WORLD_PAGE);
}

static void scan_some(void *arg)
{
	for (int i = 0; i < 3; i++)
		scan_once(arg);
}

static void scan_at_last(void *arg)
{
	scan_once(arg);
	copy_is_whole(arg);
}

static const struct scenario scan = {
	.name = "scan",
	.what = "no store beside scans is missed",
	.world_size = sizeof(struct written_world),
	.setup = open_scanned,
	.threads = { { "scanner", scan_some }, { "writer", store_some } },
	.check = scan_at_last,
};

static const struct scenario scan_cpu = {
	.name = "scan_cpu",
	.what = "no store of a CPU's beside scans is missed",
	.world_size = sizeof(struct written_world),
	.setup = open_scanned,
	.threads = { { "scanner", scan_some }, { "cpu", store_by_cpu } },
	.check = scan_at_last,
};

static const struct scenario scan_move = {
	.name = "scan_move",
	.what = "no store beside scans is missed while pages are moved",
	.world_size = sizeof(struct written_world),
	.setup = open_scanned,
	.threads = { { "scanner", scan_some }, { "writer", store_some }, { "mover", move_pages } },
	.check = scan_at_last,
};

/* clear ----------------------------------------------------------------------------- */

static void open_soft_dirty(void *arg)
{
	open_pages(arg, SAMARA_MACHINE_SOFT_DIRTY);
}

static void clear_and_copy(void *arg)
{
	struct written_world *t = arg;

	for (int i = 0; i < 2; i++) {
		schedule_require(!samara_clear_refs(t->w.mm, 4));
		for (unsigned long page = FIRST; page < FIRST + PAGES; page++)
			copy_page(t, page);
	}
}

static void copy_soft_dirty(void *arg)
{
	struct written_world *t = arg;
	unsigned long long entry[PAGES];

	schedule_require(!samara_pagemap(t->w.mm, PG(FIRST), PAGES, entry));
	for (unsigned long i = 0; i < PAGES; i++)
		if (entry[i] & SAMARA_PM_SOFT_DIRTY)
			copy_page(t, FIRST + i);
	copy_is_whole(t);
}

static const struct scenario clear = {
	.name = "clear",
	.what = "what is stored behind clear_refs is soft-dirty",
	.world_size = sizeof(struct written_world),
	.setup = open_soft_dirty,
	.threads = { { "clearer", clear_and_copy }, { "writer", store_some } },
	.check = copy_soft_dirty,
};

static const struct scenario clear_cpu = {
	.name = "clear_cpu",
	.what = "what a CPU stores behind clear_refs is soft-dirty",
	.world_size = sizeof(struct written_world),
	.setup = open_soft_dirty,
	.threads = { { "clearer", clear_and_copy }, { "cpu", store_by_cpu } },
	.check = copy_soft_dirty,
};

static const struct scenario clear_move = {
	.name = "clear_move",
	.what = "what is stored behind clear_refs is soft-dirty while pages are moved",
	.world_size = sizeof(struct written_world),
	.setup = open_soft_dirty,
	.threads = { { "clearer", clear_and_copy },
		     { "writer", store_some },
		     { "mover", move_pages } },
	.check = copy_soft_dirty,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = { &scan,      &scan_cpu,   &scan_move, &clear,
						      &clear_cpu, &clear_move, NULL };

	return schedule_main(argc, argv, all);
}
