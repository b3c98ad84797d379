/* SPDX-License-Identifier: MIT */
/*
 * What frames hold when they go out and come back.
 *
 *   never used            zeros already (a hole of the memfd): not touched
 *   used before, ZEROED   cleared
 *   used before, RAW      whatever; debug builds: CACHE_GARBAGE
 *   free again            whatever; debug builds: CACHE_POISON, looked at when it goes
 *                         out, so that a store through a stale TLB entry is noticed
 *
 * AddressSanitizer builds also poison frames that are free again.
 *
 * Locks: none; the frames are the caller's alone.
 */
#include <string.h>

#include "alloc/poison.h"
#include "frame/ram.h"

#ifdef SAMARA_DEBUG
static void fill(void *p, size_t size, int byte)
{
	memset(p, byte, size);
}

static void check_untouched(const struct ram *ram, unsigned long pfn, size_t size)
{
	const unsigned char *p = pfn_to_virt(ram, pfn);

	if (p[0] != CACHE_POISON || memcmp(p, p + 1, size - 1))
		assert_bug_text("frame %lu written after it was freed", pfn);
}
#else
static void fill(void *p, size_t size, int byte)
{
	(void)p, (void)size, (void)byte;
}

static void check_untouched(const struct ram *ram, unsigned long pfn, size_t size)
{
	(void)ram, (void)pfn, (void)size;
}
#endif

void frames_out(struct ram *ram, unsigned long pfn, unsigned int order, enum folio_fill how)
{
	const unsigned long end = pfn + (1UL << order);
	const size_t size = (size_t)1 << ram->view.page_shift;

	for (; pfn < end; pfn++) {
		uint8_t *note = &ram->view.notes[pfn];
		const bool used_before = *note;
		void *p = pfn_to_virt(ram, pfn);

		WRITE_ONCE(*note, (uint8_t)(NOTE_USED_BEFORE | order));
		if (used_before) {
			unpoison_region(p, size);
			check_untouched(ram, pfn, size);
		}
		if (how == FOLIO_RAW)
			fill(p, size, CACHE_GARBAGE);
		else if (used_before)
			memset(p, 0, size);
	}
}

#if defined(SAMARA_DEBUG) || SAMARA_ASAN
void frames_in(struct ram *ram, unsigned long pfn, unsigned int order)
{
	void *p = pfn_to_virt(ram, pfn);
	const size_t size = (size_t)1 << (ram->view.page_shift + order);

	fill(p, size, CACHE_POISON);
	poison_region(p, size);
}
#endif
