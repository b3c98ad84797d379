/* SPDX-License-Identifier: MIT */
/*
 * What a machine's memory is used for: samara_machine_memory(), and the lines of Linux's
 * /proc/meminfo and /proc/vmstat that mean something here.
 */
#include <stdio.h>
#include <string.h>

#include <samara/reclaim.h>

#include "base/sized.h"
#include "core/mms.h"
#include "frame/frame.h"
#include "frame/vm_event.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "base/host.h"

#define TEXT_SIZE 2048

struct all {
	struct samara_machine_memory memory;
	struct ram_stats stats;
	struct ram_census census;
};

/* What the mms count. */
static void add_mms(struct samara_machine *machine, struct samara_machine_memory *memory)
{
	struct samara_mm *mm;

	for_each_mm(machine, mm)
	{
		memory->tables += READ_ONCE(mm->tables.nr);
		memory->pgfault += mm_lock_stat_sum(mm, VMA_LOCK_SUCCESS);
	}
}

static void take_all(struct samara_machine *machine, struct all *all)
{
	struct ram *ram = machine->ram;
	struct swap_stats swap;

	ram_stats(ram, &all->stats);
	ram_census(ram, &all->census);
	swap_stats(machine->store, &swap);
	all->memory = (struct samara_machine_memory){
		.ram = all->stats.frames,
		.free = min(all->stats.free + all->stats.cached, all->stats.frames),
		.anon = all->census.anon,
		.file = all->census.file,
		.shmem = all->census.shmem,
		.unevictable = all->stats.lru[LRU_UNEVICTABLE],
		.dirty = all->census.dirty,
		.swap_total = swap.total,
		.swap_free = min(swap.free, swap.total),
		.swap_cached = swap.cached,
		.poisoned = all->stats.poisoned,
		.pgfault = vm_event_sum(ram, PGFAULT),
		.pgmajfault = vm_event_sum(ram, PGMAJFAULT),
		.pswpin = vm_event_sum(ram, PSWPIN),
		.pswpout = vm_event_sum(ram, PSWPOUT),
		.pgsteal = vm_event_sum(ram, PGSTEAL),
		.pgscan = vm_event_sum(ram, PGSCAN),
		.allocstall = vm_event_sum(ram, ALLOCSTALL),
		.oom_kill = vm_event_sum(ram, OOM_KILL),
		.migrate_success = vm_event_sum(ram, MIGRATE_SUCCESS),
		.migrate_fail = vm_event_sum(ram, MIGRATE_FAIL),
	};
	add_mms(machine, &all->memory);
}

int samara_machine_memory(struct samara_machine *machine, struct samara_machine_memory *out)
{
	const int refused = gate_check(machine->gate);
	struct all all;

	if (refused)
		return refused;
	take_all(machine, &all);
	return sized_put(out, &all.memory, sizeof(all.memory));
}

int samara_machine_validate(struct samara_machine *machine, struct samara_report *out)
{
	int err = gate_check(machine->gate);
	struct rwsem *isolation;

	if (err)
		return err;
	if (out)
		memset(out, 0, sizeof(*out));
	isolation = lru_isolation(machine->ram);
	down_write(isolation);
	err = ram_validate(machine->ram, out);
	if (!err)
		err = reclaim_validate(machine, out);
	up_write(isolation);
	return err;
}

/* texts ---------------------------------------------------------------------------- */

struct line {
	const char *name;
	unsigned long value;
};

/* Lines of at most 40 characters each, at most 32 of them. */
enum line_kind { LINE_MEMINFO, LINE_VMSTAT };
static int print_lines(int fd, enum line_kind kind, const struct line *line, unsigned int n)
{
	char text[TEXT_SIZE];
	size_t len = 0;

	for (unsigned int i = 0; i < n && len < sizeof(text); i++) {
		const int one = snprintf(text + len, sizeof(text) - len,
					 kind == LINE_MEMINFO ? "%-16s%8lu kB\n" : "%s %lu\n",
					 line[i].name, line[i].value);

		len += one > 0 ? (size_t)one : 0;
	}
	return host_print(fd, text, min(len, sizeof(text) - 1));
}

