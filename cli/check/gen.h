/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the grammar share: random numbers and ranges.
 */
#ifndef CLI_CHECK_GEN_H
#define CLI_CHECK_GEN_H

#include "check/check.h"

#define FILE_PAGES 256
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PICK(gen, array) ((array)[below(gen, ARRAY_SIZE(array))])

#define TIB (1UL << 40)
/* Where a sequence of the profile `vast' reserves terabytes, and where stacks have room to grow. */
#define VAST_START 0x500000000000UL
#define VAST_SLOTS 32UL /* of 1 TiB */
#define STACKS_START (WIRE_WINDOW + 0x20000000UL)
#define STACKS_PAGES 2048UL
#define HEAP_PAGES 32UL
#define BELOW_HEAP_PAGES 8UL /* what may reach up over the heap's start */

struct gen {
	const struct settings *set;
	uint64_t random;
	/* What was placed without being told where. */
	struct {
		struct range at[8];
		unsigned int n;
	} chosen;
	unsigned int forks, made;
	unsigned int procs; /* that there are */
	bool full;          /* the window is mapped at first */
	bool disk;          /* the file `disk' is used: what it has in memory is not known */
	/* The profile `swap'. */
	struct {
		bool lazy; /* pages may be dropped: MADV_FREE, MAP_DROPPABLE with MADV_PAGEOUT */
		bool on, begun; /* the area is on, was turned on */
	} swap;
	/* The profile `uffd'. */
	struct {
		bool begun;         /* there was one */
		bool unmap;         /* calls tell what they unmap: none may fail half-way */
		uint32_t open, raw; /* userfaultfds; those without UFFDIO_API: bits */
		uint32_t readable;  /* those with messages */
		uint32_t asleep;    /* cells (wire.h) */
		uint32_t working;   /* of these: calls that go on when they no longer sleep */
		unsigned int now;   /* the process that makes calls */
		int tries;          /* answers that have not ended all sleep */
		/* The last page fault that was read of. */
		struct {
			bool known;
			uint64_t number, addr, flags;
		} fault;
	} uffd;
	unsigned long stack; /* where the newest stack began, or 0 */
	enum profile profile;
};

void gen_start(struct gen *gen, const struct settings *set, uint64_t seed, enum profile profile);
void gen_next(struct gen *gen, struct wire_op *op);
void gen_learn(struct gen *gen, const struct wire_op *op, long ret);

unsigned long below(struct gen *gen, unsigned long n);
bool one_in(struct gen *gen, unsigned long n);
unsigned long between(struct gen *gen, unsigned long lo, unsigned long hi);

/* A range inside an area that calls are aimed at, mostly of whole pages. */
struct range pick(struct gen *gen);
/* len, or one that means an error: none, or beyond the end of everything. */
unsigned long odd_length(struct gen *gen, unsigned long len);
/* len, or one that only some calls refuse; others would reach the child's own program. */
unsigned long huge_length(struct gen *gen, unsigned long len);
unsigned long pick_prot(struct gen *gen);
/* May single pages be accessed? Not where guards or untouched memory are looked at. */
bool may_fault(const struct gen *gen);
/* And whole ranges filled? Not where they are terabytes, either. */
bool may_populate(const struct gen *gen);

void gen_mmap(struct gen *gen, struct wire_op *op);
void gen_mremap(struct gen *gen, struct wire_op *op);
/* Calls that only the profile `pages' has, what it begins with, and advice about pages. */
void gen_pages(struct gen *gen, struct wire_op *op, enum call_id id);
bool gen_pages_prefix(struct gen *gen, struct wire_op *op);
unsigned long gen_pages_advice(struct gen *gen);
/*
 * The profile `swap': its area is turned on at first, and again once it is off; a swapoff now and
 * then. False: not now. And advice by which pages leave, in place of which, perhaps for all there
 * is.
 */
bool gen_area(struct gen *gen, struct wire_op *op);
unsigned long gen_swap_advice(struct gen *gen, struct wire_op *op, unsigned long which);
/*
 * The profile `uffd': what a handler does while calls sleep, and the first userfaultfd; false: not
 * now. A call that only this profile has. The lane of op, which may become another call. What came
 * of op.
 */
bool gen_handle(struct gen *gen, struct wire_op *op);
void gen_uffd(struct gen *gen, struct wire_op *op, enum call_id id);
void gen_lane(struct gen *gen, struct wire_op *op);
void gen_learn_uffd(struct gen *gen, const struct wire_op *op, const struct ours *o,
		    const struct seen *seen);
/* One of the calls that a profile begins with. False: there are no more. */
bool gen_prefix(struct gen *gen, struct wire_op *op);
/* The heap's end moves, or memory comes to lie beside the heap, over its start, or out of it. */
void gen_heap(struct gen *gen, struct wire_op *op);
/* Something about a stack: made, grown by an access, or its neighbourhood changed. */
void gen_stack(struct gen *gen, struct wire_op *op);

#endif
