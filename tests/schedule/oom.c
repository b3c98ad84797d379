/* SPDX-License-Identifier: MIT */
/*
 * The OOM reaper beside what the victim does.
 *
 *   exit        A reaper beside samara_mm_exit(): both end, and each page is freed once.
 *   exit_maps   The same of an mm whose page another one has too, which keeps it.
 *   twice       Two reapers: one of them reaps, and both leave only when it has.
 *   fork        A fork beside a reaper fails, or its child has what was written, and no zeros.
 *   built_N     A fork whose Nth allocation is refused, beside a reaper of all other mms: it takes
 *               nothing from the parent.
 *   unmap       munmap of a part beside a reaper leaves no page.
 *   fault       A read finds what was written, or SIGBUS; no page is mapped behind the reaper.
 *   file        The same of a private copy of a file's page: never the file's bytes.
 *   migrate     A page moves to another frame beside a reaper, which takes it from either.
 *   choose      Threads without memory tell each owner once, and come to an end.
 */
#include "schedule/world.h"

#include <errno.h>

#include <samara/inject.h>
#include <samara/notifier.h>
#include <samara/reclaim.h>

#include "base/nap.h"
#include "core/mms.h"
#include "frame/frame.h"
#include "mmu/table.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"

struct oom_world {
	struct world w;
	struct samara_mm *child, *victim; /* victim: with a reference of the reapers' */
	struct samara_notifier *notifier;
	long pairs;          /* ghost: those that the notifier has heard of */
	long told[2];        /* ghost: owners of w.mm, child */
	unsigned int reaped; /* atomic */
	struct folio *folio; /* of page 1, with a reference */
};

static void open_written(void *arg)
{
	struct oom_world *o = arg;

	world_open(&o->w);
	world_map(o->w.mm, 1, 3, WORLD_RW, MAP_PRIVATE, NULL); /* 3 is not touched */
	world_set(o->w.mm, 1, 5);
	world_set(o->w.mm, 2, 6);
	o->victim = o->w.mm;
	mm_get(o->victim);
}

static void reap(struct samara_mm *mm)
{
	for (unsigned long look = 0; oom_reap(mm); look++)
		nap_between_looks(look);
}

static void reap_victim(void *arg)
{
	struct oom_world *o = arg;

	reap(o->victim);
	smp_store_release(&o->reaped, 1);
}

static void close_all(void *arg)
{
	struct oom_world *o = arg;

	mm_put(o->victim);
	world_check(&o->w);
	if (o->child)
		samara_mm_exit(o->child);
	world_close(&o->w);
}

static void nothing_is_left(void *arg)
{
	struct oom_world *o = arg;

	schedule_require(!world_frames(&o->w));
	close_all(arg);
}

/* exit, exit_maps ------------------------------------------------------------------------ */

static void exit_victim(void *arg)
{
	struct oom_world *o = arg;

	o->w.mm = NULL;
	samara_mm_exit(o->victim);
}

static const struct scenario exit_scenario = {
	.name = "exit",
	.what = "a reaper beside an exit frees each page once",
	.world_size = sizeof(struct oom_world),
	.setup = open_written,
	.threads = { { "exit", exit_victim }, { "reaper", reap_victim } },
	.check = nothing_is_left,
};

static void open_forked(void *arg)
{
	struct oom_world *o = arg;

	open_written(arg);
	schedule_require(!samara_fork(o->w.mm, &o->child));
}

static void child_has_all(void *arg)
{
	struct oom_world *o = arg;

	schedule_require(world_frames(&o->w) == 2);
	schedule_require(world_value(o->child, 1) == 5 && world_value(o->child, 2) == 6);
	world_set(o->child, 1, 7);
	schedule_require(world_frames(&o->w) == 2); /* it is the only one that has the page */
	close_all(arg);
}

static const struct scenario exit_maps = {
	.name = "exit_maps",
	.what = "a reaper beside an exit leaves another mm what both have",
	.world_size = sizeof(struct oom_world),
	.setup = open_forked,
	.threads = { { "exit", exit_victim }, { "reaper", reap_victim } },
	.check = child_has_all,
};

/* twice ------------------------------------------------------------------------------------ */

static void hear(const struct samara_notifier_range *range, void *priv)
{
	struct oom_world *o = priv;

	(void)range;
	schedule_ghost(&o->pairs, 1);
}

static void open_with_notifier(void *arg)
{
	static const struct samara_notifier_ops ops = { hear, NULL, NULL };
	struct oom_world *o = arg;

	open_written(arg);
	schedule_require(!samara_notifier_register(o->w.mm, &ops, o, &o->notifier));
}