static int print_meminfo(const struct all *all, unsigned int shift, int fd)
{
	const struct samara_machine_memory *m = &all->memory;
	const unsigned long *list = all->stats.lru;
	const unsigned long active = list[LRU_ACTIVE_ANON] + list[LRU_ACTIVE_FILE];
	const unsigned long inactive = list[LRU_INACTIVE_ANON] + list[LRU_INACTIVE_FILE];
	const unsigned long cached = m->file + m->shmem;
	const struct line lines[] = {
		{ "MemTotal:", m->ram << shift },
		{ "MemFree:", m->free << shift },
		{ "MemAvailable:", (m->free + m->file - min(m->dirty, m->file)) << shift },
		{ "Cached:", cached << shift },
		{ "SwapCached:", m->swap_cached << shift },
		{ "Active:", active << shift },
		{ "Inactive:", inactive << shift },
		{ "Active(anon):", list[LRU_ACTIVE_ANON] << shift },
		{ "Inactive(anon):", list[LRU_INACTIVE_ANON] << shift },
		{ "Active(file):", list[LRU_ACTIVE_FILE] << shift },
		{ "Inactive(file):", list[LRU_INACTIVE_FILE] << shift },
		{ "Unevictable:", m->unevictable << shift },
		{ "Mlocked:", m->unevictable << shift },
		{ "SwapTotal:", m->swap_total << shift },
		{ "SwapFree:", m->swap_free << shift },
		{ "Dirty:", m->dirty << shift },
		{ "AnonPages:", m->anon << shift },
		{ "Mapped:", all->census.mapped << shift },
		{ "Shmem:", m->shmem << shift },
		{ "PageTables:", m->tables << shift },
		{ "HardwareCorrupted:", m->poisoned << shift },
	};

	return print_lines(fd, LINE_MEMINFO, lines, ARRAY_SIZE(lines));
}

int samara_print_meminfo(struct samara_machine *machine, int fd)
{
	const int refused = gate_check(machine->gate);
	struct all all;

	if (refused)
		return refused;
	take_all(machine, &all);
	return print_meminfo(&all, machine->geo.page_shift - 10, fd);
}

static int print_vmstat(struct samara_machine *machine, const struct all *all, int fd)
{
	const unsigned long soon = vm_event_sum(machine->ram, REFAULT);
	const struct samara_machine_memory *m = &all->memory;
	const unsigned long *lru = all->stats.lru;
	const struct line lines[] = {
		{ "nr_free_pages", m->free },
		{ "nr_inactive_anon", lru[LRU_INACTIVE_ANON] },
		{ "nr_active_anon", lru[LRU_ACTIVE_ANON] },
		{ "nr_inactive_file", lru[LRU_INACTIVE_FILE] },
		{ "nr_active_file", lru[LRU_ACTIVE_FILE] },
		{ "nr_unevictable", m->unevictable },
		{ "nr_anon_pages", m->anon },
		{ "nr_file_pages", m->file + m->shmem + m->swap_cached },
		{ "nr_dirty", m->dirty },
		{ "nr_shmem", m->shmem },
		{ "nr_page_table_pages", m->tables },
		{ "nr_swapcached", m->swap_cached },
		{ "workingset_refault", soon + vm_event_sum(machine->ram, REFAULT_COLD) },
		{ "workingset_activate", soon },
		{ "pswpin", m->pswpin },
		{ "pswpout", m->pswpout },
		{ "allocstall", m->allocstall },
		{ "pgfault", m->pgfault },
		{ "pgmajfault", m->pgmajfault },
		{ "pgsteal", m->pgsteal },
		{ "pgscan", m->pgscan },
		{ "oom_kill", m->oom_kill },
		{ "pgmigrate_success", m->migrate_success },
		{ "pgmigrate_fail", m->migrate_fail },
	};

	return print_lines(fd, LINE_VMSTAT, lines, ARRAY_SIZE(lines));
}

int samara_print_vmstat(struct samara_machine *machine, int fd)
{
	const int refused = gate_check(machine->gate);
	struct all all;

	if (refused)
		return refused;
	take_all(machine, &all);
	return print_vmstat(machine, &all, fd);
}
