/* SPDX-License-Identifier: MIT */
/*
 * Random mmap and mremap, stacks, and what the profiles begin with.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>

#include "check/gen.h"

#define NOREPLACE 0x100000UL
#define HUGE_SHIFT 26

static unsigned long mmap_type(struct gen *gen)
{
	static const int types[] = {
		MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE,
		MAP_SHARED,  MAP_SHARED,  MAP_SHARED,  3,           8,           0,
	};

	const unsigned long type = (unsigned long)PICK(gen, types);

	return type == 8 && gen->profile == PROFILE_SWAP && !gen->swap.lazy ? MAP_PRIVATE : type;
}

static unsigned long mmap_extra(struct gen *gen)
{
	static const int extra[] = {
		MAP_NORESERVE,
		MAP_GROWSDOWN,
		MAP_STACK,
		MAP_LOCKED,
		MAP_POPULATE,
		MAP_32BIT,
		0x80,
		0x80000,
		MAP_NONBLOCK,
		0x40000000,
		MAP_POPULATE | MAP_NONBLOCK,
		0x800,
		0x1000,
		MAP_NORESERVE | MAP_GROWSDOWN,
		0x400,
		0x200000,
		0x4000000,
	};
	const unsigned long flags = (unsigned long)PICK(gen, extra);

	return may_populate(gen) ? flags : flags & ~(unsigned long)(MAP_LOCKED | MAP_POPULATE);
}

/* A power of two from 2^lo to 2^hi, the page before it or the page behind. */
static unsigned long around_power(struct gen *gen, unsigned long lo, unsigned long hi)
{
	return (1UL << between(gen, lo, hi)) + between(gen, 0, 2) * PAGE - PAGE;
}

static void pick_file(struct gen *gen, struct wire_op *op)
{
	unsigned long file = below(gen, one_in(gen, 3) ? FILES : FILE_DISK + 1);

	/* The library's is another file than its memfd. */
	if (has_pages(gen->profile) && file == FILE_READONLY)
		file = FILE_MEMFD;

	/* Often the offset that goes on where a neighbour ends. */
	op->arg[5] = one_in(gen, 4) ? below(gen, FILE_PAGES / 2) * PAGE :
				      (op->arg[0] - WIRE_WINDOW) % (FILE_PAGES * PAGE);
	op->arg[5] &= ~(PAGE - 1);
	if (one_in(gen, 30))
		op->arg[5] += below(gen, PAGE);
	if (one_in(gen, 20))
		op->arg[5] = around_power(gen, 12, 63) & ~(PAGE - 1);
	op->arg[4] = WIRE_FD_FILE + file;
	/* What it has in memory is not known. */
	if ((gen->profile == PROFILE_GUARDS || !gen->disk) && file == FILE_DISK)
		op->arg[4] = WIRE_FD_FILE + FILE_MEMFD;
}

/* The ends of what may be mapped at all. */
static const unsigned long edges[] = {
	0,         PAGE,      0x10000 - PAGE, 0x10000, (1UL << 47) - 2 * PAGE, (1UL << 47) - PAGE,
	1UL << 47, 1UL << 63, -PAGE,
};

static void place(struct gen *gen, struct wire_op *op)
{
	switch (below(gen, 8)) {
	case 0: /* the kernel's choice, sometimes large */
		op->arg[0] = one_in(gen, 4) ? op->arg[0] & ~(PAGE - 1) : 0;
		if (one_in(gen, 6))
			op->arg[1] = between(gen, 1, 3) << 21;
		break;
	case 1: /* a hint */
		break;
	case 2:
		op->arg[3] |= NOREPLACE;
		break;
	default:
		op->arg[3] |= MAP_FIXED;
	}
	op->arg[1] = huge_length(gen, odd_length(gen, op->arg[1]));
	/* Of a file there is never more to fill than it has. */
	if (!(op->arg[3] & (MAP_ANONYMOUS | MAP_FIXED | NOREPLACE)) && may_populate(gen) &&
	    op->arg[4] != WIRE_FD_FILE + FILE_ZERO && one_in(gen, 6))
		op->arg[1] = around_power(gen, 13, 47);
	if (one_in(gen, 100)) {
		/* Below 2^30 lies the child's own. */
		op->arg[0] = one_in(gen, 2) ? PICK(gen, edges) : around_power(gen, 31, 63);
		op->arg[1] = PAGE;
		/* Who may map here is asked about two least addresses. */
		if (op->arg[0] && op->arg[0] < 0x10000)
			op->arg[3] &= ~(MAP_FIXED | NOREPLACE);
	}
}

