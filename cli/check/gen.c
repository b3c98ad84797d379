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

#include "check/gen.h"

/* A counter through a mixing function: any seed is a good one. */
unsigned long below(struct gen *gen, unsigned long n)
{
	uint64_t z = gen->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return (unsigned long)(((z >> 32) * n) >> 32);
}

bool one_in(struct gen *gen, unsigned long n)
{
	return !below(gen, n);
}

unsigned long between(struct gen *gen, unsigned long lo, unsigned long hi)
{
	return lo + below(gen, hi - lo + 1);
}

bool may_fault(const struct gen *gen)
{
	return gen->profile != PROFILE_GUARDS && gen->profile != PROFILE_COLLAPSE;
}

bool may_populate(const struct gen *gen)
{
	return gen->profile == PROFILE_PLAIN || gen->profile == PROFILE_FULL ||
	       has_pages(gen->profile);
}

/* The window, the heap, where stacks are, or what the kernel chose. */
static struct range pick_area(struct gen *gen)
{
	if (one_in(gen, 16))
		return (struct range){ WIRE_BRK - BELOW_HEAP_PAGES * PAGE,
				       WIRE_BRK + HEAP_PAGES * PAGE };
	if (gen->stack && one_in(gen, 24))
		return (struct range){ gen->stack - 4 * PAGE, gen->stack + 4 * PAGE };
	if (gen->chosen.n && one_in(gen, gen->profile == PROFILE_COLLAPSE ? 2 : 4))
		return gen->chosen.at[below(gen, gen->chosen.n)];
	return (struct range){ WIRE_WINDOW, WIRE_WINDOW + gen->set->plan.window * PAGE };
}

struct range pick(struct gen *gen)
{
	const struct range area = pick_area(gen);
	const unsigned long pages = (area.end - area.start) / PAGE, at = below(gen, pages);
	unsigned long len = 1 + below(gen, one_in(gen, 4) ? pages : 8);
	struct range out;

	if (len > pages - at)
		len = pages - at;
	if (len > TIB / PAGE)
		len = TIB / PAGE;
	out = (struct range){ area.start + at * PAGE, area.start + (at + len) * PAGE };
	if (one_in(gen, 40))
		out.start += below(gen, PAGE);
	if (one_in(gen, 20))
		out.end -= below(gen, PAGE);
	if (out.end < out.start)
		out.end = out.start;
	return out;
}

unsigned long odd_length(struct gen *gen, unsigned long len)
{
	static const unsigned long odd[] = { 0, 0, 0, ~0UL, ~0UL - 4096, -4096UL };

	return one_in(gen, 30) ? PICK(gen, odd) : len;
}

unsigned long huge_length(struct gen *gen, unsigned long len)
{
	static const unsigned long huge[] = { 1UL << 47, 1UL << 63, (1UL << 47) - 4096 };

	return one_in(gen, 60) ? PICK(gen, huge) : len;
}

unsigned long pick_prot(struct gen *gen)
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
		PROT_EXEC,
		PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	unsigned long prot = (unsigned long)PICK(gen, prots);

	if (has_pages(gen->profile) && one_in(gen, 2))
		prot = PROT_READ | PROT_WRITE;
	/* Executing alone takes a key where there are any, and keys are not simulated. */
	return prot == PROT_EXEC && gen->set->found.facts.prot.pkeys ? PROT_READ | PROT_EXEC : prot;
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

