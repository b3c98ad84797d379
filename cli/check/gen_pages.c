/* SPDX-License-Identifier: MIT */
/*
 * Random calls of the profile `pages': bytes written and read, files written and
 * truncated, processes that fork and take turns.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>

#include "check/gen.h"

/* Where no program has memory, or no address is. */
static const unsigned long nowhere[] = {
	0,
	8,
	(1UL << 47) - PAGE,
	1UL << 47,
	1UL << 63,
	0xffff800000000000,
	-8UL,
	0x123456789abcd000,
	WIRE_GATE,
	WIRE_GATE + 0x10,
	WIRE_GATE + 0x1000 - 8,
};

/* Bytes at odd places, mostly few; sometimes whole pages or many. */
static void gen_access(struct gen *gen, struct wire_op *op)
{
	const struct range at = pick(gen);
	const unsigned long pages = at.end - at.start;

	op->arg[0] = at.start + below(gen, PAGE);
	switch (below(gen, 4)) {
	case 0:
		op->arg[0] = at.start;
		op->arg[1] = pages;
		break;
	case 1:
		op->arg[1] = between(gen, 1, pages + 1);
		break;
	default:
		op->arg[1] = between(gen, 1, 64);
	}
	if (one_in(gen, 80))
		op->arg[0] = PICK(gen, nowhere);
	if (op->arg[1] > 256 * PAGE)
		op->arg[1] = 256 * PAGE;
}

static unsigned long pick_file(struct gen *gen)
{
	return WIRE_FD_FILE + (gen->disk && one_in(gen, 2) ? FILE_DISK : FILE_MEMFD);
}

static void gen_truncate(struct gen *gen, struct wire_op *op)
{
	*op = (struct wire_op){
		.nr = SYS_ftruncate,
		.arg = { pick_file(gen), below(gen, gen->set->plan.window) * PAGE },
	};
	if (one_in(gen, 2))
		op->arg[1] += below(gen, PAGE);
	if (one_in(gen, 2))
		op->arg[1] = FILE_PAGES * PAGE;
}

static void gen_file_access(struct gen *gen, struct wire_op *op)
{
	op->arg[0] = pick_file(gen);
	op->arg[1] = below(gen, gen->set->plan.window * PAGE);
	op->arg[2] = between(gen, 1, one_in(gen, 4) ? 16 * PAGE : 2 * PAGE);
	if (one_in(gen, 3))
		op->arg[1] &= ~(PAGE - 1);
}

void gen_pages(struct gen *gen, struct wire_op *op, enum call_id id)
{
	*op = (struct wire_op){ .nr = calls[id].nr };
	switch (id) {
	case CALL_STORE:
		gen_access(gen, op);
		op->arg[2] = gen->made;
		break;
	case CALL_LOAD:
		gen_access(gen, op);
		break;
	case CALL_FETCH:
		gen_access(gen, op);
		op->arg[1] = 0;
		break;
	case CALL_SURVEY:
		op->arg[0] = WIRE_WINDOW;
		op->arg[1] = gen->set->plan.window * PAGE;
		break;
	case CALL_SWITCH:
		op->arg[0] = below(gen, gen->procs);
		break;
	case CALL_TRUNCATE:
		gen_truncate(gen, op);
		break;
	case CALL_FILE_WRITE:
		gen_file_access(gen, op);
		op->arg[3] = gen->made;
		break;
	case CALL_FILE_READ:
		gen_file_access(gen, op);
		break;
	case CALL_SWAPON: /* which is on mostly */
		op->arg[0] = below(gen, SWAP_BACKENDS);
		break;
	default:
		break;
	}
}

/* A quarter of the window, of any kind. */
static void gen_quarter(struct gen *gen, struct wire_op *op, unsigned long nr)
{
	const unsigned long len = gen->set->plan.window / 4 * PAGE;

	*op = (struct wire_op){
		.nr = SYS_mmap,
		.arg = { WIRE_WINDOW + nr * len, len, PROT_READ | PROT_WRITE, MAP_FIXED, ~0UL },
	};
	op->arg[3] |= one_in(gen, 2) ? MAP_PRIVATE : MAP_SHARED;
	if (one_in(gen, 2)) {
		op->arg[3] |= MAP_ANONYMOUS;
	} else {
		op->arg[4] = pick_file(gen);
		op->arg[5] = one_in(gen, 2) ? nr * len : 0;
	}
}

/* Files begin with some pages; half of the windows are full. */
bool gen_pages_prefix(struct gen *gen, struct wire_op *op)
{
	const unsigned int made = gen->made - 1;

	if (made == FILE_MEMFD || (made == FILE_DISK && gen->disk)) {
		*op = (struct wire_op){
			.nr = OP_FILE_WRITE,
			.arg = { WIRE_FD_FILE + made, below(gen, 8) * PAGE,
				 between(gen, 1, 40) * PAGE, gen->made },
		};
		return true;
	}
	if (made == 2)
		gen->full = one_in(gen, 2) || gen->profile == PROFILE_UFFD;
	if (made < 2 || made >= 6 || !gen->full)
		return false;
	gen_quarter(gen, op, made - 2);
	return true;
}

unsigned long gen_pages_advice(struct gen *gen)
{
	static const unsigned char advice[] = { MADV_DONTNEED,
						MADV_DONTNEED,
						MADV_DONTNEED,
						MADV_FREE,
						MADV_FREE,
						MADV_REMOVE,
						MADV_WILLNEED,
						MADV_COLD,
						MADV_DONTFORK,
						MADV_DOFORK,
						MADV_WIPEONFORK,
						MADV_KEEPONFORK,
						24, /* DONTNEED_LOCKED */
						22, /* POPULATE_READ */
						22,
						23, /* POPULATE_WRITE */
						23,
						102, /* GUARD_INSTALL */
						102,
						103 }; /* GUARD_REMOVE */

	return PICK(gen, advice);
}