/* The host's pools of huge pages are empty: it refuses a mapping that reserves some of them. */
static void ask_for_huge_pages(struct gen *gen, struct wire_op *op)
{
	static const unsigned long logs[] = { 0, 0, 0, 21, 21, 30, 12, 22, 63 };

	op->arg[3] |= MAP_HUGETLB | PICK(gen, logs) << HUGE_SHIFT;
	op->arg[3] &= ~(unsigned long)MAP_NORESERVE;
	/* A length of whole huge pages must not reach the child's own program. */
	if (op->arg[0] < WIRE_WINDOW || one_in(gen, 2)) {
		op->arg[0] = WIRE_WINDOW + (below(gen, 3) << 21);
		op->arg[5] = one_in(gen, 4) ? PAGE : below(gen, 2) << 21;
	}
}

/* Terabytes that are never filled. */
static void gen_reservation(struct gen *gen, struct wire_op *op)
{
	static const unsigned long tebibytes[] = { 1, 1, 2, 4, 8, 8, 16, 64, 127, 128 };
	static const unsigned long types[] = {
		MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED, 3, 8
	};
	unsigned long at = below(gen, VAST_SLOTS);

	*op = (struct wire_op){
		.nr = SYS_mmap,
		.arg = { 0, PICK(gen, tebibytes) * TIB, PROT_NONE, MAP_ANONYMOUS | PICK(gen, types),
			 ~0UL },
	};
	if (one_in(gen, 2))
		op->arg[2] = pick_prot(gen);
	if (one_in(gen, 2))
		op->arg[3] |= MAP_NORESERVE;
	if (one_in(gen, 8))
		op->arg[1] -= PAGE;
	if (one_in(gen, 3))
		return;
	op->arg[0] = VAST_START + at * TIB;
	if (one_in(gen, 4))
		return;
	op->arg[3] |= one_in(gen, 4) ? NOREPLACE : MAP_FIXED;
	if (op->arg[1] > (VAST_SLOTS - at) * TIB)
		op->arg[1] = (VAST_SLOTS - at) * TIB;
}

void gen_mmap(struct gen *gen, struct wire_op *op)
{
	const struct range at = pick(gen);

	if (gen->profile == PROFILE_VAST && one_in(gen, 3)) {
		gen_reservation(gen, op);
		return;
	}
	*op = (struct wire_op){
		.nr = SYS_mmap,
		.arg = { at.start, at.end - at.start, pick_prot(gen), mmap_type(gen), ~0UL },
	};
	if (one_in(gen, 5))
		op->arg[3] |= mmap_extra(gen);
	if (one_in(gen, 3))
		pick_file(gen, op);
	else
		op->arg[3] |= MAP_ANONYMOUS;
	place(gen, op);
	if (one_in(gen, 60))
		ask_for_huge_pages(gen, op);
}

void gen_mremap(struct gen *gen, struct wire_op *op)
{
	const struct range from = pick(gen), to = pick(gen);
	unsigned long old_len = from.end - from.start, new_len = to.end - to.start, flags = 0;

	if (one_in(gen, 3))
		new_len = old_len;
	if (!one_in(gen, 4))
		flags |= MREMAP_MAYMOVE;
	if (one_in(gen, 3))
		flags |= MREMAP_FIXED;
	if (one_in(gen, 8))
		flags |= 4; /* MREMAP_DONTUNMAP */
	if (one_in(gen, 40))
		old_len = 0;
	if (flags & 4 && !(flags & MREMAP_FIXED) && one_in(gen, 2))
		new_len = old_len;
	if (one_in(gen, 60))
		flags |= 8;
	if (one_in(gen, 30))
		old_len = huge_length(gen, odd_length(gen, old_len));
	if (one_in(gen, 20))
		new_len = huge_length(gen, odd_length(gen, new_len));
	/* A destination stays inside its area, whatever the length. */
	if ((flags & MREMAP_FIXED) && to.start + new_len > to.end &&
	    to.start - WIRE_WINDOW >= gen->set->plan.window * PAGE)
		new_len = to.end - to.start;
	*op = (struct wire_op){
		.nr = SYS_mremap,
		.arg = { from.start, old_len, new_len, flags, to.start },
	};
}

/* the heap ------------------------------------------------------------------- */

void gen_heap(struct gen *gen, struct wire_op *op)
{
	const unsigned long what = below(gen, 8);
	const unsigned long low = WIRE_BRK - below(gen, BELOW_HEAP_PAGES + 1) * PAGE;
	const unsigned long pages = between(gen, 1, 2 * BELOW_HEAP_PAGES);
	const unsigned long from = WIRE_BRK + below(gen, HEAP_PAGES) * PAGE;

	if (what == 0) {
		*op = (struct wire_op){
			.nr = SYS_mmap,
			.arg = { low, pages * PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, ~0UL },
		};
	} else if (what == 1) {
		*op = (struct wire_op){
			.nr = SYS_mremap,
			.arg = { from, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				 low },
		};
	} else {
		*op = (struct wire_op){ .nr = SYS_brk,
					.arg = { WIRE_BRK + below(gen, HEAP_PAGES * PAGE) } };
		if (one_in(gen, 20))
			op->arg[0] = below(gen, 2 * WIRE_BRK) & ~WIRE_BRK;
	}
}

