/* SPDX-License-Identifier: MIT */
/*
 * The grammar of random calls: mostly sensible ones on neighbouring ranges of
 * one window, now and then an argument that must be refused. Nothing is aimed at
 * the child's own text and arena.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "check/check.h"

#define FILE_PAGES 256
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PICK(gen, array) ((array)[below(gen, ARRAY_SIZE(array))])

/* A counter through a mixing function: any seed is a good one. */
static unsigned long below(struct gen *gen, unsigned long n)
{
	uint64_t z = gen->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return (unsigned long)(((z >> 32) * n) >> 32);
}

static bool one_in(struct gen *gen, unsigned long n)
{
	return !below(gen, n);
}

static unsigned long between(struct gen *gen, unsigned long lo, unsigned long hi)
{
	return lo + below(gen, hi - lo + 1);
}

static struct range window(const struct gen *gen)
{
	return (struct range){ WIRE_WINDOW, WIRE_WINDOW + gen->set->window * PAGE };
}

/* A range inside an area, mostly of whole pages. */
static struct range pick(struct gen *gen)
{
	const bool elsewhere = gen->n_chosen && one_in(gen, 4);
	const struct range area = elsewhere ? gen->chosen[below(gen, gen->n_chosen)] : window(gen);
	const unsigned long pages = (area.end - area.start) / PAGE, at = below(gen, pages);
	unsigned long len = 1 + below(gen, one_in(gen, 4) ? pages : 8);
	struct range out;

	if (len > pages - at)
		len = pages - at;
	out = (struct range){ area.start + at * PAGE, area.start + (at + len) * PAGE };
	if (one_in(gen, 60))
		out.start += below(gen, PAGE);
	if (one_in(gen, 20))
		out.end -= below(gen, PAGE);
	if (out.end < out.start)
		out.end = out.start;
	return out;
}

/* Lengths that mean an error: none, or beyond the end of everything. */
static unsigned long odd_length(struct gen *gen, unsigned long len)
{
	static const unsigned long odd[] = { 0, ~0UL, ~0UL - 4096, -4096UL };

	return one_in(gen, 50) ? PICK(gen, odd) : len;
}

/* Lengths that only some calls refuse; others would reach the child's own program. */
static unsigned long huge_length(struct gen *gen, unsigned long len)
{
	static const unsigned long huge[] = { 1UL << 47, 1UL << 63, (1UL << 47) - 4096 };

	return one_in(gen, 60) ? PICK(gen, huge) : len;
}

static unsigned long pick_prot(struct gen *gen)
{
	static const int prots[] = {
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE,
		PROT_READ,
		PROT_READ,
		PROT_NONE,
		PROT_READ | PROT_EXEC,
		PROT_WRITE,
		PROT_READ | PROT_WRITE | PROT_EXEC,
	};

	return (unsigned long)PICK(gen, prots);
}

static unsigned long mmap_flags(struct gen *gen)
{
	static const int types[] = {
		MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE,
		MAP_SHARED,  MAP_SHARED,  MAP_SHARED,  3,           8,           0,
	};
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
	unsigned long flags = (unsigned long)PICK(gen, types);

	if (one_in(gen, 5))
		flags |= (unsigned long)PICK(gen, extra);
	return flags;
}

static void gen_mmap(struct gen *gen, struct wire_op *op)
{
	const struct range at = pick(gen);
	unsigned long flags = mmap_flags(gen), file = ~0UL, offset = 0;

	if (one_in(gen, 3)) {
		file = WIRE_FD_FILE + below(gen, one_in(gen, 3) ? FILES : FILE_DISK + 1);
		/* Often the offset that goes on where a neighbour ends. */
		offset = one_in(gen, 4) ? below(gen, FILE_PAGES / 2) * PAGE :
					  (at.start - WIRE_WINDOW) % (FILE_PAGES * PAGE);
		if (!one_in(gen, 30))
			offset &= ~(PAGE - 1);
		if (file != WIRE_FD_FILE + FILE_ZERO && one_in(gen, 60))
			offset = (1UL << 63) - PAGE;
	} else {
		flags |= MAP_ANONYMOUS;
	}
	*op = (struct wire_op){ .nr = SYS_mmap, .arg = { at.start, at.end - at.start } };
	switch (below(gen, 8)) {
	case 0: /* the kernel's choice, sometimes large */
		op->arg[0] = one_in(gen, 4) ? at.start & ~(PAGE - 1) : 0;
		if (one_in(gen, 6))
			op->arg[1] = between(gen, 1, 3) << 21;
		break;
	case 1: /* a hint */
		break;
	case 2:
		flags |= 0x100000;
		break;
	default:
		flags |= MAP_FIXED;
	}
	op->arg[1] = huge_length(gen, odd_length(gen, op->arg[1]));
	op->arg[2] = pick_prot(gen);
	op->arg[3] = flags;
	op->arg[4] = file;
	op->arg[5] = offset;
}

static void gen_mremap(struct gen *gen, struct wire_op *op)
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
	/* A destination stays inside its area, whatever the length. */
	if ((flags & MREMAP_FIXED) && to.start + new_len > to.end &&
	    to.start - WIRE_WINDOW >= gen->set->window * PAGE)
		new_len = to.end - to.start;
	*op = (struct wire_op){
		.nr = SYS_mremap,
		.arg = { from.start, old_len, new_len, flags, to.start },
	};
}

static void gen_ranged(struct gen *gen, struct wire_op *op, long nr)
{
	const struct range at = pick(gen);

	*op = (struct wire_op){
		.nr = (int32_t)nr,
		.arg = { at.start, odd_length(gen, at.end - at.start) },
	};
}

