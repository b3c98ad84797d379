/* SPDX-License-Identifier: MIT */
/*
 * Which page tables leave with a range (range.h has the picture).
 *
 * A table goes when all it serves lies in [floor, ceiling), where no VMA is
 * left, and some of it in [start, end). Limits are compared as "last" (minus
 * one), so that a ceiling of 0, the top of the address space, is above everything: 0 - 1 wraps
 * on purpose. On machines whose user ceiling is the task size (ARM) the last
 * VMA may end exactly there, which is no error either.
 *
 * Locks: mmap_lock for writing, or an mm that no other thread knows. No fault and no
 * reverse mapping can come to the range: its VMAs have left the tree and their families.
 * Checked by tests/model/free_tables.c against a recomputed set.
 */
#include "range/leaf.h"
#include "range/range.h"

void free_pgtables(const struct free_desc *d)
{
	struct samara_mm *mm = d->tlb->mm;

	VM_WARN_ON(d->start >= d->end || d->floor > d->start);
	VM_WARN_ON(d->end - 1 > d->ceiling - 1);
	if (mm_has_tables(mm))
		table_free_range(mm, d->start, d->end, d->floor, d->ceiling, &d->tlb->tables);
}
