/* SPDX-License-Identifier: MIT */
/*
 * Machines and mms: creating, forking and ending them.
 *
 * A machine is freed when its creator, its mms and its pinned pages have dropped their references;
 * its store, frames included, when its machine and its files have.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "access/read_later.h"
#include "alloc/mem.h"
#include "base/sized.h"
#include "core/mms.h"
#include "frame/frame.h"
#include "mmu/table.h"
#include "process/exit.h"
#include "process/fork.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "syscall/call_door.h"
#include "syscall/uffd_calls.h"

static DEFINE_ALLOC_SITE(machine_site, "machine");

#define DEFAULT_RAM (8UL << 30)      /* as promises go */
#define DEFAULT_FRAMES (256UL << 20) /* as frames go */
#define MOST_FRAMES (1UL << 27)
/* Of page tables: as many bytes as of frames, but not less than this. */
#define LEAST_TABLES (256UL << 20)
#define DEFAULT_ADMIN_RESERVE (8UL << 20)
#define MOST_USER_RESERVE (128UL << 20)
#define DEFAULT_MAP_COUNT 65530

static void set_commit(struct commit *commit, const struct samara_machine_config *cfg,
		       unsigned int page_shift)
{
	const unsigned long ram = cfg->ram_bytes ? cfg->ram_bytes : DEFAULT_RAM;
	const unsigned long ratio = cfg->overcommit_ratio ? cfg->overcommit_ratio : 50;
	const unsigned long admin =
		cfg->admin_reserve_bytes ? cfg->admin_reserve_bytes : DEFAULT_ADMIN_RESERVE;
	const unsigned long user = cfg->user_reserve_bytes ? cfg->user_reserve_bytes :
							     min(ram / 32, MOST_USER_RESERVE);

	commit->mode = (int)cfg->overcommit;
	commit->total_pages = (ram + cfg->swap_bytes) >> page_shift;
	commit->limit = (ram >> page_shift) * ratio / 100 + (cfg->swap_bytes >> page_shift);
	commit->admin_reserve = admin >> page_shift;
	commit->user_reserve = user >> page_shift;
}

static void release(struct samara_machine *machine)
{
	VM_WARN_ON(!list_empty(&machine->mms.head));
	read_later_end(machine);
	reclaim_end(machine);
	file_store_put(machine->store);
	mem_free(&machine_site, machine);
}

/*
 * The store, and the RAM in which all pages lie. 0, -ENOMEM, or what memfd_create(2) gave.
 */
static int make_store(const struct samara_machine_config *cfg, unsigned int page_shift,
		      struct file_store **out)
{
	const unsigned long bytes = cfg->ram_bytes ? cfg->ram_bytes : DEFAULT_FRAMES;
	const unsigned long pages = max(bytes >> page_shift, 1UL);
	const struct ram_config ram = {
		/* And the page of zeros. */
		.bytes = (min(pages, MOST_FRAMES - 1) + 1) << page_shift,
		.page_shift = page_shift,
	};
	struct file_store *store = file_store_create();
	int err;

	if (!store)
		return -ENOMEM;
	err = ram_create(&ram, &store->ram);
	if (err) {
		file_store_put(store);
		return err;
	}
	store->shmem_minor = cfg->shmem_minor ? cfg->shmem_minor : 1;
	store->next_ino = cfg->first_shmem_ino ? cfg->first_shmem_ino : 1;
	set_commit(&store->commit, cfg, page_shift);
	*out = store;
	return 0;
}

static unsigned long tables_max(struct ram *ram)
{
	const struct ram_view *view = ram_view(ram);

	return max(view->nr_frames << view->page_shift, LEAST_TABLES) /
	       (TABLE_ENTRIES_MAX * sizeof(pte_t));
}

int samara_machine_create(const struct samara_machine_config *callers, struct samara_machine **out)
{
	static const struct samara_machine_config defaults = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine_config own;
	struct samara_geometry geo;
	struct samara_machine *machine;
	int err = sized_get(&own, sizeof(own), callers ? callers : &defaults);

	if (!err)
		err = geometry_get(&geo, own.geometry ? own.geometry : samara_geometry_x86_64());
	if (err)
		return err;
	if ((unsigned int)own.overcommit > SAMARA_OVERCOMMIT_NEVER)
		return -EINVAL;
	machine = mem_zalloc(&machine_site, sizeof(*machine));
	if (!machine)
		return -ENOMEM;
	err = make_store(&own, geo.page_shift, &machine->store);
	if (err) {
		mem_free(&machine_site, machine);
		return err;
	}
	machine->ram = machine->store->ram;
	machine->gate = &machine->store->gate;
	machine->geo = geo;
	machine->flags = own.flags;
	machine->max_map_count = own.max_map_count ? own.max_map_count : DEFAULT_MAP_COUNT;
	list_init(&machine->mms.head);
	refcount_set(&machine->refs, 1);
	machine->release = release;
	reclaim_begin(machine);
	read_later_begin(machine);
	machine->tables.max = tables_max(machine->ram);
	*out = machine;
	return 0;
}

void samara_machine_destroy(struct samara_machine *machine)
{
	if (machine && !gate_is_foreign(machine->gate))
		machine_put(machine, 1);
}

int samara_mm_create(struct samara_machine *machine, struct samara_mm **out)
{
	const int refused = gate_check(machine->gate);
	struct samara_mm *mm;

	if (refused)
		return refused;
	mm = mm_alloc(machine);
	if (!mm)
		return -ENOMEM;
	machine_get(machine, 1);
	mm->life.state = MM_LIVE;
	mm_join(mm);
	*out = mm;
	return 0;
}

static int fork_once(struct samara_mm *parent, struct samara_mm **child, struct uffd_events *forks)
{
	struct samara_mm *mm = mm_alloc(parent->machine);
	int err;

	if (!mm)
		return -ENOMEM;
	machine_get(parent->machine, 1);
	err = dup_mmap(parent, mm, forks);
	if (err) {
		mm_put(mm);
		return err;
	}
	*child = mm;
	return 0;
}

/* A fork that failed has left nothing behind, so trying again is beginning anew. */
int samara_fork(struct samara_mm *parent, struct samara_mm **child)
{
	unsigned long refused = frames_refused;
	struct uffd_events forks = { 0 };
	int err = mm_call(parent);
	LIST_HEAD(closing);

	if (err)
		return err;
	do
		err = fork_once(parent, child, &forks);
	while (err == -ENOMEM && !store_make_room(parent->machine->store, &refused));
	if (unlikely(forks.first)) {
		uffd_events_deliver(&forks, &closing);
		uffd_close_all(&closing);
	}
	return err;
}

void samara_mm_exit(struct samara_mm *mm)
{
	struct vma_dead dead = { 0 };

	if (!mm || mm_is_foreign(mm))
		return;
	exit_mmap(mm, &dead);
	vma_dead_release(&dead);
	mm_put(mm);
}
