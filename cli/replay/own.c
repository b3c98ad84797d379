/* SPDX-License-Identifier: MIT */
/*
 * Where a recorded area lies when the library has chosen another address.
 *
 *	recorded   |----A----|      |--B--|
 *	ours          |----A----|              |--B--|
 *
 * Sorted by recorded start, not overlapping. Areas at their recorded address
 * are not listed, so that the list is empty as long as both agree.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/perform.h"

unsigned long own_address(const struct space *s, unsigned long recorded)
{
	size_t low = 0, high = s->moved.nr;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct moved_area *a = &s->moved.at[mid];

		if (recorded < a->start)
			high = mid;
		else if (recorded >= a->end)
			low = mid + 1;
		else
			return a->to + (recorded - a->start);
	}
	return recorded;
}

unsigned long own_extent(const struct space *s, unsigned long recorded)
{
	for (size_t i = 0; i < s->moved.nr; i++) {
		if (recorded < s->moved.at[i].start)
			return s->moved.at[i].start - recorded;
		if (recorded < s->moved.at[i].end)
			return s->moved.at[i].end - recorded;
	}
	return -recorded; /* to the top */
}

bool own_same(const struct space *s)
{
	return s->moved.nr == 0;
}

static int insert_at(struct space *s, size_t at, struct moved_area area)
{
	if (s->moved.nr == s->moved.room) {
		size_t room = s->moved.room ? 2 * s->moved.room : 16;
		struct moved_area *more = realloc(s->moved.at, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->moved.at = more;
		s->moved.room = room;
	}
	memmove(&s->moved.at[at + 1], &s->moved.at[at], (s->moved.nr - at) * sizeof(area));
	s->moved.at[at] = area;
	s->moved.nr++;
	return 0;
}

/* Forget [start, end): areas are cut, one may become two. */
static int clear_range(struct space *s, unsigned long start, unsigned long end)
{
	size_t i = 0;

	while (i < s->moved.nr) {
		struct moved_area *a = &s->moved.at[i];
		struct moved_area tail = { end, a->end, a->to + (end - a->start) };

		if (a->end <= start || a->start >= end) {
			i++;
		} else if (a->start < start) {
			bool split = a->end > end;

			a->end = start;
			if (split)
				return insert_at(s, i + 1, tail);
			i++;
		} else if (a->end > end) {
			*a = tail;
			return 0;
		} else {
			memmove(a, a + 1, (s->moved.nr - i - 1) * sizeof(*a));
			s->moved.nr--;
		}
	}
	return 0;
}

int own_set(struct space *s, unsigned long start, unsigned long len, unsigned long to)
{
	unsigned long end = start + ((len + 4095) & ~4095UL);
	size_t at = 0;
	int err = clear_range(s, start, end);

	if (err || to == start || end <= start)
		return err;
	while (at < s->moved.nr && s->moved.at[at].start < start)
		at++;
	return insert_at(s, at, (struct moved_area){ start, end, to });
}
