/* SPDX-License-Identifier: MIT */
/*
 * Taking tables out of the tree (table.h: table_free_range()). Checked by tests/model/free_tables.c
 * against a recomputed set.
 *
 * A table goes when all that it serves lies between floor and ceiling. The neighbours that stay end
 * at floor and begin at ceiling, so none of them needs such a table. Bounds are compared as "last
 * address": a ceiling of 0, the top, wraps to the highest address. Where the ceiling is the task
 * size (ARM), the last VMA may end exactly there.
 *
 * Locks: the mmap_lock for writing, or no other thread uses the mm. Each leaf's own lock while it
 * is looked at. A table that serves another VMA too never goes, so other threads may grow tables
 * meanwhile.
 */
#include "alloc/cache.h"
#include "mmu/table.h"

struct free_bounds {
	struct samara_mm *mm;
	unsigned long floor, last;
	struct table_list *gone;
	unsigned long nr; /* of those that have gone */
};

static bool is_empty(struct table *table)
{
	unsigned int used;

	if (table->level)
		return !READ_ONCE(table->used);
	table_lock(table);
	used = table->used;
	table_unlock(table);
	/* The caller has zapped all pages of the range; a leaf with an entry left must stay. */
	VM_WARN_ON(used);
	return !used;
}

/* Counted together, so that one thread disturbs the others once. */
static void uncount(struct samara_mm *mm, unsigned long nr)
{
	if (!nr)
		return;
	atomic_sub(&mm->tables.nr, nr);
	atomic_sub(&mm->machine->tables.nr, nr);
}

static bool may_go(const struct free_bounds *f, struct table *table)
{
	return table->base >= f->floor &&
	       entry_last(f->mm->geo, table->level + 1, table->base) <= f->last && is_empty(table);
}

static void take_out(struct free_bounds *f, struct table *from, unsigned int index)
{
	struct table *table = table_child(from, index);

	pte_set(&from->entry[index], pte_empty());
	atomic_dec(&from->used);
	f->nr++;
	table->next = f->gone->first;
	f->gone->first = table;
}

/*
 * What hangs in table and serves something of [addr, last]. Recursion: a level at a time. A huge
 * entry stays, and so does the table that holds it, because it is not empty.
 */
static void free_below(struct free_bounds *f, struct table *table, unsigned long addr,
		       unsigned long last)
{
	const struct samara_geometry *geo = f->mm->geo;

	for (;;) {
		const unsigned int index = table_index(geo, table->level, addr);
		const unsigned long part = min(last, entry_last(geo, table->level, addr));
		struct table *child = table_child(table, index);

		if (child) {
			if (child->level)
				free_below(f, child, addr, part);
			if (may_go(f, child))
				take_out(f, table, index);
		}
		if (part == last)
			break;
		addr = part + 1;
	}
}

void table_free_range(struct samara_mm *mm, unsigned long start, unsigned long end,
		      unsigned long floor, unsigned long ceiling, struct table_list *gone)
{
	struct free_bounds f = { .mm = mm, .floor = floor, .last = ceiling - 1, .gone = gone };
	struct table *root = smp_load_acquire(&mm->tables.pgd);

	if (root && root->level && start < end)
		free_below(&f, root, start, end - 1);
	uncount(mm, f.nr);
}

void table_list_free(struct table_list *gone)
{
	while (gone->first) {
		struct table *table = gone->first;

		gone->first = table->next;
		cache_free_rcu(&table_cache, table);
	}
}

void pgd_free(struct samara_mm *mm)
{
	struct table_list gone = { NULL };
	struct free_bounds all = { .mm = mm, .last = ~0UL, .gone = &gone };
	struct table *root = mm->tables.pgd;

	if (!root)
		return;
	if (root->level)
		free_below(&all, root, 0, entry_last(mm->geo, root->level + 1, 0));
	VM_WARN_ON(root->used);
	rcu_assign_pointer(mm->tables.pgd, NULL);
	root->next = gone.first;
	gone.first = root;
	uncount(mm, all.nr + 1); /* read while a victim is chosen, too */
	VM_WARN_ON(mm->tables.nr);
	table_list_free(&gone);
}
