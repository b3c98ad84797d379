/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "schedule/world.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <samara/inject.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/futex.h"
#include "core/mms.h"
#include "frame/frame.h"
#include "mmu/table.h"
#include "store/file.h"

static const struct samara_geometry geometry = {
	.size = sizeof(geometry),
	.page_shift = 12,
	.huge_shift = 14,
	.levels = 2,
	.level_bits = 2,
	.task_size = WORLD_PAGES * WORLD_PAGE,
	.map_window = WORLD_PAGES * WORLD_PAGE,
	.map_min_addr = WORLD_PAGE,
	.stack_gap = WORLD_PAGE,
};

void world_open(struct world *w)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	cfg.geometry = &geometry;
	cfg.ram_bytes = WORLD_FRAMES * WORLD_PAGE;
	cfg.flags = SAMARA_MACHINE_NO_THP;
	cfg.overcommit = SAMARA_OVERCOMMIT_ALWAYS;
	w->live = samara_live_objects();
	schedule_require(!samara_machine_create(&cfg, &w->machine));
	w->mm = world_mm(w);
}

struct samara_mm *world_mm(struct world *w)
{
	struct samara_mm *mm = NULL;

	schedule_require(!samara_mm_create(w->machine, &mm));
	return mm;
}

/* files ------------------------------------------------------------------------ */

void world_shmem(struct world *w, unsigned long pages)
{
	schedule_require(!samara_file_shmem(w->machine, pages * WORLD_PAGE, &w->file));
}

void world_host_file(struct world *w, unsigned long pages)
{
	w->fd = memfd_create("scenario", MFD_CLOEXEC);
	schedule_require(w->fd > 0);
	schedule_require(!ftruncate(w->fd, (off_t)(pages * WORLD_PAGE)));
	for (uint64_t i = 0; i < pages; i++) {
		const uint64_t value = i + 1;

		schedule_require(pwrite(w->fd, &value, sizeof(value), (off_t)(i * WORLD_PAGE)) ==
				 sizeof(value));
	}
	schedule_require(!samara_file_from_fd(w->machine, w->fd, &w->file));
}

uint64_t world_on_host(const struct world *w, unsigned long page)
{
	uint64_t value = 0;

	schedule_require(pread(w->fd, &value, sizeof(value), (off_t)(page * WORLD_PAGE)) ==
			 sizeof(value));
	return value;
}

/* the end ------------------------------------------------------------------------ */

static void check(int err, const struct samara_report *report)
{
	if (err)
		schedule_require_(false, report->text[0] ? report->text : report->invariant,
				  __FILE__, __LINE__);
}

void world_check(struct world *w)
{
	struct samara_report report = { 0 };
	struct samara_mm *mm;

	/* On real threads the machine has one of its own, which would change what is seen. */
	worker_end(&w->machine->store->reclaim.worker);
	for_each_mm(w->machine, mm)
	{
		check(samara_mm_validate(mm, &report), &report);
		mmap_read_lock(mm);
		check(pgtable_validate(mm, &report), &report);
		mmap_read_unlock(mm);
	}
	if (w->file && w->file->inode)
		check(inode_validate(w->file->inode, &report), &report);
	check(ram_validate(w->machine->ram, &report), &report);
}

/* The machine's own thread may have a page in hand that is about to be free: it is waited for. */
unsigned long world_frames(const struct world *w)
{
	struct rwsem *isolation = lru_isolation(w->machine->ram);
	struct ram_stats stats;

	down_write(isolation);
	ram_stats(w->machine->ram, &stats);
	up_write(isolation);
	return stats.frames - stats.free - stats.cached - stats.poisoned;
}

void world_close(struct world *w)
{
	world_check(w);
	samara_mm_exit(w->mm);
	samara_file_put(w->file);
	schedule_require(!world_frames(w));
	samara_machine_destroy(w->machine);
	if (w->fd)
		close(w->fd);
	schedule_require(samara_live_objects() == w->live);
	schedule_require(!samara_warnings());
}

/* pages -------------------------------------------------------------------------- */

void world_map(struct samara_mm *mm, unsigned long at, unsigned long pages, int prot, int flags,
	       struct samara_file *file)
{
	flags |= MAP_FIXED | (file ? 0 : MAP_ANONYMOUS);
	schedule_require(samara_mmap(mm, PG(at), pages * WORLD_PAGE, prot, flags, file, 0) ==
			 PG(at));
}

void world_unmap(struct samara_mm *mm, unsigned long at, unsigned long pages)
{
	schedule_require(!samara_munmap(mm, PG(at), pages * WORLD_PAGE));
}

static bool was_moved(long moved, const struct samara_fault *fault)
{
	if (moved == sizeof(uint64_t))
		return true;
	schedule_require(!moved && fault->signo);
	return false;
}

bool world_load(struct samara_mm *mm, unsigned long page, uint64_t *value)
{
	struct samara_fault fault;

	return was_moved(samara_read(mm, PG(page), value, sizeof(*value), &fault), &fault);
}

bool world_store(struct samara_mm *mm, unsigned long page, uint64_t value)
{
	struct samara_fault fault;

	return was_moved(samara_write(mm, PG(page), &value, sizeof(value), &fault), &fault);
}

uint64_t world_value(struct samara_mm *mm, unsigned long page)
{
	uint64_t value = 0;

	schedule_require(world_load(mm, page, &value));
	return value;
}

void world_set(struct samara_mm *mm, unsigned long page, uint64_t value)
{
	schedule_require(world_store(mm, page, value));
}

/* CPUs --------------------------------------------------------------------------- */

/* Inside a section. NULL: a signal. */
static uint64_t *cpu_word(struct samara_cpu *cpu, unsigned long page, enum samara_access access)
{
	struct samara_fault fault = { 0 };
	uint64_t *word = samara_cpu_lookup(cpu, PG(page), access);

	if (!word)
		word = samara_cpu_miss(cpu, PG(page), access, &fault);
	schedule_require(word || fault.signo);
	return word;
}

bool world_cpu_load(struct samara_cpu *cpu, unsigned long page, uint64_t *value)
{
	const uint64_t *word;

	samara_cpu_enter(cpu);
	word = cpu_word(cpu, page, SAMARA_ACCESS_READ);
	if (word)
		*value = READ_ONCE(*word);
	samara_cpu_exit(cpu);
	return word;
}

bool world_cpu_store(struct samara_cpu *cpu, unsigned long page, uint64_t value)
{
	uint64_t *word;

	samara_cpu_enter(cpu);
	word = cpu_word(cpu, page, SAMARA_ACCESS_WRITE);
	if (word)
		WRITE_ONCE(*word, value);
	samara_cpu_exit(cpu);
	return word;
}

/* flags -------------------------------------------------------------------------- */

void world_raise(struct world_flag *flag)
{
	smp_store_release(&flag->word, 1);
	futex_wake(&flag->word, FUTEX_ALL, FUTEX_ANYONE);
}

void world_await(struct world_flag *flag)
{
	while (!smp_load_acquire(&flag->word))
		futex_wait(&flag->word, 0, FUTEX_ANYONE, NULL);
}
