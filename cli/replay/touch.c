/* SPDX-License-Identifier: MIT */
/*
 * What the program has written to.
 *
 * Private memory that was written to merges by stricter rules (the kernel's
 * anon_vma), and no call says what was. Three sources, the best that there is:
 *
 *  - tools/capture has read it before every memory call (snapshots_all_touches).
 *    Then all is known.
 *  - A snapshot shows which mappings have pages of their own. What has none by
 *    then was not written to before, and is not here: the next snapshot of the
 *    process is looked up when memory becomes writable, and again when it has been
 *    passed. If it shows the mapping as part of a larger one, the mapping is left
 *    untouched as well: what became one had no two anon_vma. Unless that larger one
 *    is kept from merging with its neighbour, which only an anon_vma explains.
 *  - Else who asks for writable memory writes to it, mostly before the next call.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/perform.h"

void touch_written(struct space *s, struct map_range range)
{
	unsigned long at = range.start;
	struct samara_vma_info vma;

	for (; at < range.end && samara_vma_next(s->mm, at, &vma) == 0 && vma.start < range.end;
	     at = vma.end)
		if (vma.perms[3] == 'p')
			touch_page(s->mm, vma.start > at ? vma.start : at);
}

void touch_range(struct space *s, struct map_range range)
{
	while (range.start < range.end) {
		unsigned long here = own_address(s, range.start);
		unsigned long len = own_extent(s, range.start);

		if (len > range.end - range.start)
			len = range.end - range.start;
		touch_written(s, (struct map_range){ here, here + len });
		range.start += len;
	}
}

/* The line of a snapshot that covers addr; the number of lines if none does. */
static size_t line_at(const struct snapshot *s, unsigned long addr)
{
	size_t low = 0, high = s->lines.nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->lines.at[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->lines.nr && s->lines.at[low].start <= addr ? low : s->lines.nr;
}

static int by_start(const void *a, const void *b)
{
	const struct map_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Does the mapping that begins there have pages of its own in the snapshot? */
static bool line_touched(const struct snapshot *s, unsigned long start)
{
	const struct map_range key = { .start = start };

	return s->touched.nr &&
	       bsearch(&key, s->touched.at, s->touched.nr, sizeof(key), by_start) != NULL;
}

/* Is there a border between a and the mapping behind it that only their anon_vma explains? */
static bool kept_apart(const struct map_line *a, const struct map_line *b)
{
	return a->end == b->start && strcmp(a->perms, b->perms) == 0 && a->ino == b->ino &&
	       (a->ino == 0 || b->offset == a->offset + (a->end - a->start));
}

/* Is the mapping, writable from now on, taken to be written before the next call? */
static bool written_soon(const struct samara_vma_info *vma, unsigned long at,
			 const struct snapshot *next)
{
	const struct map_line *then;
	size_t i;

	if (vma->perms[1] != 'w' || vma->perms[3] != 'p' || (vma->flags & SAMARA_VM_GROWSDOWN))
		return false;
	i = next ? line_at(next, at) : 0;
	if (!next || i == next->lines.nr)
		return true;
	then = &next->lines.at[i];
	if (strcmp(then->perms, vma->perms) != 0 || then->ino != vma->ino)
		return true; /* it is something else by then */
	if (!line_touched(next, then->start))
		return false;
	if (then->start >= vma->start && then->end <= vma->end)
		return true;
	return (i > 0 && kept_apart(then - 1, then)) ||
	       (i + 1 < next->lines.nr && kept_apart(then, then + 1));
}

void touch_writable(struct world *w, const struct process *p, struct map_range range)
{
	struct space *s = p->space;
	const struct snapshot *next = NULL;
	struct samara_vma_info vma;
	unsigned long at = range.start;

	if (s->known.map && snapshots_all_touches(w->snapshots))
		return;
	if (s->known.map && own_same(s))
		next = snapshots_next(w->snapshots, p->pid);
	for (; at < range.end && samara_vma_next(s->mm, at, &vma) == 0 && vma.start < range.end;
	     at = vma.end) {
		if (vma.start > at)
			at = vma.start;
		if (written_soon(&vma, at, next))
			touch_page(s->mm, at);
	}
}

void touch_again(struct world *w, const struct process *p, const struct snapshot *passed)
{
	if (snapshots_all_touches(w->snapshots) || !own_same(p->space))
		return;
	for (size_t i = 0; i < passed->lines.nr; i++) {
		const struct map_line *line = &passed->lines.at[i];

		if (line->perms[1] == 'w' && line->perms[3] == 'p' &&
		    !line_touched(passed, line->start))
			touch_writable(w, p, (struct map_range){ line->start, line->end });
	}
}
