/* SPDX-License-Identifier: MIT */
/*
 * Choosing addresses: hint, gap search in the tree from the top or the bottom,
 * guard gaps below stacks, and the alignment rules for mappings that could use
 * huge pages. Source: mmap(2) and the running kernel.
 */
#include <errno.h>
#include <sys/mman.h>

#include "store/file.h"
#include "vma/find.h"
#include "vma/layout.h"
#include "vma/reserve.h"

#ifndef MAP_ABOVE4G
#define MAP_ABOVE4G 0x80
#endif
#define FOUR_GIB (1UL << 32)

struct search {
	unsigned long low, high; /* inside [low, high) */
	unsigned long len;
	struct area_around *around;
};

unsigned long round_hint_to_min(const struct samara_mm *mm, unsigned long hint)
{
	hint &= mm_page_mask(mm);
	if (hint && hint < mm->geo->map_min_addr)
		return mm->geo->map_min_addr;
	return hint;
}

/* The VMA below end - len, and the first one at or above end; [end - len, end) is free. */
static struct vma *look_around(struct samara_mm *mm, unsigned long end, const struct search *s)
{
	const unsigned long start = end - s->len;
	struct vma *prev, *above;

	vma_seek(mm, start); /* the next store is most often there */
	/* start is never 0: map_min_addr. */
	prev = vma_lookup(mm, start - 1);
	above = vma_find_from(mm, end);
	if (s->around)
		*s->around = (struct area_around){
			.known = true,
			.prev = prev,
			.next = above && above->vm_start == end ? above : NULL,
		};
	return above;
}

/* The highest place. A place that reaches into a stack's guard gap: the search goes on below. */
static unsigned long search_topdown(struct samara_mm *mm, struct search s)
{
	s.low = max(s.low, mm->geo->map_min_addr);
	while (s.low < s.high) {
		struct ma_state mas;
		struct vma *above;
		unsigned long gap_end;

		mas_init(&mas, &mm->mt, 0);
		if (mas_empty_area_rev(&mas, s.low, s.high - 1, s.len))
			break;
		gap_end = mas.last + 1;
		above = s.low ? look_around(mm, gap_end, &s) : vma_find_from(mm, gap_end);
		if (!above || vma_start_gap(mm, above) >= gap_end)
			return gap_end - s.len;
		s.high = vma_start_gap(mm, above);
	}
	if (s.around)
		s.around->known = false;
	return (unsigned long)-ENOMEM;
}

static unsigned long search_bottomup(struct samara_mm *mm, struct search s)
{
	s.low = max(s.low, mm->geo->map_min_addr);
	while (s.low < s.high) {
		struct ma_state mas;
		struct vma *above;

		mas_init(&mas, &mm->mt, 0);
		if (mas_empty_area(&mas, s.low, s.high - 1, s.len))
			break;
		above = vma_find_from(mm, mas.index);
		if (!above || vma_start_gap(mm, above) >= mas.index + s.len)
			return mas.index;
		s.low = above->vm_end;
	}
	return (unsigned long)-ENOMEM;
}

/* The hint is free, its end below the guard of what follows. */
static bool hint_free(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	struct vma *vma = vma_find_from(mm, addr);

	return !vma || addr + len <= vma_start_gap(mm, vma);
}

/* Where a search may end: the window, or everything when the hint lies above the window. */
static unsigned long window_end(const struct samara_mm *mm, unsigned long hint)
{
	return hint > mm->geo->map_window ? mm->layout.task_size :
					    min(mm->geo->map_window, mm->layout.task_size);
}

static bool wants_low(const struct area_desc *d)
{
	return (d->flags & MAP_32BIT) && d->mm->geo->low_end > d->mm->geo->low_start;
}

static unsigned long area_bottomup(const struct area_desc *d)
{
	struct samara_mm *mm = d->mm;
	struct search s = { mm->layout.legacy_base, window_end(mm, d->addr), d->len, NULL };
	unsigned long addr = d->addr;

	if (wants_low(d)) {
		s.low = mm->geo->low_start;
		s.high = mm->geo->low_end;
	}
	if (d->len > s.high)
		return (unsigned long)-ENOMEM;
	if (addr) {
		addr = mm_page_align(mm, addr);
		if (addr <= s.high - d->len && hint_free(mm, addr, d->len))
			return addr;
	}
	if ((d->flags & MAP_ABOVE4G) && !wants_low(d))
		s.low = max(s.low, FOUR_GIB);
	return search_bottomup(mm, s);
}

