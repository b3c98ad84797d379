/* SPDX-License-Identifier: MIT */
/*
 * Areas: what the host's map of a space is, as the supervisor made it.
 *
 *   addresses  | own        | own R  | parked |    | host |  own |second|
 *   host VMAs  [ ram.fd RW  ][  R   ][  RW    ]    [ file ] [ RW ][ RW  ]
 *   tree       one entry a maximal range of one description; none: no host VMA, refused there
 *
 * An entry is a number: kind, rights, file, parked, and file page minus address page, which is the
 * same all over a host VMA. So an entry is cut or grown without a change to it, two that are equal
 * and touch are one host VMA, and a reader has all of it in one load.
 *
 * Invariants (areas_validate()):
 *   merged    no two equal entries touch, but where there was no memory to make them one
 *   vmas      the count of host VMAs: entries, those that differ only by "parked" and touch are one
 *   parked    the count of parked entries
 *
 * Locks: changes are the space owner's, or of the holder of the range's shard; the tree's lock
 * orders them. areas_find() takes none. Nothing is called with the tree's lock held but the
 * library's tree.
 */
#ifndef CLI_RUN_AREAS_H
#define CLI_RUN_AREAS_H

#include <pthread.h>
#include <samara/maple_tree.h>

#include "run/agent.h"

enum area_kind {
	AREA_OWN = 1, /* ram.fd at the page's own place */
	AREA_SECOND,  /* at its second place */
	AREA_FILE,    /* at the place of a file */
	AREA_ODD,     /* one page of ram.fd, anywhere */
	AREA_ASK,     /* a file of 2^47 bytes: a touch asks */
	AREA_EMPTY,   /* a file of 0 bytes: SIGBUS */
	AREA_HOST,    /* the host's file, device, segment */
	AREA_KERNEL,  /* vdso, vvar */
	AREA_STUB,    /* the agent's pages */
	AREA_KINDS,
};

/*
 * prot is the host VMA's (PROT_*). 0 is TRUE_NONE of decision 12, PROT_READ where the library's
 * mapping is writable TRUE_READ, no area TRUE_HOLE.
 */
struct area {
	unsigned long start, end;
	enum area_kind kind;
	int prot;
	bool parked;         /* the library has no mapping here, and there is no entry */
	unsigned int file;   /* of HOST and EMPTY: which one, below AREA_FILES; else 0 */
	unsigned long first; /* the page of its file at start (HOST: 37 bits of it); the frame */
};

#define AREA_FILES 65536U
#define AREAS_PARKED_MOST 64U
#define AREAS_SPARE \
	512UL /* host VMAs that are left to the kernel and to steps between two states */

struct areas {
	struct agent *agent;
	struct maple_tree tree;
	pthread_mutex_t lock;
	unsigned long vmas, reserved, most;
	unsigned int parked;
	bool unmerged;       /* there was no memory to merge two once */
	unsigned long evict; /* where the next parked one is looked for that has to go */
};

void areas_init(struct areas *areas, struct agent *agent, unsigned long max_map_count);
void areas_destroy(struct areas *areas);
/* The child's, without the parent's STUB areas (MADV_DONTFORK). child is empty. 0 or -ENOMEM. */
int areas_dup(struct areas *child, struct areas *parent);

/* The area with addr, or the next above it if any: true. Takes no lock. */
bool areas_find(struct areas *areas, unsigned long addr, struct area *out);
bool areas_next(struct areas *areas, unsigned long addr, struct area *out);

/*
 * [start, end) becomes *as, without a step of the agent; kind 0: no area. What the caller maps by
 * itself (HOST) is entered before it is mapped, since memory may fail. 0 or -ENOMEM.
 */
int areas_enter(struct areas *areas, const struct area *as);

/* budget -------------------------------------------------------------------------------- */

/* Before the library's call: nr more host VMAs will fit, or -ENOMEM. */
int areas_reserve(struct areas *areas, unsigned long nr);
void areas_unreserve(struct areas *areas, unsigned long nr);
/* Areas in the 2 MiB around addr: beyond AREAS_PIECES_MOST the block is to be made whole. */
#define AREAS_PIECES_MOST 16U
unsigned int areas_pieces(struct areas *areas, unsigned long addr);

/*
 * Changes: the agent's batch, then the tree. 0; -errno of the batch (agent.h) or -ENOMEM of the
 * tree, which is asked first: before a step is made. An error of the batch ends the space.
 */

/* Not in use: PROT_NONE, registered, then its rights. What is parked there and alike is kept. */
int areas_fresh(struct areas *areas, const struct area *as);
/* What is there is in use: exchanged in one step, its frame present, then registered. */
int areas_replace(struct areas *areas, const struct area *as);
int areas_unmap(struct areas *areas, unsigned long start, unsigned long end);
int areas_protect(struct areas *areas, unsigned long start, unsigned long end, int prot);
/* The mapping is gone, and so are the entries. Beyond AREAS_PARKED_MOST they are unmapped. */
int areas_park(struct areas *areas, unsigned long start, unsigned long end);
/* Page-table entries of frames go: nothing can use them when it returns. */
int areas_zap(struct areas *areas, unsigned long start, unsigned long end);

/* NULL, or the first invariant that does not hold. */
const char *areas_validate(struct areas *areas);

#endif
