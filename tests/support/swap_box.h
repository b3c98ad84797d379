/* SPDX-License-Identifier: MIT */
/*
 * Swap areas over a store_box: a disk in memory whose reads and writes can be made to fail, and
 * pages whose contents are known by a stamp.
 */
#ifndef SAMARA_TEST_SWAP_BOX_H
#define SAMARA_TEST_SWAP_BOX_H

#include "store/swap.h"
#include "support/store_box.h"

struct swap_disk {
	unsigned char *bytes;
	unsigned char *busy; /* atomic; per slot: a call is inside */
	unsigned long pages;
	unsigned long reads, writes, discarded, releases; /* atomic */
	/* The nth call from now fails, once or with all that follow (from). 0: none. */
	struct {
		unsigned long nth;
		bool from;
	} fail_read, fail_write;
};

/* An area of so many pages over disk, which it makes; must succeed. */
struct samara_swap *swap_disk_on(struct store_box *box, struct swap_disk *disk, unsigned long pages,
				 int flags);
/* The area is off; disk was released and is freed. */
void swap_disk_off(struct samara_swap *area, struct swap_disk *disk);
void swap_disk_free(struct swap_disk *disk);
extern const struct samara_swap_ops swap_disk_ops;
/* disk alone, for swapon calls by other ways. */
void swap_disk_make(struct swap_disk *disk, unsigned long pages);

/* A page of that stamp; 0: of zeros. One reference, not locked. */
struct folio *swap_new_page(struct store_box *box, unsigned long stamp);
void swap_set_stamp(struct store_box *box, struct folio *folio, unsigned long stamp);
/* Its stamp; fails the running test if the page is not all of one. */
unsigned long swap_stamp(struct store_box *box, struct folio *folio);

/* A page of that stamp leaves: an entry names it, it is in the area only. Must succeed. */
swp_entry_t swap_page_out(struct store_box *box, unsigned long stamp);
/* The page of entry comes back for a look; its stamp. The folio stays in the cache. */
unsigned long swap_look(struct store_box *box, swp_entry_t entry);
/* swap_read() alone: 0 or what it gave. */
int swap_try_read(struct store_box *box, swp_entry_t entry);
/* Whether the cache has a folio for it. */
bool swap_is_cached(struct store_box *box, swp_entry_t entry);
/* Its cached folio leaves the cache, written; as reclaim does it. 0 or what swap_write() gave. */
int swap_uncache(struct store_box *box, swp_entry_t entry);
/* swap_validate(); fails the running test. */
void swap_check(struct store_box *box);

#endif
