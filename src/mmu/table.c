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

/* Where a walk from the root towards an address ends: at a leaf table, or at an entry above it. */
struct walk_end {
	struct table *table; /* NULL: there is no root */
	unsigned int level;  /* the table's; the number of levels: there is no root */
	pte_t entry;         /* level > 0: empty or huge. Of a leaf table it is not read. */
};

static __always_inline struct walk_end walk(const struct samara_mm *mm, unsigned long addr)
{
	const struct samara_geometry *geo = mm->geo;
	const unsigned int bits = geo->level_bits;
	struct walk_end at = { smp_load_acquire(&mm->tables.pgd), geo->levels, pte_empty() };
	unsigned int shift;

	if (unlikely(!at.table))
		return at;
	at.level--;
	for (shift = level_shift(geo, at.level); at.level; at.level--, shift -= bits) {
		at.entry = table_entry(at.table, (addr >> shift) & ((1U << bits) - 1));
		if (entry_kind(at.entry) != ENTRY_TABLE)
			break;
		at.table = entry_table(at.entry);
	}
	return at;
}

struct table *table_find(struct samara_mm *mm, unsigned long addr)
{
	const struct walk_end at = walk(mm, addr);

	return at.level ? NULL : at.table;
}

pte_t table_look(struct samara_mm *mm, unsigned long addr)
{
	const struct walk_end at = walk(mm, addr);

	return at.level ? at.entry : pte_read(table_pte(mm, at.table, addr));
}

void table_refuse_huge(struct samara_mm *mm, unsigned long addr)
{
	const struct walk_end at = walk(mm, addr);

	BUG_ON(at.level && entry_kind(at.entry) == ENTRY_HUGE);
}

static pte_t entry_of(const struct table *table)
{
	return (pte_t){ (uint64_t)(uintptr_t)table | PTE_TABLE };
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

/* n tables, counted. 0 or -ENOMEM. */
static int take_tables(struct samara_mm *mm, struct table **new, unsigned int n)
{
	struct table_budget *budget = &mm->machine->tables;
	const unsigned long nr = atomic_add_return_relaxed(&budget->nr, n);

	if (likely(nr <= budget->max || !budget->max) &&
	    cache_alloc_bulk(&table_cache, n, (void **)new))
		return 0;
	atomic_sub(&budget->nr, n);
	return -ENOMEM;
}

static void return_tables(struct samara_mm *mm, struct table **new, unsigned int n)
{
	cache_free_bulk(&table_cache, n, (void **)new);
	atomic_sub(&mm->machine->tables.nr, n);
}

int table_get(struct samara_mm *mm, unsigned long addr, struct table **out)
{
	struct table *new[TABLE_LEVELS_MAX];

	VM_WARN_ON(addr >= mm->geo->task_size);
	for (;;) {
		const struct walk_end at = walk(mm, addr);
		const unsigned int missing = at.level;

		if (likely(!missing)) {
			*out = at.table;
			return 0;
		}
		if (entry_kind(at.entry) == ENTRY_HUGE)
			return -EEXIST;
		if (take_tables(mm, new, missing))
			return -ENOMEM;
		make_chain(mm->geo, new, missing, addr);
		if (hang(mm, at.table, new[missing - 1], addr)) {
			atomic_add(&mm->tables.nr, missing);
			*out = new[0];
			return 0;
		}
		/* The winner may have made less than the whole path: look again. */
		return_tables(mm, new, missing);
	}
}

struct table *table_next(struct samara_mm *mm, unsigned long *addr, unsigned long end)
{
	const struct samara_geometry *geo = mm->geo;
	struct table *root = smp_load_acquire(&mm->tables.pgd), *table;

	if (!root || *addr >= end)
		return NULL;
	table = table_find(mm, *addr); /* most often there is one */
	if (table)
		return table;
	table = root;
	for (;;) {
		const pte_t entry = table_entry(table, table_index(geo, table->level, *addr));
		unsigned long skip;

		switch (entry_kind(entry)) {
		case ENTRY_TABLE:
			table = entry_table(entry);
			if (!table->level)
				return table;
			break;
		case ENTRY_HUGE:
			return table;
		case ENTRY_NONE:
			skip = entry_last(geo, table->level, *addr);
			if (skip >= end - 1)
				return NULL;
			*addr = skip + 1;
			if (!table_index(geo, table->level, *addr))
				table = root; /* past its end */
		}
	}
}
