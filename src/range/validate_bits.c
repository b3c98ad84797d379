/* SPDX-License-Identifier: MIT */
#include "range/validate_bits.h"

#include "base/report.h"
#include "range/leaf.h"

static bool allows_write(pte_t pte)
{
	return pte_present(pte) ? pte_write(pte) :
				  pte_migration(pte) && swp_type(pte) == SWP_MIGRATION_WRITE;
}

/* What is judged of a VMA's entries. */
struct judged {
	const struct vma *vma;
	bool uffd_bits; /* its mm has had a userfaultfd, and no bit of it may be stale */
	bool soft_dirty;
};

/* NULL, or the invariant that the entry breaks; *what: how. */
static const char *broken(const struct judged *j, pte_t pte, const char **what)
{
	const bool wp = pte_any_uffd_wp(pte) && !(pte_marker(pte) & MARKER_STOPS);

	if (j->uffd_bits && wp && !vma_uffd_wp(j->vma)) {
		*what = "protected, in a mapping that is not registered for it";
		return "uffd_bits";
	}
	if (!allows_write(pte))
		return NULL;
	if (j->uffd_bits && wp) {
		*what = "protected, and writable";
		return "uffd_bits";
	}
	*what = "writable, and its first write would not be noticed";
	return j->soft_dirty && !(pte.v & pte_soft_dirty_bit(pte)) ? "soft_dirty" : NULL;
}

static int validate_leaf(const struct judged *j, const struct leaf_part *part,
			 struct samara_report *out)
{
	const struct samara_mm *mm = j->vma->vm_mm;

	for (unsigned long at = part->addr; at < part->end; at += mm_page_size(mm)) {
		const pte_t pte = pte_read(table_pte(mm, part->leaf, at));
		const char *what, *invariant = broken(j, pte, &what);

		if (invariant)
			return report_broken(out, invariant, "the entry of %#lx is %#llx: %s", at,
					     (unsigned long long)pte.v, what);
	}
	return 0;
}

int range_validate_bits(struct vma *vma, struct samara_report *out)
{
	struct samara_mm *mm = vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(vma->vm_start);
	const struct judged j = {
		.vma = vma,
		.uffd_bits = READ_ONCE(mm->watch.uffds.bits) == UFFD_BITS_SOME,
		.soft_dirty = vma_soft_dirty_enabled(vma),
	};
	int err = 0;

	if (!(j.uffd_bits || j.soft_dirty) || !mm_has_tables(mm))
		return 0;
	while (!err && leaf_next(mm, &part, vma->vm_end)) {
		if (part.level)
			continue;
		table_lock(part.leaf);
		err = validate_leaf(&j, &part, out);
		table_unlock(part.leaf);
	}
	return err;
}
