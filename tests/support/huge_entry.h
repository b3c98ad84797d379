/* SPDX-License-Identifier: MIT */
/*
 * Huge entries, made by hand: no code makes one yet.
 */
#ifndef SAMARA_TEST_HUGE_ENTRY_H
#define SAMARA_TEST_HUGE_ENTRY_H

#include "mmu/table.h"
#include "support/cmocka_all.h"

/* The table of that level on the way to addr, whose path exists down to there. */
static inline struct table *upper_table(struct samara_mm *mm, unsigned long addr,
					unsigned int level)
{
	struct table *table = mm->tables.pgd;

	while (table->level > level)
		table = table_child(table, table_index(mm->geo, table->level, addr));
	return table;
}

/* The entry becomes pte, for what an entry of that level serves at addr; empty: none again. */
static inline void set_huge(struct samara_mm *mm, unsigned long addr, unsigned int level, pte_t pte)
{
	struct table *table = upper_table(mm, addr, level);
	pte_t *at = &table->entry[table_index(mm->geo, level, addr)];

	assert_int_not_equal(pte_none(pte_read(at)), pte_none(pte));
	table->used += pte_none(pte) ? -1U : 1U;
	pte_set(at, pte);
}

#endif