static void reap_and_look(void *arg)
{
	struct oom_world *o = arg;

	reap(o->victim);
	schedule_require(!world_frames(&o->w));
}

static void was_reaped_once(void *arg)
{
	struct oom_world *o = arg;

	schedule_require(schedule_ghost(&o->pairs, 0) == 1);
	samara_notifier_unregister(o->notifier);
	nothing_is_left(arg);
}

static const struct scenario twice = {
	.name = "twice",
	.what = "of two reapers one reaps, and both leave when it has",
	.world_size = sizeof(struct oom_world),
	.setup = open_with_notifier,
	.threads = { { "one", reap_and_look }, { "two", reap_and_look } },
	.check = was_reaped_once,
};

/* fork, built_N ---------------------------------------------------------------------------- */

static void fork_victim(void *arg)
{
	struct oom_world *o = arg;
	const int err = samara_fork(o->w.mm, &o->child);

	schedule_require(!err || (err == -ENOMEM && !o->child));
}

static void no_child_or_all(void *arg)
{
	struct oom_world *o = arg;

	if (o->child)
		child_has_all(arg);
	else
		nothing_is_left(arg);
}

static const struct scenario fork_scenario = {
	.name = "fork",
	.what = "a child has what was written, or a fork beside a reaper fails",
	.world_size = sizeof(struct oom_world),
	.setup = open_written,
	.threads = { { "fork", fork_victim }, { "reaper", reap_victim } },
	.check = no_child_or_all,
};

static void fork_without_memory(struct oom_world *o, unsigned long nth)
{
	samara_inject_nth(nth);
	schedule_require(samara_fork(o->w.mm, &o->child) && !o->child);
	samara_inject_nth(0);
}

static void reap_others(void *arg)
{
	struct oom_world *o = arg;
	struct samara_mm *mm;

	for_each_mm(o->w.machine, mm)
	{
		if (mm != o->victim)
			reap(mm);
	}
}

static void parent_is_whole(void *arg)
{
	struct oom_world *o = arg;

	schedule_require(world_frames(&o->w) == 2);
	schedule_require(world_value(o->w.mm, 1) == 5 && world_value(o->w.mm, 2) == 6);
	world_set(o->w.mm, 1, 7);
	schedule_require(world_frames(&o->w) == 2);
	close_all(arg);
}

