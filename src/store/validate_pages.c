/* SPDX-License-Identifier: MIT */
/*
 * The invariants of a page cache, which inode.h lists, checked.
 */
#include "base/report.h"
#include "store/file.h"
#include "store/pages.h"

static int validate_page(const struct inode *inode, const struct ma_state *mas,
			 const struct folio *folio, struct samara_report *out)
{
	const unsigned long pfn = folio_pfn(inode->ram, folio);

	if (inode_is_device(inode)) {
		if (mas->index != pfn ||
		    mas->last != pfn + (1UL << folio_order(inode->ram, folio)) - 1)
			return report_broken(out, "page_index", "frame %lu at %lu..%lu", pfn,
					     mas->index, mas->last);
		return 0;
	}
	if (mas->index != mas->last || !page_is_here(inode, folio, mas->index) ||
	    (folio_flags(folio) & (FOLIO_UPTODATE | FOLIO_ANON)) != FOLIO_UPTODATE)
		return report_broken(out, "page_index",
				     "frame %lu of page %lu, flags %#x, at %lu..%lu", pfn,
				     folio->index, folio_flags(folio), mas->index, mas->last);
	if (mas->index >= inode_pages(inode) && !inode->host.moved_end)
		return report_broken(out, "page_beyond", "page %lu of a file of %llu bytes",
				     mas->index, inode->length);
	return 0;
}

static int validate_entry(const struct inode *inode, const struct ma_state *mas, swp_entry_t swap,
			  struct samara_report *out)
{
	if (!inode_is_shmem(inode) || mas->index != mas->last || mas->index >= inode_pages(inode) ||
	    (swap.v != SWP_LOST.v && swap_count(inode->store, swap) != 1))
		return report_broken(out, "page_swap", "area %u, slot %lu at %lu..%lu of %lu",
				     swp_area(swap), swp_slot(swap), mas->index, mas->last,
				     inode_pages(inode));
	return 0;
}

static int validate_locked(struct inode *inode, struct samara_report *out)
{
	MA_STATE(mas, &inode->pages.tree, 0, 0);
	unsigned long pages = 0, swapped = 0;
	const void *entry;
	int err = samara_mtree_validate(&inode->pages.tree, out);

	if (err)
		return report_broken(out, "pages", "the tree");
	mas_for_each(&mas, entry, ULONG_MAX) {
		const swp_entry_t swap = value_to_swp(entry);

		pages += swp_none(swap);
		swapped += !swp_none(swap);
		err = swp_none(swap) ? validate_page(inode, &mas, entry, out) :
				       validate_entry(inode, &mas, swap, out);
		if (err)
			return err;
	}
	if (pages != inode->pages.nr || swapped != inode->pages.swapped ||
	    inode->pages.charged != (inode->pages.charge_each ? pages + swapped : 0))
		return report_broken(out, "page_count",
				     "%lu pages, %lu in swap; counted %lu, %lu, charged %lu", pages,
				     swapped, inode->pages.nr, inode->pages.swapped,
				     inode->pages.charged);
	return 0;
}

int inode_validate(struct inode *inode, struct samara_report *out)
{
	int err;

	mutex_lock(&inode->pages.lock);
	err = validate_locked(inode, out);
	mutex_unlock(&inode->pages.lock);
	return err;
}
