/* SPDX-License-Identifier: MIT */
/*
 * reclaim_validate(): what reclaim leaves behind it. The machine is quiet: no lock is taken.
 *
 *   frozen      no folio is frozen
 *   reachable   a folio on a list has an entry or a reference
 *   mlocked     as many folios have FOLIO_MLOCKED and FOLIO_LRU as are on the unevictable list
 *   swap        swap_validate()
 */
#include "base/report.h"
#include "reclaim/reclaim.h"
#include "store/file.h"

#define BROKEN(name, ...) report_broken(out, name, __VA_ARGS__)

static int check_folio(unsigned long pfn, const struct folio *folio, struct samara_report *out)
{
	const unsigned int flags = folio_flags(folio);

	if (flags & FOLIO_FROZEN)
		return BROKEN("frozen", "frame %lu, flags %#x", pfn, flags);
	if (!(flags & FOLIO_LRU))
		return 0;
	if (!folio_count(folio))
		return BROKEN("reachable", "frame %lu, flags %#x, is on a list for nothing", pfn,
			      flags);
	return 0;
}

static int check_frames(struct ram *ram, struct samara_report *out)
{
	const unsigned int aside = FOLIO_MLOCKED | FOLIO_LRU;
	unsigned long mlocked = 0;
	struct ram_stats stats;

	ram_stats(ram, &stats);
	for (unsigned long pfn = ZERO_FRAME + 1; pfn < ram_view(ram)->nr_frames; pfn++) {
		const struct folio *folio = &ram_view(ram)->folios[pfn];
		const int err = check_folio(pfn, folio, out);

		if (err)
			return err;
		mlocked += (folio_flags(folio) & aside) == aside;
	}
	if (mlocked != stats.lru[LRU_UNEVICTABLE])
		return BROKEN("mlocked", "%lu folios are marked, %lu on the list", mlocked,
			      stats.lru[LRU_UNEVICTABLE]);
	return 0;
}

int reclaim_validate(struct samara_machine *machine, struct samara_report *out)
{
	const int err = check_frames(machine->ram, out);

	return err ? err : swap_validate(machine->store, out);
}
