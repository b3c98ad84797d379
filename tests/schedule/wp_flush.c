/* SPDX-License-Identifier: MIT */
/*
 * A call that write-protects a page while another one does: once it has returned, no TLB has the
 * entry from before both that allows a store.
 *
 *   second   Two requests.
 *   scans    Two scans that write-protect.
 *   mixed    A request and such a scan.
 *   synced   A request, and write-back, which takes the right to write away, too.
 */
#include "schedule/uffd_protect.h"

/* The TLB allows a store before the others begin, and nothing puts an entry there later. */
static void fill(struct protect_world *p)
{
	samara_cpu_run(p->cpu, p->w.mm);
	schedule_require(world_cpu_store(p->cpu, AT, OLD));
}

static void open_filled(void *arg)
{
	open_async(arg);
	fill(arg);
}

static void open_host_file(void *arg)
{
	open_as(arg, OF_HOST, UFFD_FEATURE_WP_ASYNC);
	fill(arg);
}

static void look(void *arg)
{
	struct protect_world *p = arg;

	samara_cpu_run(p->cpu, p->w.mm);
	for (int i = 0; i < 2; i++) {
		long over;

		samara_cpu_enter(p->cpu);
		over = schedule_ghost(&p->over, 0);
		schedule_require(!samara_cpu_lookup(p->cpu, PG(AT), SAMARA_ACCESS_WRITE) || !over);
		samara_cpu_exit(p->cpu);
	}
}

static void protect_then_tell(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!ask(p, UFFDIO_WRITEPROTECT_MODE_WP));
	schedule_ghost(&p->over, 1);
}

static void scan_then_tell(void *arg)
{
	struct protect_world *p = arg;
	struct page_region region;
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING,
		.start = PG(AT),
		.end = PG(AT + 1),
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};

	schedule_require(samara_pagemap_scan(p->w.mm, &scan) >= 0);
	schedule_ghost(&p->over, 1);
}

static void sync_it(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!samara_msync(p->w.mm, PG(AT), WORLD_PAGE, MS_SYNC));
}

static void close_filled(void *arg)
{
	struct protect_world *p = arg;

	samara_cpu_run(p->cpu, NULL);
	close_protect(arg);
}

SCENARIO(second, "second", "behind each of two requests no TLB allows a store", open_filled,
	 close_filled, { "protect", protect_then_tell }, { "second", protect_then_tell },
	 { "cpu", look });

SCENARIO(scans, "scans", "behind each of two scans that write-protect no TLB allows a store",
	 open_filled, close_filled, { "scan", scan_then_tell }, { "second", scan_then_tell },
	 { "cpu", look });

SCENARIO(mixed, "mixed", "the same behind a request beside such a scan", open_filled, close_filled,
	 { "scan", scan_then_tell }, { "protect", protect_then_tell }, { "cpu", look });

SCENARIO(synced, "synced", "the same behind a request beside write-back", open_host_file,
	 close_filled, { "sync", sync_it }, { "protect", protect_then_tell }, { "cpu", look });

int main(int argc, char **argv)
{
	static const struct scenario *const scenarios[] = {
		&second, &scans, &mixed, &synced, NULL,
	};

	return schedule_main(argc, argv, scenarios);
}
