/* SPDX-License-Identifier: MIT */
/*
 * Pages side by side: what compare_pages.c and compare_swap.c share.
 */
#ifndef CLI_CHECK_COMPARE_PAGES_H
#define CLI_CHECK_COMPARE_PAGES_H

#include "check/check.h"

#define BUCKETS 65536U /* more than there are pages to compare */
#define PAGE_OF_ZEROS 1
#define NO_FRAME 0

/* Frames seen so far. */
struct frames {
	unsigned long zero;
	struct {
		unsigned long frame;
		uint32_t first; /* page */
		uint32_t round; /* older: free */
	} at[BUCKETS];
	uint32_t round;
};

struct page_list {
	const struct wire_page *page;
	size_t n;
};

/* Both sides' pages after one call, and the frames of them met so far. */
struct page_lists {
	struct page_list host, ours;
	struct {
		struct frames *host, *ours;
	} frames;
	bool framed;     /* the host shows frames */
	uint32_t unread; /* processes whose bytes it does not show: bits */
};

/*
 * What stands for the frame of entry, that of page number i: 2 and the number of the first page
 * that shows it, NO_FRAME or PAGE_OF_ZEROS.
 */
unsigned long class_of(struct frames *f, uint64_t entry, uint32_t i);
/* A page of one address on both sides, or NULL; frame: what is told of their frames. False. */
bool say_page(struct difference *d, const struct wire_page *host, const struct wire_page *ours,
	      const char *const frame[2]);
/* That of class; first: the page that showed it first, NULL: this page itself. */
void frame_text(unsigned long class, const struct wire_page *first, char *buf, size_t size);
/* Where the host may have paged out what the library has not, or the other way round. */
bool same_left_pages(const struct page_lists *lists, const struct seen *seen, bool other_swap,
		     struct difference *d);
struct page_counts *page_counts(void);

#endif
