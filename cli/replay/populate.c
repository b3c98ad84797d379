/* SPDX-License-Identifier: MIT */
/*
 * Pages, of which a replay wants none.
 *
 * A map has no use for a page but that memory was written to, which stays when the
 * page has gone. So pages are given back at once, and a machine with few frames can
 * replay any number of mappings. A call that fills more memory than there are frames
 * (mlock, MADV_POPULATE) has changed the map before it fails, and granted by the
 * kernel it is granted here too.
 */
#include <errno.h>
#include <sys/mman.h>

#include "replay/perform.h"

/* <linux/mman.h>; newer than some C libraries */
#define ADVICE_POPULATE_READ 22
#define ADVICE_POPULATE_WRITE 23
#define ADVICE_DONTNEED_LOCKED 24

void pages_give_back(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	struct samara_vma_info vma;

	for (; start < end && samara_vma_next(mm, start, &vma) == 0 && vma.start < end;
	     start = vma.end) {
		unsigned long from = vma.start > start ? vma.start : start;
		unsigned long to = vma.end < end ? vma.end : end;

		if (vma.perms[3] == 'p')
			(void)!samara_madvise(mm, from, to - from, ADVICE_DONTNEED_LOCKED);
	}
}

void touch_page(struct samara_mm *mm, unsigned long addr)
{
	(void)!samara_touch(mm, addr, 1, PROT_WRITE);
	pages_give_back(mm, addr & -4096UL, (addr & -4096UL) + 4096);
}

/* The range that a call fills with pages, in our addresses. False: it fills none. */
static bool fills(const struct attempt *a, unsigned long got, struct map_range *out)
{
	const struct call *c = a->call;
	unsigned long start = a->place == PLACE_OWN ? own_address(a->space, c->addr) : c->addr;

	switch (c->kind) {
	case CALL_MLOCK:
	case CALL_MLOCK2:
		break;
	case CALL_MADVISE:
		if (c->advice != ADVICE_POPULATE_READ && c->advice != ADVICE_POPULATE_WRITE)
			return false;
		break;
	case CALL_MMAP:
		start = got;
		if (SAMARA_IS_ERR_VALUE(got) ||
		    !(a->space->lock_future || (c->flags & (MAP_POPULATE | MAP_LOCKED))))
			return false;
		break;
	case CALL_MLOCKALL:
		*out = (struct map_range){ 0, ~0UL };
		return true;
	case CALL_BRK:
	case CALL_MREMAP:
		*out = (struct map_range){ 0, ~0UL };
		return a->space->lock_future;
	default:
		return false;
	}
	*out = (struct map_range){ start & -4096UL, (start + c->len + 4095) & -4096UL };
	return true;
}

/* Has the call done all that shows in a map? */
static bool has_done_its_part(const struct attempt *a, const struct map_range *range)
{
	bool locks = a->call->kind != CALL_MADVISE;
	struct samara_vma_info vma;
	unsigned long at = range->start;

	for (; at < range->end; at = vma.end) {
		if (samara_vma_next(a->space->mm, at, &vma) || vma.start > at)
			return a->call->kind == CALL_MLOCKALL;
		if (locks && !(vma.flags & SAMARA_VM_LOCKED))
			return false;
		if (a->call->advice == ADVICE_POPULATE_WRITE && !(vma.flags & SAMARA_VM_WRITE))
			return false;
	}
	return true;
}

void pages_filled(const struct attempt *a, struct outcome *out)
{
	bool short_of_memory =
		out->got == (unsigned long)-ENOMEM || out->got == (unsigned long)-EAGAIN;
	struct map_range range;

	if (!fills(a, out->got, &range))
		return;
	pages_give_back(a->space->mm, range.start, range.end);
	if (!short_of_memory || out->got == a->recorded || !has_done_its_part(a, &range))
		return;
	if (a->call->kind != CALL_MADVISE || a->call->advice == ADVICE_POPULATE_WRITE)
		touch_written(a->space, range);
	out->got = a->recorded;
}
