/* SPDX-License-Identifier: MIT */
/*
 * Walking page tables and growing them (table.h has the picture).
 *
 * Locks: none. A reader is under RCU or holds the VMA in place. A caller that grows the tables
 * holds the VMA in place, so that the tables of its range cannot be freed meanwhile.
 *
 * Ordering: a table is complete (zeros, level, base, the chain below it) before the exchange that
 * hangs it (release); readers load every pointer with acquire.
 */
#include "mmu/table.h"

#include <errno.h>
#include <string.h>

#include "alloc/cache.h"

DEFINE_OBJ_CACHE(table_cache, "page_table", sizeof(struct table), CACHE_LINE);

struct table *table_find(struct samara_mm *mm, unsigned long addr)
{
	struct table *table = smp_load_acquire(&mm->tables.pgd);

	while (table && table->level)
		table = table_child(table, table_index(mm->geo, table->level, addr));
	return table;
}

/* The lowest table on the way to addr; NULL: no root yet. */
static struct table *table_lowest(struct samara_mm *mm, unsigned long addr)
{
	struct table *table = NULL, *next = smp_load_acquire(&mm->tables.pgd);

	while (next) {
		table = next;
		if (!table->level)
			break;
		next = table_child(table, table_index(mm->geo, table->level, addr));
	}
	return table;
}

static pte_t entry_of(const struct table *table)
{
	return (pte_t){ (uint64_t)(uintptr_t)table | PTE_PRESENT };
}

/* n new tables, each hanging in the next one: new[0] is the leaf of addr. */
static void make_chain(const struct samara_geometry *geo, struct table **new, unsigned int n,
		       unsigned long addr)
{
	for (unsigned int level = 0; level < n; level++) {
		struct table *table = new[level];

		memset(table, 0, sizeof(*table));
		table->level = level;
		table->base = ALIGN_DOWN(addr, 1UL << level_shift(geo, level + 1));
		if (level) {
			table->entry[table_index(geo, level, addr)] = entry_of(new[level - 1]);
			table->used = 1;
		}
	}
}

/* Hang top below at, or make it the root. False: another thread was first. */
static bool hang(struct samara_mm *mm, struct table *at, struct table *top, unsigned long addr)
{
	struct table *no_root = NULL;
	uint64_t empty = 0;

	if (!at)
		return try_cmpxchg_release(&mm->tables.pgd, &no_root, top);
	if (!try_cmpxchg_release(&at->entry[table_index(mm->geo, at->level, addr)].v, &empty,
				 entry_of(top).v))
		return false;
	atomic_inc(&at->used);
	return true;
}

int table_get(struct samara_mm *mm, unsigned long addr, struct table **out)
{
	struct table *new[TABLE_LEVELS_MAX];

	VM_WARN_ON(addr >= mm->geo->task_size);
	for (;;) {
		struct table *at = table_lowest(mm, addr);
		const unsigned int missing = at ? at->level : mm->geo->levels;

		if (likely(!missing)) {
			*out = at;
			return 0;
		}
		if (!cache_alloc_bulk(&table_cache, missing, (void **)new))
			return -ENOMEM;
		make_chain(mm->geo, new, missing, addr);
		if (hang(mm, at, new[missing - 1], addr)) {
			atomic_add(&mm->tables.nr, missing);
			*out = new[0];
			return 0;
		}
		/* The winner may have made less than the whole path: look again. */
		cache_free_bulk(&table_cache, missing, (void **)new);
	}
}

/* As table_lowest(), but empty entries are passed over within a table; *addr moves along. */
static struct table *skip_empty(const struct samara_geometry *geo, struct table *table,
				unsigned long *addr, unsigned long last)
{
	while (table->level) {
		struct table *child = table_child(table, table_index(geo, table->level, *addr));
		unsigned long skip = entry_last(geo, table->level, *addr);

		if (child) {
			table = child;
			continue;
		}
		if (skip >= last)
			return NULL;
		*addr = skip + 1;
		if (!table_index(geo, table->level, *addr))
			return table; /* past its end */
	}
	return table;
}

struct table *table_next(struct samara_mm *mm, unsigned long *addr, unsigned long end)
{
	struct table *root = smp_load_acquire(&mm->tables.pgd), *table;

	if (!root || *addr >= end)
		return NULL;
	table = table_find(mm, *addr); /* most often there is one */
	if (table)
		return table;
	do {
		table = skip_empty(mm->geo, root, addr, end - 1);
	} while (table && table->level);
	return table;
}
