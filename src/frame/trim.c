/* SPDX-License-Identifier: MIT */
/*
 * Free frames that were used before give their memory back to the host: a hole in the memfd. Their
 * bytes are zeros again, and their notes say so.
 *
 *   [ used ][ free ][ free, never used ][ used ][ free     free ]      window of TRIM_WINDOW frames
 *           '--hole-'                           '---- hole -----'
 *
 * Free blocks that are neighbours make up one hole, so that few calls serve many frames.
 *
 * Locks: buddy.lock (RANK_FRAME), for one window at a time. The host is called with it held: frames
 * that were taken out for that would be missed by an allocation, which would say that there are
 * none.
 */
#include <string.h>
#include <sys/mman.h>

#include "alloc/poison.h"
#include "frame/ram.h"

#define TRIM_WINDOW (8 * CHUNK_FRAMES)

/* Of a free block: is there something to give back? */
static bool was_used(const struct ram *ram, unsigned long pfn, unsigned long frames)
{
	for (unsigned long i = pfn; i < pfn + frames; i++)
		if (ram->view.notes[i] & NOTE_USED_BEFORE)
			return true;
	return false;
}

/* Frames of the free block at pfn, 1 where none begins; *trim: it is to be given back. */
static unsigned long look(const struct ram *ram, unsigned long pfn, bool *trim)
{
	const unsigned int kind = frame_kind(frame_at(ram, pfn));
	unsigned long frames;

	*trim = false;
	if (kind < FRAME_FREE || kind >= FRAME_FREE + FRAME_ORDERS)
		return 1;
	frames = 1UL << (kind - FRAME_FREE);
	*trim = was_used(ram, pfn, frames);
	return frames;
}

/* How many frames; 0 if the host refuses. */
static unsigned long give_back(struct ram *ram, unsigned long pfn, unsigned long frames)
{
	const unsigned int shift = ram->view.page_shift;
	void *p = pfn_to_virt(ram, pfn);

	if (!frames || madvise(p, frames << shift, MADV_REMOVE))
		return 0;
	unpoison_region(p, frames << shift);
	for (unsigned long i = pfn; i < pfn + frames; i++)
		WRITE_ONCE(ram->view.notes[i], 0);
	return frames;
}

/* Windows begin where no block lies on both sides. */
static unsigned long trim_window(struct ram *ram, unsigned long pfn, unsigned long end)
{
	unsigned long hole = pfn, frames = 0, sum = 0;
	bool trim;

	spin_assert_held(&ram->buddy.lock);
	while (pfn < end) {
		const unsigned long step = look(ram, pfn, &trim);

		if (trim && frames && hole + frames == pfn) {
			frames += step;
		} else if (trim) {
			sum += give_back(ram, hole, frames);
			hole = pfn;
			frames = step;
		}
		pfn += step;
	}
	return sum + give_back(ram, hole, frames);
}

unsigned long ram_trim(struct ram *ram)
{
	unsigned long sum = 0;

	shards_drain(ram);
	for (unsigned long pfn = 0; pfn < READ_ONCE(ram->buddy.fresh); pfn += TRIM_WINDOW) {
		spin_lock(&ram->buddy.lock, RANK_FRAME);
		sum += trim_window(ram, max(pfn, ZERO_FRAME + 1),
				   min(pfn + TRIM_WINDOW, ram->buddy.fresh));
		spin_unlock(&ram->buddy.lock);
	}
	return sum;
}