#define BUILT(n) \
	static void fork_fails_##n(void *arg) \
	{ \
		fork_without_memory(arg, n); \
	} \
	static const struct scenario built_##n = { \
		.name = "built_" #n, \
		.what = "a reaper takes nothing from the parent of a fork that fails", \
		.world_size = sizeof(struct oom_world), \
		.setup = open_written, \
		.threads = { { "fork", fork_fails_##n }, { "reaper", reap_others } }, \
		.check = parent_is_whole, \
	}

/* Its tree; its tables. */
BUILT(5);
BUILT(6);
BUILT(7);

/* unmap, fault, file ------------------------------------------------------------------------ */

static void unmap_one(void *arg)
{
	struct oom_world *o = arg;

	world_unmap(o->w.mm, 1, 1);
}

static const struct scenario unmap = {
	.name = "unmap",
	.what = "munmap beside a reaper leaves no page",
	.world_size = sizeof(struct oom_world),
	.setup = open_written,
	.threads = { { "unmap", unmap_one }, { "reaper", reap_victim } },
	.check = nothing_is_left,
};

/* In that order: what the second one maps would be there behind the reaper. */
static void read_then_write(void *arg)
{
	struct oom_world *o = arg;
	const bool reaped = smp_load_acquire(&o->reaped);
	uint64_t value = 0;

	if (world_load(o->w.mm, 1, &value))
		schedule_require(value == 5 && !reaped);
	world_store(o->w.mm, 1, 8);
	if (world_load(o->w.mm, 1, &value))
		schedule_require(value == 8);
}

static void write_first(void *arg)
{
	world_store(((struct oom_world *)arg)->w.mm, 3, 8);
}

static void nothing_can_be_had(void *arg)
{
	struct oom_world *o = arg;
	uint64_t value;

	for (unsigned int page = 1; page <= 3; page++)
		schedule_require(!world_load(o->w.mm, page, &value));
	nothing_is_left(arg);
}

static const struct scenario fault = {
	.name = "fault",
	.what = "an access finds what was written or SIGBUS, and maps nothing behind a reaper",
	.world_size = sizeof(struct oom_world),
	.setup = open_written,
	.threads = { { "reader", read_then_write }, { "first", write_first },
		     { "reaper", reap_victim } },
	.check = nothing_can_be_had,
};

static void open_copy(void *arg)
{
	struct oom_world *o = arg;

	world_open(&o->w);
	world_shmem(&o->w, 2);
	world_map(o->w.mm, 4, 2, WORLD_RW, MAP_SHARED, o->w.file);
	world_set(o->w.mm, 4, 3);
	world_set(o->w.mm, 5, 3);
	world_map(o->w.mm, 1, 2, WORLD_RW, MAP_PRIVATE, o->w.file);
	world_set(o->w.mm, 1, 5);
	world_set(o->w.mm, 2, 6);
	o->victim = o->w.mm;
	mm_get(o->victim);
}

static void files_pages_are_left(void *arg)
{
	struct oom_world *o = arg;
	uint64_t value;

	schedule_require(!world_load(o->w.mm, 1, &value) && !world_load(o->w.mm, 2, &value));
	schedule_require(world_value(o->w.mm, 4) == 3 && world_value(o->w.mm, 5) == 3);
	schedule_require(world_frames(&o->w) == 2);
	close_all(arg);
}

static const struct scenario file = {
	.name = "file",
	.what = "beside a reaper a private copy never reads as the file",
	.world_size = sizeof(struct oom_world),
	.setup = open_copy,
	.threads = { { "reader", read_then_write }, { "reaper", reap_victim } },
	.check = files_pages_are_left,
};

/* migrate ----------------------------------------------------------------------------------- */

static void open_held(void *arg)
{
	struct oom_world *o = arg;
	struct table *leaf;

	open_written(arg);
	leaf = table_find(o->w.mm, PG(1));
	o->folio = pfn_folio(o->w.machine->ram, pte_pfn(pte_read(table_pte(o->w.mm, leaf, PG(1)))));
	schedule_require(folio_try_get(o->folio));
}

static void migrate_folio(void *arg)
{
	struct oom_world *o = arg;
	struct ram *ram = o->w.machine->ram;
	struct folio *to = folio_alloc(ram, 0, FOLIO_RAW);

	schedule_require(to && lru_isolate_folio(ram, o->folio));
	if (!folio_migrate(o->w.machine->store, o->folio, to))
		lru_add(ram, to);
	folio_put(ram, to);
	folio_put(ram, o->folio);
}

static const struct scenario migrate = {
	.name = "migrate",
	.what = "a reaper takes a page that moves to another frame from either",
	.world_size = sizeof(struct oom_world),
	.setup = open_held,
	.threads = { { "migration", migrate_folio }, { "reaper", reap_victim } },
	.check = nothing_can_be_had,
};

/* choose ------------------------------------------------------------------------------------ */

static void tell(struct samara_mm *victim, void *priv)
{
	struct oom_world *o = priv;

	schedule_require(schedule_ghost(&o->told[victim == o->child], 1) == 1);
}

/* All frames are a file's, or of one of two mms that have a page each. */
static void open_full(void *arg)
{
	static const struct samara_oom_ops ops = { .size = sizeof(ops), .kill = tell };
	struct oom_world *o = arg;

	open_written(arg);
	o->child = world_mm(&o->w);
	world_map(o->child, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(o->child, 1, 7);
	samara_set_oom(o->w.machine, &ops, o);
}

static void take_frames(void *arg)
{
	struct oom_world *o = arg;
	struct folio *folio[WORLD_FRAMES + 1];
	unsigned int n = 0;

	for (;;) {
		folio[n] = folio_alloc(o->w.machine->ram, 0, FOLIO_RAW);
		if (folio[n])
			n++;
		else if (!oom_make_room(o->w.machine))
			break;
	}
	while (n)
		folio_put(o->w.machine->ram, folio[--n]);
}

static void both_were_told(void *arg)
{
	struct oom_world *o = arg;

	schedule_require(schedule_ghost(&o->told[0], 0) == 1);
	schedule_require(schedule_ghost(&o->told[1], 0) == 1);
	nothing_is_left(arg);
}

static const struct scenario choose = {
	.name = "choose",
	.what = "threads without memory tell each owner once, and come to an end",
	.world_size = sizeof(struct oom_world),
	.setup = open_full,
	.threads = { { "one", take_frames }, { "two", take_frames } },
	.check = both_were_told,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&exit_scenario, &exit_maps, &twice, &fork_scenario, &built_5, &built_6, &built_7,
		&unmap,         &fault,     &file,  &migrate,       &choose,  NULL,
	};

	return schedule_main(argc, argv, all);
}
