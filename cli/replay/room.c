/* SPDX-License-Identifier: MIT */
/*
 * A model of the room in a map, for the order of calls that overlapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "replay/room.h"

#define PAGE 4096UL
#define HUGE_SIZE (2UL << 20) /* from here on alignment rules come in */

static unsigned long pages(unsigned long len)
{
	return (len + PAGE - 1) & ~(PAGE - 1);
}

void room_free(struct room *room)
{
	free(room->taken);
	room->taken = NULL;
}

int room_copy(const struct room *from, struct room *out)
{
	*out = *from;
	out->taken = malloc((from->size ? from->size : 1) * sizeof(*out->taken));
	if (!out->taken)
		return -ENOMEM;
	if (from->nr) /* an empty room has no array */
		memcpy(out->taken, from->taken, from->nr * sizeof(*out->taken));
	return 0;
}

static int insert_at(struct room *room, size_t at, unsigned long start, unsigned long end)
{
	if (room->nr == room->size) {
		size_t size = room->size ? 2 * room->size : 64;
		struct map_range *more = realloc(room->taken, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		room->taken = more;
		room->size = size;
	}
	memmove(&room->taken[at + 1], &room->taken[at], (room->nr - at) * sizeof(*room->taken));
	room->taken[at] = (struct map_range){ start, end };
	room->nr++;
	return 0;
}

/* The first area that ends above addr. */
static size_t above(const struct room *room, unsigned long addr)
{
	size_t low = 0, high = room->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (room->taken[mid].end > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static bool is_free(const struct room *room, unsigned long start, unsigned long end)
{
	size_t at = above(room, start);

	return at == room->nr || room->taken[at].start >= end;
}

static int give_back(struct room *room, unsigned long start, unsigned long end)
{
	size_t at = above(room, start);

	while (at < room->nr && room->taken[at].start < end) {
		struct map_range *r = &room->taken[at];

		if (r->start < start && r->end > end) {
			unsigned long tail = r->end;

			r->end = start;
			return insert_at(room, at + 1, end, tail);
		}
		if (r->start < start) {
			r->end = start;
			at++;
		} else if (r->end > end) {
			r->start = end;
		} else {
			memmove(r, r + 1, (room->nr - at - 1) * sizeof(*r));
			room->nr--;
		}
	}
	return 0;
}

static int take(struct room *room, unsigned long start, unsigned long end)
{
	int err = give_back(room, start, end);

	return err ? err : insert_at(room, above(room, start), start, end);
}

/* Where the kernel puts len bytes: as high as they fit below base; 0: nowhere. */
static unsigned long highest_fit(const struct room *room, unsigned long len)
{
	unsigned long end = room->base;

	for (size_t i = room->nr; i-- > 0;) {
		const struct map_range *r = &room->taken[i];

		if (r->start >= end)
			continue;
		if (r->end <= end && end - r->end >= len)
			return end - len;
		end = r->start;
	}
	return end >= len ? end - len : 0;
}

/*
 * May the kernel have put a mapping of len bytes at answer? Anonymous memory whose
 * length is a multiple of huge pages is placed for them: in a room of one huge page
 * more, at the first multiple in there, and at the second when the room begins with
 * one. Files have rules of their own.
 */
static bool fits_best(const struct room *room, const struct call *c, unsigned long len,
		      unsigned long answer)
{
	unsigned long room_at;

	if (len < HUGE_SIZE)
		return highest_fit(room, len) == answer;
	if (!(c->flags & MAP_ANONYMOUS) || !(c->flags & MAP_PRIVATE))
		return true;
	room_at = len % HUGE_SIZE == 0 ? highest_fit(room, len + HUGE_SIZE) : 0;
	if (room_at)
		return answer == (room_at & ~(HUGE_SIZE - 1)) + HUGE_SIZE;
	return highest_fit(room, len) == answer;
}

int room_of(struct samara_mm *mm, struct room *out)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	struct samara_vma_info vma;
	unsigned long at = 0;
	int err = 0;

	samara_get_layout(mm, &layout);
	*out = (struct room){ .base = layout.mmap_base };
	for (; !err && samara_vma_next(mm, at, &vma) == 0; at = vma.end) {
		if (out->nr && out->taken[out->nr - 1].end == vma.start)
			out->taken[out->nr - 1].end = vma.end;
		else
			err = insert_at(out, out->nr, vma.start, vma.end);
	}
	if (err)
		room_free(out);
	return err;
}

static int mmap_call(struct room *room, const struct call *c, unsigned long answer)
{
	unsigned long len = pages(c->len);

	if ((c->flags & MAP_FIXED) && !(c->flags & MAP_FIXED_NOREPLACE))
		return take(room, answer, answer + len) ? -ENOMEM : 1;
	if (!is_free(room, answer, answer + len))
		return 0;
	if (call_chooses(c) && !c->addr && !(c->flags & (MAP_32BIT | MAP_GROWSDOWN)) &&
	    !fits_best(room, c, len, answer))
		return 0;
	return insert_at(room, above(room, answer), answer, answer + len) ? -ENOMEM : 1;
}

static int mremap_call(struct room *room, const struct call *c, unsigned long answer)
{
	unsigned long old_end = c->addr + pages(c->len), len = pages(c->to.len);
	bool in_place = c->to.len <= c->len || is_free(room, old_end, c->addr + len);

	if (!call_chooses(c)) { /* shrinks, or goes where it is told */
		if (!(c->flags & MREMAP_DONTUNMAP) &&
		    give_back(room, c->addr, c->addr + pages(c->len)))
			return -ENOMEM;
		return take(room, answer, answer + len) ? -ENOMEM : 1;
	}
	if (is_free(room, c->addr, c->addr + 1))
		return 0;
	if ((answer == c->addr) != in_place)
		return 0;
	if (!in_place && (!is_free(room, answer, answer + len) ||
			  (len < HUGE_SIZE && highest_fit(room, len) != answer)))
		return 0;
	if (give_back(room, c->addr, old_end))
		return -ENOMEM;
	return take(room, answer, answer + len) ? -ENOMEM : 1;
}

int room_call(struct room *room, const struct call *c, unsigned long answer)
{
	if (SAMARA_IS_ERR_VALUE(answer))
		return 1;
	switch (c->kind) {
	case CALL_MMAP:
		return mmap_call(room, c, answer);
	case CALL_MREMAP:
		return mremap_call(room, c, answer);
	case CALL_MUNMAP:
		return give_back(room, c->addr, c->addr + pages(c->len)) ? -ENOMEM : 1;
	default:
		return 1;
	}
}
