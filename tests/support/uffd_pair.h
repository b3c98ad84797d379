/* SPDX-License-Identifier: MIT */
/*
 * Two address spaces of one shape: the host's, of this process, and the library's. A step is made
 * in both, and what it answers, what pagemap says of every page, and what every page that is there
 * holds must be the same. So the running kernel says what a userfaultfd's requests do.
 *
 *   page  0        16       32    40   44     52      56       72       88     96
 *         | fills  | source | wp  | ro | other | hole | shared | private| plain |
 *           MISSING,         WP    MISSING      .       all modes, both
 *           WP                          another's       of pages 0..15 of a file of 12
 *
 * plain: shared, not registered. No thread ever waits: pages are touched only where one is mapped
 * that is not write-protected.
 */
#ifndef SAMARA_TEST_UFFD_PAIR_H
#define SAMARA_TEST_UFFD_PAIR_H

#include <samara/uffd.h>

#include "support/mem.h"

#define PAIR_PAGES 96UL
#define PAIR_FILE_PAGES 12UL
#define PAIR_SOURCE 8UL /* pages that COPY can read; the ninth it cannot */

struct pair_side {
	unsigned long base;
	unsigned long source; /* of COPY */
};

struct pair {
	struct pair_side host, ours;
	int fd, other_fd, memfd, pagemap;
	struct mem m;
	struct samara_uffd *uffd, *other;
	struct samara_file *file;
};

enum pair_what {
	PAIR_MOVE,
	PAIR_POISON,
	PAIR_COPY,
	PAIR_ZEROPAGE,
	PAIR_CONTINUE,
	PAIR_WRITEPROTECT,
	PAIR_REQUESTS,
	PAIR_WRITE = PAIR_REQUESTS, /* each page that can be */
	PAIR_DONTNEED,
	PAIR_GUARD,
	PAIR_UNGUARD,
	PAIR_PWRITE, /* into the file */
	PAIR_PUNCH,
	PAIR_FORK, /* the child ends at once: pages were shared */
	PAIR_WHATS,
};

/* In bytes from base; from: of MOVE, or of COPY's source. */
struct pair_step {
	enum pair_what what;
	unsigned long at, len, from;
	unsigned long long mode;
};

union pair_request {
	struct uffdio_move move;
	struct uffdio_poison poison;
	struct uffdio_copy copy;
	struct uffdio_zeropage zero;
	struct uffdio_continue cont;
	struct uffdio_writeprotect wp;
};
/* The request of a step on one side: its number; *r is its structure, whose field is 99. */
unsigned long pair_request_of(union pair_request *r, const struct pair_side *side,
			      const struct pair_step *step);
/* The output field; 0 where there is none. */
long long pair_field_of(const union pair_request *r, enum pair_what what);

/* False: the host has not what is asked for, and cannot judge. features: of UFFDIO_API. */
bool pair_open(struct pair *p, unsigned long long features);
void pair_close(struct pair *p);
/* False: something else of this process lies in the host's hole by now. No step may follow. */
bool pair_has_hole(const struct pair *p);
/* False: they differ, and stderr has how. */
bool pair_do(struct pair *p, const struct pair_step *step);

#endif
