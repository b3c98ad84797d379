/* SPDX-License-Identifier: MIT */
/*
 * The invariants of swap areas that swap.h names. The machine is quiet.
 */
#include "base/report.h"
#include "store/swap_area.h"

/* What the words of one area add up to. */
struct sums {
	unsigned long used, bad, cached;
	unsigned long pages; /* of areas that are on */
};

static int check_cached(struct samara_swap *area, unsigned long slot, uint64_t word,
			struct samara_report *out)
{
	const struct ram_view *ram = ram_view(area->store->ram);
	const unsigned long frame = word & SLOT_FRAME;
	const struct folio *folio;

	if (frame >= ram->nr_frames)
		return report_broken(out, "slot_cache", "area %u, slot %lu: frame %lu of %lu",
				     area->number, slot, frame, ram->nr_frames);
	folio = &ram->folios[frame];
	if (!swap_cache_is(folio, mk_swp_entry(area->number, slot)) || !folio_refs(folio) ||
	    !folio_test(folio, FOLIO_UPTODATE))
		return report_broken(out, "slot_cache",
				     "area %u, slot %lu: frame %lu, flags %#x, refs %lu",
				     area->number, slot, frame, folio_flags(folio),
				     folio_refs(folio));
	return 0;
}

static int check_slot(struct samara_swap *area, unsigned long slot, struct sums *sums,
		      struct samara_report *out)
{
	const uint64_t word = smp_load_acquire(&area->slots.word[slot]);

	if (word & SLOT_USED) {
		sums->used++;
		if (slot_unnamed(word))
			return report_broken(out, "slot_free", "area %u, slot %lu is lost",
					     area->number, slot);
	} else if (word == SLOT_BAD) {
		sums->bad++;
	} else if (word) {
		return report_broken(out, "slot_free", "area %u, slot %lu: %#lx in a free slot",
				     area->number, slot, (unsigned long)word);
	}
	if (!(word & SLOT_FRAME) && area->slots.family[slot])
		return report_broken(out, "slot_cache", "area %u, slot %lu: a family alone",
				     area->number, slot);
	if (!(word & SLOT_FRAME))
		return 0;
	sums->cached++;
	return check_cached(area, slot, word, out);
}

/* The words of cluster c. */
static int check_cluster(struct samara_swap *area, unsigned long c, struct sums *sums,
			 struct samara_report *out)
{
	const struct swap_cluster *cluster = &area->slots.cluster[c];
	const unsigned long end = min((c + 1) * SWAP_CLUSTER, area->slots.nr);
	const unsigned long before = sums->used + sums->bad;
	unsigned long taken;
	int err = 0;

	for (unsigned long slot = c * SWAP_CLUSTER; slot < end && !err; slot++)
		err = check_slot(area, slot, sums, out);
	if (err)
		return err;
	taken = sums->used + sums->bad - before;
	if (cluster->used != taken ||
	    (cluster->state != CLUSTER_CURRENT &&
	     (cluster->state == CLUSTER_FULL) != (taken == end - c * SWAP_CLUSTER)) ||
	    (taken && (cluster->state == CLUSTER_FREE || cluster->state == CLUSTER_DISCARD)))
		return report_broken(out, "slot_cluster",
				     "area %u, cluster %lu: %lu taken, %u counted, state %u",
				     area->number, c, taken, cluster->used, cluster->state);
	return 0;
}

static int check_area(struct samara_swap *area, struct sums *all, struct samara_report *out)
{
	const unsigned long fresh = area->clusters.fresh;
	struct sums sums = { 0 };
	unsigned long pages = area->slots.nr;
	int err = 0;

	for (unsigned long c = 0; c < fresh && !err; c++)
		err = check_cluster(area, c, &sums, out);
	if (err)
		return err;
	/* Bad from the beginning. */
	for (unsigned long c = fresh; c * SWAP_CLUSTER < area->slots.nr; c++)
		sums.bad += area->slots.cluster[c].used;
	pages -= sums.bad;
	if (area->usage.used != sums.used || area->usage.pages != pages)
		return report_broken(out, "slot_free",
				     "area %u: %lu of %lu slots used, counted %lu of %lu",
				     area->number, sums.used, pages, area->usage.used,
				     area->usage.pages);
	all->cached += sums.cached;
	if (area->state == SWAP_ON) {
		all->used += sums.used;
		all->pages += pages;
	}
	return 0;
}

int swap_validate(struct file_store *store, struct samara_report *out)
{
	struct sums all = { 0 };
	struct swap_stats stats;
	int err = 0;

	for (unsigned int i = 0; i < SWAP_AREAS && !err; i++) {
		struct samara_swap *area = swap_area_get(store, i);

		if (!area)
			continue;
		spin_lock(&area->lock, RANK_SWAP);
		err = check_area(area, &all, out);
		spin_unlock(&area->lock);
		swap_area_put(area);
	}
	swap_stats(store, &stats);
	if (!err && (stats.total != all.pages || stats.free != all.pages - all.used ||
		     stats.cached != all.cached))
		err = report_broken(out, "swap_stats",
				    "%lu slots, %lu used, %lu cached; counted %lu, %lu free, %lu",
				    all.pages, all.used, all.cached, stats.total, stats.free,
				    stats.cached);
	return err;
}