static void gen_mprotect(struct gen *gen, struct wire_op *op)
{
	static const unsigned long odd[] = {
		0x40, PROT_GROWSDOWN, PROT_GROWSDOWN, PROT_GROWSUP, PROT_GROWSDOWN | PROT_GROWSUP, 8
	};

	gen_ranged(gen, op, SYS_mprotect);
	op->arg[2] = pick_prot(gen);
	if (one_in(gen, 20))
		op->arg[2] |= PICK(gen, odd);
}

/* What moves or breaks pages in a way that is not simulated is left out: never_tried[]. */
static void gen_madvise(struct gen *gen, struct wire_op *op)
{
	static const unsigned char advice[] = {
		0,  1,  2,  3,  4,  8,  9,  10, 11, 12, 13, 14, 15,
		16, 17, 18, 19, 20, 21, 22, 23, 24, 5,  26, 6,  99
	};

	gen_ranged(gen, op, SYS_madvise);
	op->arg[2] = PICK(gen, advice);
}

static void gen_rlimit(struct gen *gen, struct wire_op *op)
{
	static const unsigned long resource[] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK,
						  RLIMIT_MEMLOCK };
	const unsigned long which = PICK(gen, resource), window = gen->set->window;
	unsigned long pages = between(gen, window, window * 20);

	/* The child's arena counts too. */
	if (which == RLIMIT_AS)
		pages += 0x800000 / PAGE;
	if (which == RLIMIT_MEMLOCK || which == RLIMIT_STACK)
		pages = between(gen, 0, window);
	*op = (struct wire_op){ .nr = OP_RLIMIT, .arg = { which, pages * PAGE } };
	if (gen->made > 4 && one_in(gen, 2))
		op->arg[1] = RLIM_INFINITY;
}

static void gen_other(struct gen *gen, struct wire_op *op, enum call_id id)
{
	static const unsigned char msync_flags[] = { 1, 4, 2, 3, 5, 8, 0 };
	static const unsigned char lock_all[] = { 1, 2, 3, 6, 4, 0, 8 };

	gen_ranged(gen, op, calls[id].nr);
	switch (id) {
	case CALL_MUNMAP:
		op->arg[1] = huge_length(gen, op->arg[1]);
		break;
	case CALL_MLOCK2:
		op->arg[2] = below(gen, 3);
		break;
	case CALL_MLOCKALL:
		*op = (struct wire_op){ .nr = op->nr, .arg = { PICK(gen, lock_all) } };
		break;
	case CALL_MSEAL:
		op->arg[2] = one_in(gen, 8);
		break;
	case CALL_MSYNC:
		op->arg[2] = PICK(gen, msync_flags);
		break;
	case CALL_MINCORE:
		op->arg[2] = !one_in(gen, 20);
		break;
	case CALL_REMAP_FILE_PAGES:
		op->arg[2] = one_in(gen, 8) ? PROT_READ : 0;
		op->arg[3] = below(gen, FILE_PAGES / 2);
		break;
	case CALL_BRK:
		*op = (struct wire_op){ .nr = op->nr, .arg = { WIRE_BRK + below(gen, 32 * PAGE) } };
		break;
	default:
		for (int i = calls[id].args; i < 6; i++)
			op->arg[i] = 0;
	}
}

static enum call_id pick_call(struct gen *gen)
{
	unsigned long sum = 0, at;
	int id = 0;

	for (int i = 0; i < CALLS; i++)
		sum += (unsigned long)gen->set->weight[i];
	at = below(gen, sum);
	while (at >= (unsigned long)gen->set->weight[id])
		at -= (unsigned long)gen->set->weight[id++];
	return (enum call_id)id;
}

/* Half of the sequences begin with a full window: fewer holes, more splitting and merging. */
static bool gen_first(struct gen *gen, struct wire_op *op)
{
	if (gen->made != 1 || !one_in(gen, 2))
		return false;
	*op = (struct wire_op){
		.nr = SYS_mmap,
		.arg = { WIRE_WINDOW, gen->set->window * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, ~0UL, 0 },
	};
	return true;
}

void gen_start(struct gen *gen, const struct settings *set, uint64_t seed)
{
	*gen = (struct gen){ .set = set, .random = seed };
	below(gen, 1);
}

void gen_next(struct gen *gen, struct wire_op *op)
{
	enum call_id id;

	gen->made++;
	if (gen_first(gen, op))
		return;
	id = pick_call(gen);
	if (id == CALL_FORK && gen->forks++ >= WIRE_FORKS)
		id = CALL_MPROTECT;
	if (id == CALL_MMAP)
		gen_mmap(gen, op);
	else if (id == CALL_MREMAP)
		gen_mremap(gen, op);
	else if (id == CALL_MPROTECT)
		gen_mprotect(gen, op);
	else if (id == CALL_MADVISE)
		gen_madvise(gen, op);
	else if (id == CALL_RLIMIT)
		gen_rlimit(gen, op);
	else
		gen_other(gen, op, id);
}

/* Where the kernel put something is aimed at afterwards. */
void gen_learn(struct gen *gen, const struct wire_op *op, long ret)
{
	const unsigned long at = (unsigned long)ret, slots = ARRAY_SIZE(gen->chosen);
	unsigned long len = op->nr == SYS_mmap ? op->arg[1] : op->arg[2];

	if ((op->nr != SYS_mmap && op->nr != SYS_mremap) || SAMARA_IS_ERR_VALUE(at) ||
	    at - WIRE_WINDOW < gen->set->window * PAGE)
		return;
	for (unsigned int i = 0; i < gen->n_chosen; i++)
		if (at >= gen->chosen[i].start && at < gen->chosen[i].end)
			return;
	len = (len + PAGE - 1) & ~(PAGE - 1);
	gen->chosen[gen->n_chosen < slots ? gen->n_chosen++ : below(gen, slots)] =
		(struct range){ at, at + len };
}
