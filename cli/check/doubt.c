/* SPDX-License-Identifier: MIT */
/*
 * Ranges of one process whose bytes are not known.
 */
#include "check/check.h"

bool doubt_of(const struct doubt *d, unsigned long start, unsigned long end)
{
	for (unsigned int i = 0; i < d->n; i++)
		if (d->at[i].start < end && start < d->at[i].end)
			return true;
	return d->all;
}

void doubt_add(struct doubt *d, unsigned long start, unsigned long end)
{
	if (start >= end)
		return;
	if (d->n == DOUBTS)
		d->all = true;
	else
		d->at[d->n++] = (struct range){ start, end };
}

/* Whole pages only: a page is doubted as a whole. */
void doubt_remove(struct doubt *d, unsigned long start, unsigned long end)
{
	const unsigned int n = d->n;
	struct range old[DOUBTS];

	end &= -PAGE;
	if (start >= end || (start = (start + PAGE - 1) & -PAGE) >= end)
		return;
	for (unsigned int i = 0; i < n; i++)
		old[i] = d->at[i];
	d->n = 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct range r = old[i];

		doubt_add(d, r.start, r.end < start ? r.end : start);
		doubt_add(d, r.start > end ? r.start : end, r.end);
	}
}

void doubt_copy(struct doubt *d, unsigned long from, unsigned long len, unsigned long to)
{
	const unsigned int n = d->n;

	for (unsigned int i = 0; i < n; i++) {
		const struct range r = d->at[i];
		const unsigned long start = r.start > from ? r.start : from;
		const unsigned long end = r.end < from + len ? r.end : from + len;

		if (start < end)
			doubt_add(d, start - from + to, end - from + to);
	}
}
