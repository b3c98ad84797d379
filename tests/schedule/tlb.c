/* SPDX-License-Identifier: MIT */
/*
 * CPUs that use what their TLB remembers, against calls that take it away.
 *
 *   section     Behind a flush no section uses what was flushed, neither the one that the flush met
 *               nor the next.
 *   flush       After munmap has returned, no store of a CPU comes into the frame, which another mm
 *               has by then.
 *   protect     After mprotect has returned, the page does not change any more.
 *   copy        A CPU's thread that has stored to the copy of a page does not load from the page.
 *   write_back  A store that a CPU has made before munmap, or beside it, reaches the host file,
 *               although write-back passes meanwhile.
 *   late_store  The same of a store behind write-back.
 *   synced      After mprotect has returned, no TLB allows a store, although write-back has taken
 *               the right away before.
 */
#include "schedule/world.h"

#include "mmu/tlb.h"

struct tlb_world {
	struct world w;
	struct samara_mm *other;
	struct samara_cpu *cpu;
	int owner;       /* of the page, in section */
	uint64_t stored; /* the last value that the CPU has stored; 0: none */
	long forbidden;  /* ghost: mprotect has returned */
};

static void open_written(void *arg)
{
	struct tlb_world *t = arg;

	world_open(&t->w);
	world_map(t->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(t->w.mm, 1, 1);
	schedule_require(!samara_cpu_create(t->w.machine, &t->cpu));
}

static void close_all(void *arg)
{
	struct tlb_world *t = arg;

	world_check(&t->w);
	samara_cpu_destroy(t->cpu);
	samara_mm_exit(t->other);
	world_close(&t->w);
}

static void store_two(void *arg)
{
	struct tlb_world *t = arg;

	samara_cpu_run(t->cpu, t->w.mm);
	for (uint64_t value = 2; value < 4; value++)
		if (world_cpu_store(t->cpu, 1, value))
			t->stored = value;
}

/* section ---------------------------------------------------------------------------- */

/* The CPU remembers the page before the others begin. */
static void fill(struct tlb_world *t)
{
	uint64_t value;

	samara_cpu_run(t->cpu, t->w.mm);
	world_set(t->w.mm, 1, 1);
	schedule_require(world_cpu_store(t->cpu, 1, 1));
	schedule_require(world_cpu_load(t->cpu, 1, &value) && value == 1);
}

static void open_filled(void *arg)
{
	open_written(arg);
	fill(arg);
}

/* owner stands for the page: a plain word, so that a use behind the flush is a race. */
static void use_in_sections(void *arg)
{
	struct tlb_world *t = arg;

	samara_cpu_run(t->cpu, t->w.mm);
	for (int i = 0; i < 2; i++) {
		samara_cpu_enter(t->cpu);
		if (samara_cpu_lookup(t->cpu, PG(1), SAMARA_ACCESS_WRITE))
			t->owner = 1;
		samara_cpu_exit(t->cpu);
	}
}

static void flush_and_own(void *arg)
{
	struct tlb_world *t = arg;

	tlb_flush_range(t->w.mm, PG(1), PG(2), TLB_LOST_ALL);
	t->owner = 2;
}

static void flusher_owns(void *arg)
{
	struct tlb_world *t = arg;

	schedule_require(t->owner == 2);
	close_all(arg);
}

static const struct scenario section = {
	.name = "section",
	.what = "behind a flush no section uses what was flushed",
	.world_size = sizeof(struct tlb_world),
	.setup = open_filled,
	.threads = { { "cpu", use_in_sections }, { "flush", flush_and_own } },
	.check = flusher_owns,
};

/* flush ----------------------------------------------------------------------------- */

static void open_two_mms(void *arg)
{
	struct tlb_world *t = arg;

	open_written(arg);
	t->other = world_mm(&t->w);
	world_map(t->other, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
}

/* The frame that munmap has freed is the next one that this thread gets. */
static void unmap_and_use(void *arg)
{
	struct tlb_world *t = arg;

	world_unmap(t->w.mm, 1, 1);
	world_set(t->other, 1, 50);
	schedule_require(world_value(t->other, 1) == 50);
}

static void other_is_untouched(void *arg)
{
	struct tlb_world *t = arg;

	schedule_require(world_value(t->other, 1) == 50);
	close_all(arg);
}

static const struct scenario flush = {
	.name = "flush",
	.what = "no store comes into a frame that was given back",
	.world_size = sizeof(struct tlb_world),
	.setup = open_two_mms,
	.threads = { { "cpu", store_two }, { "munmap", unmap_and_use } },
	.check = other_is_untouched,
};

/* protect --------------------------------------------------------------------------- */

static void protect_and_look(void *arg)
{
	struct tlb_world *t = arg;
	uint64_t value;

	schedule_require(!samara_mprotect(t->w.mm, PG(1), WORLD_PAGE, PROT_READ));
	value = world_value(t->w.mm, 1);
	schedule_require(value >= 1 && value < 4);
	schedule_require(world_value(t->w.mm, 1) == value);
}

static void last_store_is_there(void *arg)
{
	struct tlb_world *t = arg;

	schedule_require(world_value(t->w.mm, 1) == (t->stored ? t->stored : 1));
	close_all(arg);
}

static const struct scenario protect = {
	.name = "protect",
	.what = "a page that became read-only does not change",
	.world_size = sizeof(struct tlb_world),
	.setup = open_written,
	.threads = { { "cpu", store_two }, { "mprotect", protect_and_look } },
	.check = last_store_is_there,
};

/* copy ------------------------------------------------------------------------------ */

static void open_forked(void *arg)
{
	struct tlb_world *t = arg;

	open_written(arg);
	schedule_require(!samara_fork(t->w.mm, &t->other));
	/* The CPU remembers the shared page before the others begin. */
	samara_cpu_run(t->cpu, t->w.mm);
	schedule_require(world_cpu_load(t->cpu, 1, &t->stored) && t->stored == 1);
}

static void write_copy(void *arg)
{
	struct tlb_world *t = arg;

	world_set(t->w.mm, 1, 2);
}

/* Stored by way of the page table, loaded by way of the TLB. */
static void store_and_load(void *arg)
{
	struct tlb_world *t = arg;
	uint64_t value;

	samara_cpu_run(t->cpu, t->w.mm);
	world_set(t->w.mm, 1, 3);
	schedule_require(world_cpu_load(t->cpu, 1, &value));
	schedule_require(value == 2 || value == 3);
}

static void child_has_old_page(void *arg)
{
	struct tlb_world *t = arg;

	const uint64_t value = world_value(t->w.mm, 1);

	schedule_require(world_value(t->other, 1) == 1 && (value == 2 || value == 3));
	close_all(arg);
}

static const struct scenario copy = {
	.name = "copy",
	.what = "once a thread has used the copy of a page, no CPU sees the page",
	.world_size = sizeof(struct tlb_world),
	.setup = open_forked,
	.threads = { { "cpu", store_and_load }, { "writer", write_copy } },
	.check = child_has_old_page,
};

/* write_back ------------------------------------------------------------------------ */

static void open_file(void *arg)
{
	struct tlb_world *t = arg;

	world_open(&t->w);
	world_host_file(&t->w, 1);
	world_map(t->w.mm, 1, 1, WORLD_RW, MAP_SHARED, t->w.file);
	schedule_require(!samara_cpu_create(t->w.machine, &t->cpu));
}

static void unmap(void *arg)
{
	struct tlb_world *t = arg;

	world_unmap(t->w.mm, 1, 1);
}

static void sync_file(void *arg)
{
	struct tlb_world *t = arg;

	schedule_require(!samara_file_sync(t->w.file));
}

static void store_reached_host(void *arg)
{
	struct tlb_world *t = arg;

	schedule_require(!samara_file_sync(t->w.file));
	schedule_require(world_on_host(&t->w, 0) == (t->stored ? t->stored : 1));
	close_all(arg);
}

static const struct scenario write_back = {
	.name = "write_back",
	.what = "a store through a stale entry is not lost to write-back",
	.world_size = sizeof(struct tlb_world),
	.setup = open_file,
	.threads = { { "cpu", store_two }, { "munmap", unmap }, { "sync", sync_file } },
	.check = store_reached_host,
};

/* late_store ------------------------------------------------------------------------ */

/* The page is dirty, and the CPU may store to it. */
static void open_file_filled(void *arg)
{
	open_file(arg);
	fill(arg);
}

static void sync_and_store(void *arg)
{
	struct tlb_world *t = arg;

	sync_file(t);
	if (world_cpu_store(t->cpu, 1, 2))
		t->stored = 2;
}

static const struct scenario late_store = {
	.name = "late_store",
	.what = "a store behind write-back, through a stale entry, is not lost",
	.world_size = sizeof(struct tlb_world),
	.setup = open_file_filled,
	.threads = { { "cpu", sync_and_store }, { "munmap", unmap } },
	.check = store_reached_host,
};

/* synced ---------------------------------------------------------------------------- */

static void forbid(void *arg)
{
	struct tlb_world *t = arg;

	schedule_require(!samara_mprotect(t->w.mm, PG(1), WORLD_PAGE, PROT_READ));
	schedule_ghost(&t->forbidden, 1);
}

static void look_twice(void *arg)
{
	struct tlb_world *t = arg;

	samara_cpu_run(t->cpu, t->w.mm);
	for (int i = 0; i < 2; i++) {
		long forbidden;

		samara_cpu_enter(t->cpu);
		forbidden = schedule_ghost(&t->forbidden, 0);
		schedule_require(!samara_cpu_lookup(t->cpu, PG(1), SAMARA_ACCESS_WRITE) ||
				 !forbidden);
		samara_cpu_exit(t->cpu);
	}
}

static const struct scenario synced = {
	.name = "synced",
	.what = "behind mprotect no TLB allows a store, write-back beside it or not",
	.world_size = sizeof(struct tlb_world),
	.setup = open_file_filled,
	.threads = { { "sync", sync_file }, { "mprotect", forbid }, { "cpu", look_twice } },
	.check = close_all,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&section, &flush, &protect, &copy, &write_back, &late_store, &synced, NULL,
	};

	return schedule_main(argc, argv, all);
}
