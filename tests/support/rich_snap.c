/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of a rich mm (rich_mm.h), taken without touching it.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/rich_mm.h"

#define VMAS_MAX 128

struct page_look {
	unsigned long long pagemap;
	uint64_t first, last; /* words of its frame */
	int exclusive;
};

struct view_look {
	struct samara_vma_info vma[VMAS_MAX];
	unsigned int nr_vmas;
	struct samara_mm_stats stats;
	unsigned long brk;
	long rss[MM_RSS];
	struct page_look page[RICH_ROWS][RICH_PAGES];
};

struct rich_snap {
	struct view_look view[RICH_VIEWS];
	long committed;
};

struct rich_snap *rich_snap_new(void)
{
	struct rich_snap *snap = malloc(sizeof(*snap));

	assert_non_null(snap);
	return snap;
}

void rich_snap_free(struct rich_snap *snap)
{
	free(snap);
}

static void look_at_page(const struct mem *m, unsigned long addr, struct page_look *look)
{
	const struct folio *folio = mem_folio(m, addr);
	const uint64_t *word;

	assert_int_equal(samara_pagemap(m->mm, addr, 1, &look->pagemap), 0);
	if (!(look->pagemap & SAMARA_PM_PRESENT))
		return;
	word = (const uint64_t *)mem_bytes(m, addr);
	look->first = word[0];
	look->last = word[RICH_PAGE / sizeof(*word) - 1];
	look->exclusive = folio && folio_test(folio, FOLIO_EXCLUSIVE);
}

static void look_at_view(const struct rich *w, struct samara_mm *mm, struct view_look *look)
{
	const struct mem m = { .machine = w->machine, .mm = mm };

	look->stats.size = sizeof(look->stats);
	assert_int_equal(samara_mm_stats(mm, &look->stats), 0);
	look->stats.tree_bytes = 0; /* the tree may have another shape */
	look->brk = samara_brk(mm, 0);
	for (int which = 0; which < MM_RSS; which++)
		look->rss[which] = mm_rss_sum(mm, which);
	for (unsigned long at = 0; !samara_vma_next(mm, at, &look->vma[look->nr_vmas]);) {
		at = look->vma[look->nr_vmas++].end;
		assert_true(look->nr_vmas < VMAS_MAX);
	}
	/* What is left of the search that found nothing. */
	memset(&look->vma[look->nr_vmas], 0, sizeof(look->vma[0]));
	for (int row = 0; row < RICH_ROWS; row++)
		for (unsigned int page = 0; page < RICH_PAGES; page++)
			look_at_page(&m, RICH_AT(row, page), &look->page[row][page]);
}

void rich_snap_take(struct rich *w, struct rich_snap *snap)
{
	memset(snap, 0, sizeof(*snap));
	for (unsigned int view = 0; view < RICH_VIEWS; view++)
		if (w->view[view].mm)
			look_at_view(w, w->view[view].mm, &snap->view[view]);
	snap->committed = samara_committed_pages(w->machine);
}

static void same_page(const struct page_look *a, const struct page_look *b, int row, int page,
		      const char *when)
{
	if (a->pagemap != b->pagemap)
		fail_msg("%s: row %d, page %d: pagemap %#llx has become %#llx", when, row, page,
			 a->pagemap, b->pagemap);
	if (a->exclusive != b->exclusive)
		fail_msg("%s: row %d, page %d: exclusive %d has become %d", when, row, page,
			 a->exclusive, b->exclusive);
	if (a->first != b->first || a->last != b->last)
		fail_msg("%s: row %d, page %d: its bytes have changed", when, row, page);
}

static void same_view(const struct view_look *a, const struct view_look *b, const char *when)
{
	if (a->nr_vmas != b->nr_vmas || memcmp(a->vma, b->vma, sizeof(a->vma)))
		fail_msg("%s: the map has changed", when);
	if (memcmp(&a->stats, &b->stats, sizeof(a->stats)))
		fail_msg("%s: the totals have changed", when);
	if (a->brk != b->brk)
		fail_msg("%s: the break has moved", when);
	if (memcmp(a->rss, b->rss, sizeof(a->rss)))
		fail_msg("%s: rss has changed", when);
	for (int row = 0; row < RICH_ROWS; row++)
		for (int page = 0; page < RICH_PAGES; page++)
			same_page(&a->page[row][page], &b->page[row][page], row, page, when);
}

void rich_snap_same(const struct rich_snap *before, const struct rich_snap *after, const char *when)
{
	for (unsigned int view = 0; view < RICH_VIEWS; view++)
		same_view(&before->view[view], &after->view[view], when);
	if (before->committed != after->committed)
		fail_msg("%s: what is promised has changed", when);
}
