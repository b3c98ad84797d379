/* SPDX-License-Identifier: MIT */
/*
 * A store with some RAM, and host files in a temporary directory, for tests of
 * files' pages.
 */
#ifndef SAMARA_TEST_STORE_BOX_H
#define SAMARA_TEST_STORE_BOX_H

#include "frame/frame.h"
#include "store/file.h"

#define BOX_FRAMES 2048UL
#define BOX_PAGE 4096UL

struct store_box {
	struct file_store *store;
	struct ram *ram;
	unsigned long live; /* objects before */
};

/* cmocka set-up and tear-down; at the end no object and no frame may be left. */
int store_box_up(void **state);
int store_box_down(void **state);

/*
 * A fresh file of the host without a name, open for reading and writing; the byte at i is
 * box_byte(i).
 */
int box_host_file(unsigned long bytes);
unsigned char box_byte(unsigned long i);
/* The same descriptor's file, opened anew with these flags of open(2). */
int box_reopen(int fd, int flags);

/* Files; must succeed. */
struct samara_file *box_open(struct store_box *box, int fd);
struct samara_file *box_memfd(struct store_box *box, unsigned long bytes);

/*
 * The page, which must be there to get, with a reference and not locked; or what page_cache_get()
 * gave.
 */
struct folio *box_page(struct samara_file *file, unsigned long index);
int box_page_error(struct samara_file *file, unsigned long index);
/* Its bytes. */
unsigned char *box_bytes(struct store_box *box, struct folio *folio);
/* Store one byte into a page as a mapping would, and mark it dirty. */
void box_poke(struct store_box *box, struct samara_file *file, unsigned long at,
	      unsigned char byte);
unsigned char box_peek(struct store_box *box, struct samara_file *file, unsigned long at);

/* Frames in use; cached ones are not. */
unsigned long box_frames(struct store_box *box);
/* The inode's invariants hold; fails the running test. */
void box_check(struct samara_file *file);

#endif
