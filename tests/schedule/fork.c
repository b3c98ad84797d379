/* SPDX-License-Identifier: MIT */
/*
 * fork of an mm while others use it.
 *
 *   write      The child has the page as it was before or after a store of the parent; it does not
 *              change afterwards. A store that was over when the fork began is in it.
 *   cpu        The same for stores of a CPU, whose TLB may hold the page as writable.
 *   pin        A page that is pinned for writing stays the parent's page: what the holder stores
 *              there is what the parent reads, whether a fork comes before, between or behind.
 *   fail_N     A fork whose Nth allocation is refused leaves the parent as it was, also for a store
 *              that comes meanwhile, and no child; fail_N_walk and fail_N_truncate: what walk and
 *              truncate hold is held beside it too.
 *   truncate   After a truncation neither parent nor child has the page, whenever the fork came.
 *   walk       A walk of the mappings of a page finds the parent's, and the child's once the fork
 *              is over.
 *   exit       The child exits while the parent's page is walked and written to.
 */
#include "schedule/world.h"

#include <samara/inject.h>

#include "base/atomic.h"
#include "frame/frame.h"
#include "mmu/table.h"
#include "rmap/rmap.h"

struct fork_world {
	struct world w;
	struct samara_mm *child;
	struct samara_cpu *cpu;
	struct folio *folio;  /* of page 1, with a reference */
	unsigned int written; /* the last value whose store was over; atomic */
	unsigned int referenced;
	uint64_t in_child; /* as it was when fork returned */
};

