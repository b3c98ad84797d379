/* SPDX-License-Identifier: MIT */
/*
 * Scenarios in which a page moves to another frame while others change its entry, its contents or
 * its mm. After each schedule the bytes are right, no migration entry is left (folio_migrate() ends
 * the process otherwise), and the page's map count is that of its entries.
 */
#ifndef SAMARA_TEST_SCHEDULE_MIGRATE_H
#define SAMARA_TEST_SCHEDULE_MIGRATE_H

#include "schedule/world.h"

#include <samara/inject.h>
#include <samara/reclaim.h>

#include "base/atomic.h"
#include "base/rcu.h"
#include "core/mms.h"
#include "frame/pfn.h"
#include "mmu/table.h"
#include "reclaim/reclaim.h"

struct migrate_world {
	struct world w;
	struct samara_mm *other; /* NULL: none */
	struct samara_cpu *cpu;
	unsigned long pfn;     /* of the page that moves */
	unsigned long kept[2]; /* compact: its pages */
};

static inline pte_t entry_of(struct samara_mm *mm, unsigned long page)
{
	struct table *leaf = table_find(mm, PG(page));

	return leaf ? pte_read(table_pte(mm, leaf, PG(page))) : pte_empty();
}

static inline struct folio *folio_of(struct migrate_world *m, pte_t pte)
{
	if (!pte_present(pte) || pte_special(pte))
		return NULL;
	return pfn_folio(m->w.machine->ram, pte_pfn(pte));
}

static inline void note_page(struct migrate_world *m, unsigned long page)
{
	const pte_t pte = entry_of(m->w.mm, page);

	schedule_require(folio_of(m, pte));
	m->pfn = pte_pfn(pte);
}

static inline void open_anon(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_map(m->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(m->w.mm, 1, 7);
	note_page(m, 1);
}

/* Whoever maps the page: it, or what the frame holds by then, moves if it can. */
static inline void move(void *arg)
{
	struct migrate_world *m = arg;
	struct ram *ram = m->w.machine->ram;
	struct folio *folio = folio_get_pfn(ram, m->pfn), *to;

	if (!folio)
		return;
	to = folio_alloc(ram, 0, FOLIO_RAW);
	schedule_require(to);
	(void)!move_folio(m->w.machine->store, folio, to);
	folio_put(ram, to);
	folio_put(ram, folio);
}

/* Each folio has as many maps as entries, and no entry migrates. */
static inline void check_entries(struct migrate_world *m)
{
	unsigned long entries[WORLD_FRAMES + 1] = { 0 };
	struct samara_mm *mm;

	for_each_mm(m->w.machine, mm)
	{
		for (unsigned long page = 1; page < WORLD_PAGES; page++) {
			const pte_t pte = entry_of(mm, page);

			schedule_require(!pte_migration(pte));
			if (folio_of(m, pte))
				entries[pte_pfn(pte)]++;
		}
	}
	for (unsigned long pfn = 1; pfn <= WORLD_FRAMES; pfn++) {
		struct folio *folio = folio_get_pfn(m->w.machine->ram, pfn);

		schedule_require(entries[pfn] == (folio ? folio_maps(folio) : 0));
		if (folio)
			folio_put(m->w.machine->ram, folio);
	}
}

static inline void close_all(void *arg)
{
	struct migrate_world *m = arg;

	world_check(&m->w);
	check_entries(m);
	samara_mm_exit(m->other);
	samara_cpu_destroy(m->cpu);
	world_close(&m->w);
}

#define SCENARIO(var, name_, what_, setup_, check_, ...) \
	static const struct scenario var = { \
		.name = name_, \
		.what = what_, \
		.world_size = sizeof(struct migrate_world), \
		.setup = setup_, \
		.threads = { { "migrate", move }, __VA_ARGS__ }, \
		.check = check_, \
	}

/* Threads and checks of several scenarios. */
static inline void store_two(void *arg)
{
	struct migrate_world *m = arg;

	for (uint64_t value = 8; value < 10; value++) {
		world_set(m->w.mm, 1, value);
		schedule_require(world_value(m->w.mm, 1) == value);
	}
}

static inline void value_is_9(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 1) == 9);
	schedule_require(world_frames(&m->w) == 1);
	close_all(arg);
}

/* Each page is the parent's alone again, wherever it is: a write takes no frame. */
static inline void is_whole(struct migrate_world *m, unsigned long pages)
{
	schedule_require(world_value(m->w.mm, 1) == 7);
	world_set(m->w.mm, 1, 8);
	schedule_require(world_frames(&m->w) == pages);
	close_all(m);
}

#endif