/* Whether a mapping at addr lies on one side of the window's end, and below the task size. */
static bool hint_valid(const struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	if (len > mm->layout.task_size || addr > mm->layout.task_size - len)
		return false;
	return (addr > mm->geo->map_window) == (addr + len > mm->geo->map_window);
}

static unsigned long area_topdown(const struct area_desc *d)
{
	struct samara_mm *mm = d->mm;
	struct search s = { mm_page_size(mm), mm->layout.mmap_base, d->len, d->around };
	unsigned long addr = d->addr & mm_page_mask(mm);

	if (wants_low(d))
		return area_bottomup(d);
	if (addr && hint_valid(mm, addr, d->len) && hint_free(mm, addr, d->len))
		return addr;
	if (d->flags & MAP_ABOVE4G)
		s.low = FOUR_GIB;
	/* With five levels a hint above the window opens what lies there. */
	if (d->addr > mm->geo->map_window)
		s.high += mm->layout.task_size - mm->geo->map_window;
	addr = search_topdown(mm, s);
	return SAMARA_IS_ERR_VALUE(addr) ? area_bottomup(d) : addr;
}

static unsigned long area_plain(const struct area_desc *d)
{
	if (d->len > d->mm->layout.task_size)
		return (unsigned long)-ENOMEM;
	if (d->flags & MAP_FIXED)
		return d->addr;
	if (d->mm->layout.flags & SAMARA_LAYOUT_BOTTOM_UP)
		return area_bottomup(d);
	return area_topdown(d);
}

/*
 * A place whose address equals the file offset modulo a huge page: the search asks for one huge
 * page more, and takes the part that fits. 0: the mapping is too short, or there is no room.
 */
static unsigned long area_huge(const struct area_desc *d)
{
	const unsigned long huge = geo_huge_size(d->mm->geo);
	const unsigned long off = d->pgoff << d->mm->geo->page_shift;
	const unsigned long off_align = (off + huge - 1) & ~(huge - 1);
	const unsigned long off_end = off + d->len;
	struct area_desc padded = *d;
	unsigned long at, shift;

	/* Signed, as in Linux: mremap can lengthen a mapping beyond 2^63. */
	if ((long)off_end <= (long)off_align || off_end - off_align < huge)
		return 0;
	padded.len = d->len + huge;
	padded.around = NULL; /* only a part of it is taken */
	if (padded.len < d->len || off + padded.len < off)
		return 0;
	at = area_plain(&padded);
	if (SAMARA_IS_ERR_VALUE(at))
		return 0;
	if (at == d->addr) /* the hint was taken as it is */
		return at;
	shift = (off - at) & (huge - 1);
	if (!(d->mm->layout.flags & SAMARA_LAYOUT_BOTTOM_UP) && !shift)
		return at + huge;
	return at + shift;
}

/* Whether area_huge() places the mapping. */
static bool places_huge(const struct area_desc *d)
{
	if (!mm_has_thp(d->mm))
		return false;
	if (d->file && file_is(d->file, SAMARA_FILE_HUGE_ALIGN))
		return true;
	/* /dev/zero: a private mapping is anonymous memory; a shared one is fresh shared memory. */
	if (d->file && file_is(d->file, SAMARA_FILE_ZERO) && !(d->flags & MAP_SHARED))
		return true;
	if ((d->file && file_is(d->file, SAMARA_FILE_SHMEM)) ||
	    (!d->file && (d->flags & MAP_SHARED)))
		return !d->addr && (d->mm->machine->flags & SAMARA_MACHINE_SHMEM_HUGE);
	return !d->file && !d->addr && !(d->len & (geo_huge_size(d->mm->geo) - 1));
}

unsigned long get_unmapped_area(const struct area_desc *desc)
{
	const struct samara_mm *mm = desc->mm;
	struct area_desc d = *desc;
	unsigned long addr = 0;

	if (d.len > mm->layout.task_size)
		return (unsigned long)-ENOMEM;
	if (!d.file)
		d.pgoff = 0;
	if (places_huge(&d))
		addr = area_huge(&d);
	if (!addr)
		addr = area_plain(&d);
	if (SAMARA_IS_ERR_VALUE(addr))
		return addr;
	if (addr > mm->layout.task_size - d.len)
		return (unsigned long)-ENOMEM;
	if (!mm_page_aligned(mm, addr))
		return (unsigned long)-EINVAL;
	if (addr < mm->geo->map_min_addr && !mm_capable(mm, SAMARA_CAP_SYS_RAWIO))
		return (unsigned long)-EPERM;
	return addr;
}
