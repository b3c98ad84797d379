/* SPDX-License-Identifier: MIT */
#include "range/validate_bits.h"

#include "base/report.h"
#include "range/leaf.h"

static bool allows_write(pte_t pte)
{
	return pte_present(pte) ? pte_write(pte) :
				  pte_migration(pte) && swp_type(pte) == SWP_MIGRATION_WRITE;
}

/* NULL, or what is wrong with an entry of a VMA that has VM_UFFD_WP, or has it not. */
static const char *wrong(const struct vma *vma, pte_t pte)
{
	if (!pte_any_uffd_wp(pte) || (pte_marker(pte) & MARKER_STOPS))
		return NULL;
	if (!vma_uffd_wp(vma))
		return "protected, in a mapping that is not registered for it";
	return allows_write(pte) ? "protected, and writable" : NULL;
}

int range_validate_bits(struct vma *vma, struct samara_report *out)
{
	struct samara_mm *mm = vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(vma->vm_start);
	const char *what = NULL;
	int err = 0;

	if (READ_ONCE(mm->watch.uffds.bits) != UFFD_BITS_SOME || !mm_has_tables(mm))
		return 0;
	while (!err && leaf_next(mm, &part, vma->vm_end)) {
		if (part.level)
			continue;
		table_lock(part.leaf);
		for (unsigned long at = part.addr; at < part.end && !err; at += mm_page_size(mm)) {
			const pte_t pte = pte_read(table_pte(mm, part.leaf, at));

			what = wrong(vma, pte);
			if (what)
				err = report_broken(out, "uffd_bits",
						    "the entry of %#lx is %#llx: %s", at,
						    (unsigned long long)pte.v, what);
		}
		table_unlock(part.leaf);
	}
	return err;
}