/* Advice that would break the host's memory is left out: notes[] in cover_notes.c. */
static void gen_madvise(struct gen *gen, struct wire_op *op)
{
	static const unsigned char advice[] = {
		0,  1,  2,  3,  4,  8,  9,  10, 11, 12, 13, 14, 15,
		16, 17, 18, 19, 20, 21, 22, 23, 24, 5,  26, 6,  99
	};
	const bool of_pages = has_pages(gen->profile) && gen->profile != PROFILE_SWAP;
	unsigned long which = PICK(gen, advice);

	gen_ranged(gen, op, SYS_madvise);
	if (of_pages && !one_in(gen, 3))
		which = gen_pages_advice(gen);
	if (of_pages && which == MADV_PAGEOUT)
		which = MADV_COLD; /* what has left is not the same each time */
	if (gen->profile == PROFILE_SWAP)
		which = gen_swap_advice(gen, op, which);
	if (gen->profile == PROFILE_GUARDS && one_in(gen, 3))
		which = 102 + one_in(gen, 3); /* guards: install, remove */
	if (gen->profile == PROFILE_COLLAPSE && one_in(gen, 4))
		which = 25;
	if (!may_populate(gen) && (which == 22 || which == 23))
		which = 4;
	if (!may_populate(gen) && (which == 12 || which == 13))
		which = 16; /* terabytes looked through for shared pages */
	op->arg[2] = which;
}

static void gen_rlimit(struct gen *gen, struct wire_op *op)
{
	static const unsigned long resource[] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK,
						  RLIMIT_MEMLOCK };
	const unsigned long which = PICK(gen, resource), window = gen->set->plan.window;
	unsigned long pages = between(gen, window, window * 20);

	/* The child's arena counts too. */
	if (which == RLIMIT_AS)
		pages += gen->set->found.arena / PAGE;
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
		/* The child's vector has so much room. */
		if (op->arg[1] > WIRE_SCRATCH / 4 * PAGE && op->arg[1] < 1UL << 47)
			op->arg[1] = WIRE_SCRATCH / 4 * PAGE;
		if (gen->profile == PROFILE_GUARDS ||
		    (has_pages(gen->profile) && gen->profile != PROFILE_SWAP && !gen->disk))
			op->look = LOOK_VEC;
		break;
	case CALL_REMAP_FILE_PAGES:
		op->arg[2] = one_in(gen, 8) ? PROT_READ : 0;
		op->arg[3] = below(gen, FILE_PAGES / 2);
		if (one_in(gen, 8))
			op->arg[3] = (1UL << below(gen, 64)) - one_in(gen, 2);
		break;
	case CALL_BRK:
		gen_heap(gen, op);
		break;
	default:
		for (int i = calls[id].args; i < 6; i++)
			op->arg[i] = 0;
		/* The system call that reads takes address 0 for an overflow. */
		if (id == CALL_READ && op->arg[0] < PAGE)
			op->nr = OP_TOUCH;
	}
}

static unsigned long weight_of(const struct gen *gen, int id)
{
	const bool of_swap = id == CALL_SWAPON || id == CALL_SWAPOFF;
	const bool of_uffd = id >= CALL_PEEK && id < CALLS;
	const bool of_pages = id >= CALL_STORE && id < CALLS;
	const unsigned long weight = (unsigned long)gen->set->plan.weight[id];

	if (of_swap)
		return gen->profile == PROFILE_SWAP ? weight : 0;
	if (of_uffd)
		return gen->profile == PROFILE_UFFD ? weight : 0;
	if (id <= CALL_MREMAP && gen->profile == PROFILE_UFFD)
		return (weight + 2) / 3; /* what is new is not registered */
	if (id == CALL_MADVISE && gen->profile == PROFILE_SWAP)
		return 2 * weight;
	return of_pages && !has_pages(gen->profile) ? 0 : weight;
}

static enum call_id pick_call(struct gen *gen)
{
	unsigned long sum = 0, at;
	int id = 0;

	for (int i = 0; i < MIXES; i++)
		sum += weight_of(gen, i);
	if (!sum)
		return CALL_MUNMAP; /* the mix has calls of other profiles only */
	at = below(gen, sum);
	while (at >= weight_of(gen, id))
		at -= weight_of(gen, id++);
	return (enum call_id)id;
}

/* What the profile cannot have becomes something it has. */
static enum call_id allowed(struct gen *gen, enum call_id id)
{
	const unsigned int forks = has_pages(gen->profile) ? 5 : WIRE_FORKS;

