/* SPDX-License-Identifier: MIT */
/*
 * pgtable_validate(): the invariants of table.h, from the root down.
 *
 * Locks: each leaf's own. Nothing is grown or freed meanwhile.
 */
#include "base/report.h"
#include "frame/frame.h"
#include "mmu/table.h"

struct check {
	struct samara_mm *mm;
	struct samara_report *out;
	unsigned long tables;
};

static bool entry_ok(const struct check *c, pte_t pte)
{
	const struct ram *ram = c->mm->machine->ram;

	if (pte_none(pte))
		return true;
	if (pte_present(pte)) {
		if ((pte.v & PTE_PRESENT) && (pte.v & PTE_NONE_ACCESS))
			return false;
		return !ram || pte_pfn(pte) < ram_view(ram)->nr_frames;
	}
	if (pte_migration(pte) && ram && migration_pfn(pte) >= ram_view(ram)->nr_frames)
		return false;
	/* Nothing but bit 1 below the type, and a type. */
	return (pte.v & ((1ULL << PTE_SWP_TYPE_SHIFT) - 1)) == PTE_SWP && swp_type(pte);
}

static int check_leaf(struct check *c, struct table *leaf)
{
	unsigned int used = 0, entries = 1U << c->mm->geo->level_bits;
	int err = 0;

	table_lock(leaf);
	for (unsigned int i = 0; i < entries && !err; i++) {
		const pte_t pte = pte_read(&leaf->entry[i]);

		used += !pte_none(pte);
		if (!entry_ok(c, pte))
			err = report_broken(c->out, "entry",
					    "entry %u of the leaf at %#lx is %#llx", i, leaf->base,
					    (unsigned long long)pte.v);
	}
	if (!err && used != leaf->used)
		err = report_broken(c->out, "used", "the leaf at %#lx has %u entries, not %u",
				    leaf->base, used, leaf->used);
	table_unlock(leaf);
	return err;
}

static int check_table(struct check *c, struct table *table, unsigned int level, unsigned long base)
{
	const struct samara_geometry *geo = c->mm->geo;
	unsigned int used = 0;

	c->tables++;
	if (table->level != level)
		return report_broken(c->out, "level", "the table at %#lx has level %u, not %u",
				     base, table->level, level);
	if (table->base != base)
		return report_broken(c->out, "base", "the table of level %u at %#lx says %#lx",
				     level, base, table->base);
	if (!level)
		return check_leaf(c, table);
	for (unsigned int i = 0; i < 1U << geo->level_bits; i++) {
		const pte_t entry = table_entry(table, i);
		const unsigned long start = base + ((unsigned long)i << level_shift(geo, level));
		int err;

		if (entry_kind(entry) == ENTRY_NONE)
			continue;
		used++;
		if (entry_kind(entry) == ENTRY_HUGE)
			return report_broken(c->out, "entry", "level %u has %#llx at %#lx", level,
					     (unsigned long long)entry.v, start);
		err = check_table(c, entry_table(entry), level - 1, start);
		if (err)
			return err;
	}
	if (used != table->used)
		return report_broken(c->out, "used", "level %u at %#lx has %u entries, not %u",
				     level, base, used, table->used);
	return 0;
}

int pgtable_validate(struct samara_mm *mm, struct samara_report *out)
{
	struct check c = { .mm = mm, .out = out };
	struct table *root = smp_load_acquire(&mm->tables.pgd);
	int err = root ? check_table(&c, root, mm->geo->levels - 1, 0) : 0;

	if (err)
		return err;
	if (c.tables != mm->tables.nr)
		return report_broken(out, "nr_tables", "%lu tables, nr_tables is %lu", c.tables,
				     mm->tables.nr);
	return 0;
}
