/* SPDX-License-Identifier: MIT */
/*
 * Pages on both sides where some may have left memory on one of them: which have is not compared
 * while the swap area is on. Once it is off, what was in it is back:
 *
 *   anonymous         present or in swap; area off: present, with sharing and exclusive
 *   a file's, shmem   mapped or not; where it is mapped on both sides: the same frame
 *   contents          of what is present on both sides
 *   PM_DOUBT          nothing: old or zeros
 *
 * A page that the host keeps in another swap area is as one while the area is on; then sharing is
 * not compared, since it cannot be seen.
 */
#define _GNU_SOURCE
#include <string.h>

#include "check/compare_pages.h"

#define ALWAYS (SAMARA_PM_GUARD | SAMARA_PM_UFFD_WP)

/* One address on both sides; NULL: nothing is told of it. */
struct pair {
	const struct wire_page *host, *ours;
};

static bool in_swap(const struct wire_page *page)
{
	return (page->entry & SAMARA_PM_SWAP) && !(page->entry & SAMARA_PM_GUARD);
}

/* -1: a comes before b; 0: they are of one address; 1. */
static int order(const struct wire_page *a, const struct wire_page *b)
{
	const uint64_t process_a = a->at % PAGE, process_b = b->at % PAGE;

	if (process_a != process_b)
		return process_a < process_b ? -1 : 1;
	return a->at == b->at ? 0 : a->at < b->at ? -1 : 1;
}

/* The next address of either list. False: there is none. */
static bool next_pair(const struct page_lists *l, size_t *a, size_t *b, struct pair *pair)
{
	const struct wire_page *host = *a < l->host.n ? &l->host.page[*a] : NULL;
	const struct wire_page *ours = *b < l->ours.n ? &l->ours.page[*b] : NULL;
	int which;

	if (!host && !ours)
		return false;
	which = !host ? 1 : !ours ? -1 : order(host, ours);
	pair->host = which <= 0 ? host : NULL;
	pair->ours = which >= 0 ? ours : NULL;
	*a += which <= 0;
	*b += which >= 0;
	return true;
}

static const char *const untold[2] = { "not compared", "not compared" };

/* Of an address that only one side tells something of: a file's page that is not mapped there. */
static bool may_be_alone(const struct pair *pair)
{
	const uint64_t entry = pair->host ? pair->host->entry : pair->ours->entry;

	return entry & (SAMARA_PM_FILE | PM_DOUBT);
}

/* Whether both are there to the same degree. */
static bool same_place(const struct pair *pair, bool area)
{
	const uint64_t differ = pair->host->entry ^ pair->ours->entry;

	if (differ & (ALWAYS | SAMARA_PM_FILE))
		return false;
	if (area)
		return true;
	/* Nothing is in swap here; and there only if it is in another area. */
	return !in_swap(pair->ours) && (in_swap(pair->host) || !(differ & SAMARA_PM_PRESENT));
}

static bool same_sharing(const struct page_lists *l, const struct pair *pair, uint32_t i,
			 struct difference *d)
{
	static const struct wire_page *first[2][BUCKETS / 2];
	const struct wire_page *const page[2] = { pair->host, pair->ours };
	struct frames *const frames[2] = { l->frames.host, l->frames.ours };
	const uint64_t differ = pair->host->entry ^ pair->ours->entry;
	const bool is_file = pair->host->entry & SAMARA_PM_FILE;
	unsigned long class[2];
	char text[2][40];

	for (int side = 0; side < 2; side++) {
		class[side] = class_of(frames[side], page[side]->entry, i);
		first[side][i] = page[side];
		frame_text(class[side],
			   class[side] < 2 || class[side] - 2 == i ? NULL :
								     first[side][class[side] - 2],
			   text[side], sizeof(text[side]));
	}
	page_counts()->zeros += class[0] == PAGE_OF_ZEROS;
	page_counts()->shared += class[0] > PAGE_OF_ZEROS && class[0] < i + 2;
	if (class[0] == class[1] && (is_file || !(differ & SAMARA_PM_MMAP_EXCLUSIVE)))
		return true;
	return say_page(d, pair->host, pair->ours, (const char *const[2]){ text[0], text[1] });
}

static void count(const struct pair *pair)
{
	struct page_counts *const counts = page_counts();

	counts->pages++;
	counts->present += pair->host && (pair->host->entry & SAMARA_PM_PRESENT);
	counts->out += pair->host && in_swap(pair->host);
	counts->out_here += pair->ours && in_swap(pair->ours);
	counts->doubted += pair->ours && (pair->ours->entry & PM_DOUBT);
}

/* Does the host have a page in another area, though ours is off? */
static bool some_elsewhere(const struct page_lists *l)
{
	for (size_t i = 0; i < l->host.n; i++)
		if (in_swap(&l->host.page[i]))
			return true;
	return false;
}

bool same_left_pages(const struct page_lists *l, const struct seen *seen, bool other_swap,
		     struct difference *d)
{
	const bool elsewhere = !seen->left.area && other_swap && some_elsewhere(l);
	const bool area = seen->left.area || elsewhere;
	const bool shares = l->framed && !area && !seen->left.dropped;
	size_t a = 0, b = 0;
	struct pair p;
	uint32_t i = 0;

	while (next_pair(l, &a, &b, &p) && i < BUCKETS / 2) {
		count(&p);
		if (!p.host || !p.ours) {
			if (!may_be_alone(&p))
				return say_page(d, p.host, p.ours, untold);
			continue;
		}
		if (p.ours->entry & PM_DOUBT)
			continue;
		if (!same_place(&p, area))
			return say_page(d, p.host, p.ours, untold);
		if (!(p.host->entry & p.ours->entry & SAMARA_PM_PRESENT))
			continue;
		if (p.host->sum != p.ours->sum && !(l->unread >> p.host->at % PAGE & 1))
			return say_page(d, p.host, p.ours, untold);
		if (shares && !same_sharing(l, &p, i++, d))
			return false;
	}
	return true;
}
