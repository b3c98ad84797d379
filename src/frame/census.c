/* SPDX-License-Identifier: MIT */
/*
 * What frames are used for, by their folios' flags: each frame is looked at once, so that nothing
 * has to be counted when pages come and go. No lock: exact while the machine is quiet.
 */
#include <string.h>

#include "frame/ram.h"

static void count_folio(uint64_t state, unsigned long frames, struct ram_census *out)
{
	const unsigned int flags = (unsigned int)(state >> FOLIO_FLAGS_SHIFT);

	if (flags & FOLIO_ANON) {
		out->anon += folio_state_maps(state) ? frames : 0;
		return;
	}
	if (!(flags & FOLIO_UPTODATE) || (flags & FOLIO_SWAPCACHE))
		return;
	if (flags & FOLIO_SWAPBACKED) {
		out->shmem += frames;
		out->mapped += folio_state_maps(state) ? frames : 0;
	} else if (flags & FOLIO_LRU) {
		/* A device's frames are on no list. */
		out->file += frames;
		out->dirty += flags & FOLIO_DIRTY ? frames : 0;
		out->mapped += folio_state_maps(state) ? frames : 0;
	}
}

void ram_census(const struct ram *ram, struct ram_census *out)
{
	const unsigned long end = smp_load_acquire(&ram->buddy.fresh);

	memset(out, 0, sizeof(*out));
	for (unsigned long pfn = ZERO_FRAME + 1; pfn < end; pfn++) {
		const uint64_t state = folio_state(frame_at(ram, pfn));

		if (!folio_gone(state))
			count_folio(state, 1UL << pfn_order(ram, pfn), out);
	}
}