/* stacks --------------------------------------------------------------------- */

static void map_stack(struct gen *gen, struct wire_op *op)
{
	const unsigned long at = between(gen, 300, STACKS_PAGES - 8);

	*op = (struct wire_op){
		.nr = SYS_mmap,
		.arg = { STACKS_START + at * PAGE, between(gen, 1, 8) * PAGE,
			 PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, ~0UL },
	};
	if (one_in(gen, 6))
		op->arg[3] |= MAP_NORESERVE;
	if (one_in(gen, 6) && may_populate(gen))
		op->arg[3] |= MAP_LOCKED;
	gen->stack = op->arg[0];
}

/* A neighbour at about the guard gap's distance below the stack. */
static void map_below(struct gen *gen, struct wire_op *op)
{
	const unsigned long gap = one_in(gen, 2) ? between(gen, 254, 259) : between(gen, 1, 300);

	*op = (struct wire_op){
		.nr = SYS_mmap,
		.arg = { gen->stack - gap * PAGE, PAGE, pick_prot(gen),
			 MAP_PRIVATE | MAP_ANONYMOUS | NOREPLACE, ~0UL },
	};
	if (one_in(gen, 4))
		op->arg[3] |= MAP_GROWSDOWN;
}

void gen_stack(struct gen *gen, struct wire_op *op)
{
	const unsigned long what = below(gen, 8);

	if (!gen->stack || what == 0) {
		map_stack(gen, op);
	} else if (what == 1) {
		map_below(gen, op);
	} else if (what == 2) {
		*op = (struct wire_op){ .nr = SYS_munmap,
					.arg = { gen->stack - 300 * PAGE, 298 * PAGE } };
	} else if (what == 3 || !may_fault(gen)) {
		*op = (struct wire_op){ .nr = SYS_mprotect,
					.arg = { gen->stack + PAGE, PAGE,
						 pick_prot(gen) | PROT_GROWSDOWN } };
	} else {
		const unsigned long far = one_in(gen, 2) ? 4 : 300;

		*op = (struct wire_op){ .nr = one_in(gen, 3) ? OP_READ : OP_TOUCH,
					.arg = { gen->stack - 1 - below(gen, far * PAGE) } };
		if (one_in(gen, 8))
			gen->stack = 0; /* another one next time */
	}
}

/* beginnings ------------------------------------------------------------------ */

static bool fill(struct wire_op *op, unsigned long from, unsigned long to)
{
	*op = (struct wire_op){
		.nr = SYS_mmap,
		.arg = { from, to - from, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, ~0UL },
	};
	return true;
}

/* Nearly nothing is left below the place where searching begins. */
static bool gen_full(struct gen *gen, struct wire_op *op)
{
	const unsigned long base = 0x7ffff7fff000;

	switch (gen->made) {
	case 1:
		return fill(op, WIRE_WINDOW + gen->set->plan.window * PAGE,
			    base - between(gen, 1, 200) * PAGE);
	case 2:
		return fill(op, one_in(gen, 2) ? 0x80000000UL : 0x40000000UL, WIRE_WINDOW);
	case 3:
		return fill(op, 0x10000, WIRE_TEXT);
	case 4:
		return fill(op, WIRE_BRK + 2 * HEAP_PAGES * PAGE, 0x40000000UL);
	case 5:
		return fill(op, WIRE_TEXT + WIRE_TEXT_SIZE, WIRE_ARENA);
	case 6:
		return fill(op, WIRE_ARENA + gen->set->found.arena, WIRE_BRK);
	default:
		return false;
	}
}

bool gen_prefix(struct gen *gen, struct wire_op *op)
{
	if (gen->profile == PROFILE_FULL && gen_full(gen, op))
		return true;
	if (has_pages(gen->profile) && gen_pages_prefix(gen, op))
		return true;
	if (gen->profile == PROFILE_CROWD && gen->made == 1) {
		*op = (struct wire_op){
			.nr = OP_CROWD,
			.arg = { WIRE_CROWD, gen->set->found.map_limit - between(gen, 3, 40) },
		};
		return true;
	}
	/* Half of the others begin with a full window: fewer holes, more splitting and merging. */
	if (has_pages(gen->profile) || gen->made != 1 || !one_in(gen, 2))
		return false;
	*op = (struct wire_op){
		.nr = SYS_mmap,
		.arg = { WIRE_WINDOW, gen->set->plan.window * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, ~0UL, 0 },
	};
	return true;
}