	if ((id == CALL_FORK || id == CALL_FORK_STAY) && gen->forks++ >= forks)
		return CALL_MPROTECT;
	if ((id == CALL_TOUCH || id == CALL_READ) && !may_fault(gen))
		return gen->profile == PROFILE_GUARDS ? CALL_MINCORE : CALL_MADVISE;
	if ((id == CALL_MLOCK || id == CALL_MLOCK2) && !may_populate(gen))
		return CALL_MUNLOCK;
	if ((id == CALL_MSEAL || id == CALL_RLIMIT) && gen->uffd.unmap)
		return CALL_MPROTECT;
	if (id == CALL_REMAP_FILE_PAGES && !may_populate(gen))
		return CALL_MSYNC; /* it fills what it maps */
	if (id == CALL_MLOCKALL && gen->profile != PROFILE_PLAIN && !has_pages(gen->profile))
		return CALL_MUNLOCKALL;
	if (id == CALL_MLOCKALL && gen->profile == PROFILE_SWAP && !one_in(gen, 4))
		return CALL_MUNLOCKALL; /* nothing leaves any more */
	return id;
}

void gen_start(struct gen *gen, const struct settings *set, uint64_t seed, enum profile profile)
{
	*gen = (struct gen){ .set = set, .random = seed, .profile = profile, .procs = 1 };
	gen->disk = below(gen, 2) || !has_pages(profile);
	if (profile == PROFILE_UFFD)
		gen->disk = one_in(gen, 6); /* it cannot be registered, mostly */
	gen->uffd.unmap =
		profile == PROFILE_UFFD && set->plan.limits != LIMITS_TIGHT && one_in(gen, 2);
	gen->swap.lazy = profile == PROFILE_SWAP && one_in(gen, 3);
}

static void gen_call(struct gen *gen, struct wire_op *op)
{
	enum call_id id;

	gen->made++;
	if (gen_prefix(gen, op))
		return;
	id = allowed(gen, pick_call(gen));
	if (id == MIX_STACK && gen->profile != PROFILE_FULL)
		gen_stack(gen, op);
	else if (id >= CALL_PEEK && id < CALLS)
		gen_uffd(gen, op, id);
	else if (id >= CALL_STORE && id < CALLS)
		gen_pages(gen, op, id);
	else if (id == CALL_MMAP)
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
		gen_other(gen, op, id == MIX_STACK ? CALL_MUNMAP : id);
}

void gen_next(struct gen *gen, struct wire_op *op)
{
	if (gen_area(gen, op) || gen_handle(gen, op))
		return;
	gen_call(gen, op);
	gen_lane(gen, op);
}

/* Where the kernel put something is aimed at afterwards. */
void gen_learn(struct gen *gen, const struct wire_op *op, long ret)
{
	const unsigned long at = (unsigned long)ret, slots = ARRAY_SIZE(gen->chosen.at);
	unsigned long len = op->nr == SYS_mmap ? op->arg[1] : op->arg[2];

	if ((op->nr == OP_FORK || op->nr == OP_FORK_STAY) && !ret)
		gen->procs++;
	if ((op->nr == SYS_swapon || op->nr == SYS_swapoff) && !ret)
		gen->swap.on = op->nr == SYS_swapon;
	if ((op->nr != SYS_mmap && op->nr != SYS_mremap) || SAMARA_IS_ERR_VALUE(at) ||
	    at - WIRE_WINDOW < gen->set->plan.window * PAGE || at < WIRE_LOW)
		return; /* all else begins above the child's own program */
	for (unsigned int i = 0; i < gen->chosen.n; i++)
		if (at >= gen->chosen.at[i].start && at < gen->chosen.at[i].end)
			return;
	len = (len + PAGE - 1) & ~(PAGE - 1);
	if (gen->profile != PROFILE_VAST && len > 16UL << 20)
		return; /* it is there to be in the way, or too much to be filled */
	gen->chosen.at[gen->chosen.n < slots ? gen->chosen.n++ : below(gen, slots)] =
		(struct range){ at, at + len };
}
