/* SPDX-License-Identifier: MIT */
/*
 * An address space with some of everything, three generations deep, and a table of what each
 * byte of it should be. For tests that make calls fail and look whether anything has changed.
 *
 *   row        pages 0..7, a row each half GiB
 *   OLD        the grandparent wrote all, the parent 2 and 3, the mm itself 4 and 5
 *   ANON       0..3 written, 4 and 5 read only (zero frame), 6 and 7 never touched
 *   EDGE       0..3 rw and written; 4..7 r--, never touched
 *   FAMILY     0..3 r--, never touched; 4..7 rw and written
 *   GUARD      written, 2 and 3 guards
 *   SHARED     shared anonymous, 0..5 written
 *   PRIVATE    of a memfd, 0..1 read, 2..3 private copies
 *   FILE       the memfd shared, 0..3 in the page tables
 *   HOST       a file of the host, private; 0 read, 1 a private copy
 *   PINNED     written, 0 and 1 pinned for writing
 *   DONTFORK   written; madvise(MADV_DONTFORK)
 *   WIPE       written; madvise(MADV_WIPEONFORK)
 *   LOCKED     mlocked
 *   STACK      4..7 a stack with 6 and 7 written; 0..3 it may grow over
 *   HEAP       0..3 brk, 0 and 1 written; 4..7 it may grow over
 *   PFN        a device's frames, 0..3 in the page tables
 *   DEVICE     a device that maps its pages on fault and wants to be told when a mapping
 *              goes, 0..3 in the page tables
 *   SPARE      nothing
 */
#ifndef SAMARA_TEST_RICH_MM_H
#define SAMARA_TEST_RICH_MM_H

#include <samara/access.h>
#include <samara/mm.h>

#define RICH_PAGE 4096UL
#define RICH_PAGES 8
#define RICH_BASE 0x20000000000UL
#define RICH_STRIDE (512UL << 20)
#define RICH_AT(row, page) (RICH_BASE + (row)*RICH_STRIDE + (page)*RICH_PAGE)

enum rich_row {
	RICH_OLD,
	RICH_ANON,
	RICH_EDGE,
	RICH_FAMILY,
	RICH_GUARD,
	RICH_SHARED,
	RICH_PRIVATE,
	RICH_FILE,
	RICH_HOST,
	RICH_PINNED,
	RICH_DONTFORK,
	RICH_WIPE,
	RICH_LOCKED,
	RICH_STACK,
	RICH_HEAP,
	RICH_PFN,
	RICH_DEVICE,
	RICH_SPARE,
	RICH_ROWS,
};

/* What a page should read as besides a byte. */
enum { RICH_SEGV = -1, RICH_BUS = -2, RICH_LEAVE = -3 /* not looked at */ };

struct rich_view {
	struct samara_mm *mm;
	short byte[RICH_ROWS][RICH_PAGES];
};

enum { RICH_GRAND, RICH_PARENT, RICH_SELF, RICH_CHILD, RICH_VIEWS };

struct rich {
	struct samara_machine *machine;
	struct rich_view view[RICH_VIEWS]; /* those that exist have an mm */
	struct samara_file *file, *host, *pfn, *device;
	unsigned long pfn_frame[RICH_PAGES], device_frame[RICH_PAGES];
	struct samara_pin pin[2];
	struct samara_cpu *cpu; /* a test's own; given up by rich_down() */
	struct samara_notifier *notifier;
};

void rich_up(struct rich *w);
/* Everything goes, without asking for memory. */
void rich_down(struct rich *w);

/*
 * One byte at the start and the end of a page: 0, -ENOMEM, -EFAULT (a signal). The table
 * follows.
 */
int rich_write(struct rich *w, unsigned int view, enum rich_row row, unsigned int page, int byte);
int rich_read(struct rich *w, unsigned int view, enum rich_row row, unsigned int page);
void rich_set(struct rich_view *v, enum rich_row row, unsigned int from, unsigned int to, int what);

/* Each page of each view reads as the table says; every validator. */
void rich_check(struct rich *w, const char *when);
/* Validators only. */
void rich_validate(struct rich *w, const char *when);

/*
 * Everything that can be seen without touching it: maps, totals, rss, promises, for each page
 * /proc/PID/pagemap's word, whether it is exclusive, and its bytes.
 */
struct rich_snap;
struct rich_snap *rich_snap_new(void);
void rich_snap_free(struct rich_snap *snap);
void rich_snap_take(struct rich *w, struct rich_snap *snap);
/* Fails the running test with the first difference. */
void rich_snap_same(const struct rich_snap *before, const struct rich_snap *after,
		    const char *when);

#endif