static void open_written(void *arg)
{
	struct fork_world *f = arg;

	world_open(&f->w);
	world_map(f->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(f->w.mm, 1, 1);
}

static void open_with_cpu(void *arg)
{
	struct fork_world *f = arg;

	open_written(arg);
	schedule_require(!samara_cpu_create(f->w.machine, &f->cpu));
}

static void close_all(void *arg)
{
	struct fork_world *f = arg;

	world_check(&f->w);
	samara_mm_exit(f->child);
	samara_cpu_destroy(f->cpu);
	world_close(&f->w);
}

static void fork_and_look(void *arg)
{
	struct fork_world *f = arg;
	const unsigned int over = smp_load_acquire(&f->written);

	schedule_require(!samara_fork(f->w.mm, &f->child));
	f->in_child = world_value(f->child, 1);
	schedule_require(f->in_child >= 1 && f->in_child <= 3 && f->in_child >= over);
}

/* write, cpu --------------------------------------------------------------------------- */

static void write_two(void *arg)
{
	struct fork_world *f = arg;

	for (unsigned int value = 2; value < 4; value++) {
		world_set(f->w.mm, 1, value);
		smp_store_release(&f->written, value);
	}
}

static void cpu_store_two(void *arg)
{
	struct fork_world *f = arg;

	samara_cpu_run(f->cpu, f->w.mm);
	for (unsigned int value = 2; value < 4; value++) {
		schedule_require(world_cpu_store(f->cpu, 1, value));
		smp_store_release(&f->written, value);
	}
}

static void child_is_apart(void *arg)
{
	struct fork_world *f = arg;

	schedule_require(world_value(f->child, 1) == f->in_child);
	schedule_require(world_value(f->w.mm, 1) == 3);
	world_set(f->w.mm, 1, 4);
	schedule_require(world_value(f->child, 1) == f->in_child);
	close_all(arg);
}

static const struct scenario write_scenario = {
	.name = "write",
	.what = "a child has its parent's page as it was at one moment of the fork",
	.world_size = sizeof(struct fork_world),
	.setup = open_written,
	.threads = { { "fork", fork_and_look }, { "writer", write_two } },
	.check = child_is_apart,
};

static const struct scenario cpu_scenario = {
	.name = "cpu",
	.what = "no store through a TLB of the parent comes into the child's page",
	.world_size = sizeof(struct fork_world),
	.setup = open_with_cpu,
	.threads = { { "fork", fork_and_look }, { "cpu", cpu_store_two } },
	.check = child_is_apart,
};

/* pin ---------------------------------------------------------------------------------- */

static void pin_store_unpin(void *arg)
{
	struct fork_world *f = arg;
	struct samara_pin pin;
	uint64_t *word;

	schedule_require(samara_pin_pages(f->w.mm, PG(1), 1, SAMARA_PIN_WRITE, &pin) == 1);
	word = pin.host;
	WRITE_ONCE(*word, 2);
	schedule_require(world_value(f->w.mm, 1) == 2);
	world_set(f->w.mm, 1, 3);
	schedule_require(READ_ONCE(*word) == 3);
	samara_unpin_pages(&pin, 1, 1);
}

static const struct scenario pin = {
	.name = "pin",
	.what = "a pinned page stays the page that its process sees, beside a fork",
	.world_size = sizeof(struct fork_world),
	.setup = open_written,
	.threads = { { "fork", fork_and_look }, { "pin", pin_store_unpin } },
	.check = child_is_apart,
};

/* of all fail_N ------------------------------------------------------------------------ */

static void fork_without_memory(struct fork_world *f, unsigned long nth)
{
	samara_inject_nth(nth);
	schedule_require(samara_fork(f->w.mm, &f->child) && !f->child);
	samara_inject_nth(0);
}

static void store_two(void *arg)
{
	struct fork_world *f = arg;

	world_set(f->w.mm, 1, 2);
	world_set(f->w.mm, 1, 3);
}

static void parent_is_whole(void *arg)
{
	struct fork_world *f = arg;

	schedule_require(world_value(f->w.mm, 1) == 3);
	schedule_require(world_frames(&f->w) == 1);
	close_all(arg);
}

/* truncate ----------------------------------------------------------------------------- */

static void open_file(void *arg)
{
	struct fork_world *f = arg;

	world_open(&f->w);
	world_shmem(&f->w, 1);
	world_map(f->w.mm, 1, 1, WORLD_RW, MAP_SHARED, f->w.file);
	world_set(f->w.mm, 1, 1);
	/* A private copy goes as well. With a family of its own, fork copies entries. */
	world_map(f->w.mm, 2, 1, WORLD_RW, MAP_PRIVATE, f->w.file);
	world_set(f->w.mm, 2, 2);
}

static void fork_only(void *arg)
{
	struct fork_world *f = arg;

	schedule_require(!samara_fork(f->w.mm, &f->child));
}

static void truncate_file(void *arg)
{
	struct fork_world *f = arg;

	schedule_require(!samara_file_set_length(f->w.file, 0));
}

static void fault_in_parent(void *arg)
{
	struct fork_world *f = arg;
	uint64_t value = 1;

	if (world_load(f->w.mm, 1, &value))
		schedule_require(value == 1);
}

static void page_is_gone(void *arg)
{
	struct fork_world *f = arg;
	uint64_t value;

	schedule_require(!world_frames(&f->w));
	for (unsigned long page = 1; page <= 2; page++) {
		schedule_require(!world_load(f->w.mm, page, &value));
		schedule_require(!f->child || !world_load(f->child, page, &value));
	}
	close_all(arg);
}

static const struct scenario truncate_scenario = {
	.name = "truncate",
	.what = "after a truncation no mm has the page, whenever it was forked",
	.world_size = sizeof(struct fork_world),
	.setup = open_file,
	.threads = { { "fork", fork_only },
		     { "truncate", truncate_file },
		     { "reader", fault_in_parent } },
	.check = page_is_gone,
};

/* walk, exit --------------------------------------------------------------------------- */

static void hold_folio(struct fork_world *f)
{
	struct table *leaf = table_find(f->w.mm, PG(1));

	f->folio = pfn_folio(f->w.machine->ram, pte_pfn(pte_read(table_pte(f->w.mm, leaf, PG(1)))));
	schedule_require(folio_try_get(f->folio));
}

static void open_held(void *arg)
{
	open_written(arg);
	hold_folio(arg);
}

static void open_forked(void *arg)
{
	struct fork_world *f = arg;

	open_held(arg);
	schedule_require(!samara_fork(f->w.mm, &f->child));
}

static void walk_folio(void *arg)
{
	struct fork_world *f = arg;

	folio_lock(f->folio);
	f->referenced = folio_referenced(f->w.machine->store, f->folio);
	folio_unlock(f->folio);
	folio_put(f->w.machine->ram, f->folio);
}

static void parent_was_met(void *arg)
{
	struct fork_world *f = arg;

	schedule_require(f->referenced == 1 || f->referenced == 2);
	schedule_require(world_value(f->child, 1) == 1);
	close_all(arg);
}

static const struct scenario walk = {
	.name = "walk",
	.what = "a walk beside a fork meets the parent's entry",
	.world_size = sizeof(struct fork_world),
	.setup = open_held,
	.threads = { { "fork", fork_only }, { "walker", walk_folio } },
	.check = parent_was_met,
};

static void exit_child(void *arg)
{
	struct fork_world *f = arg;

	samara_mm_exit(f->child);
	f->child = NULL;
}

static void one_page_is_left(void *arg)
{
	struct fork_world *f = arg;

	schedule_require(f->referenced <= 2);
	schedule_require(world_value(f->w.mm, 1) == 3 && world_frames(&f->w) == 1);
	close_all(arg);
}

static const struct scenario exit_scenario = {
	.name = "exit",
	.what = "a child exits while its page is walked and its parent writes",
	.world_size = sizeof(struct fork_world),
	.setup = open_forked,
	.threads = { { "exit", exit_child }, { "walker", walk_folio }, { "writer", store_two } },
	.check = one_page_is_left,
};

/* fail_N, fail_N_walk, fail_N_truncate ------------------------------------------------- */

static void parent_was_met_alone(void *arg)
{
	struct fork_world *f = arg;

	/* The child's entry too, if the walk came before the fork failed. */
	schedule_require(f->referenced == 1 || f->referenced == 2);
	schedule_require(world_value(f->w.mm, 1) == 1);
	schedule_require(world_frames(&f->w) == 1);
	close_all(arg);
}

#define FORK_FAILS(n) \
	static void fork_fails_##n(void *arg) \
	{ \
		fork_without_memory(arg, n); \
	} \
	static const struct scenario fail_##n = { \
		.name = "fail_" #n, \
		.what = "a fork that fails leaves the parent as it was", \
		.world_size = sizeof(struct fork_world), \
		.setup = open_written, \
		.threads = { { "fork", fork_fails_##n }, { "writer", store_two } }, \
		.check = parent_is_whole, \
	}; \
	static const struct scenario fail_##n##_walk = { \
		.name = "fail_" #n "_walk", \
		.what = "a walk beside a fork that fails meets the parent's entry", \
		.world_size = sizeof(struct fork_world), \
		.setup = open_held, \
		.threads = { { "fork", fork_fails_##n }, { "walker", walk_folio } }, \
		.check = parent_was_met_alone, \
	}; \
	static const struct scenario fail_##n##_truncate = { \
		.name = "fail_" #n "_truncate", \
		.what = "a truncation beside a fork that fails leaves the page in no mm", \
		.world_size = sizeof(struct fork_world), \
		.setup = open_file, \
		.threads = { { "fork", fork_fails_##n }, \
			     { "truncate", truncate_file }, \
			     { "reader", fault_in_parent } }, \
		.check = page_is_gone, \
	}

/* The mm; the VMA; its links and family; the tree; the tables. */
FORK_FAILS(1);
FORK_FAILS(2);
FORK_FAILS(3);
FORK_FAILS(4);
FORK_FAILS(5);
FORK_FAILS(6);
FORK_FAILS(7);

#define FAILS(n) &fail_##n, &fail_##n##_walk, &fail_##n##_truncate

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&write_scenario, &cpu_scenario,  &pin,     &truncate_scenario,
		&walk,           &exit_scenario, FAILS(1), FAILS(2),
		FAILS(3),        FAILS(4),       FAILS(5), FAILS(6),
		FAILS(7),        NULL,
	};

	return schedule_main(argc, argv, all);
}
