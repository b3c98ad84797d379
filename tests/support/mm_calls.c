/* SPDX-License-Identifier: MIT */
/*
 * The grammar of random memory calls: mostly sensible ones on neighbouring
 * ranges of one window, now and then a bad argument.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/advice.h"
#include "support/mm_calls.h"

#define DROPPABLE 0x08
#define FILE_PAGES 256

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PICK(rng, array) ((array)[rng_below((rng), ARRAY_SIZE(array))])

int mm_gen_open(struct mm_gen *gen, struct samara_machine *machine)
{
	char name[] = "/var/tmp/samara-mm-XXXXXX";
	int err = 0;

	gen->fd[0] = memfd_create("window", MFD_CLOEXEC);
	gen->fd[1] = mkstemp(name);
	unlink(name);
	for (int i = 0; !err && i < MM_FILES; i++) {
		if (gen->fd[i] < 0 || ftruncate(gen->fd[i], FILE_PAGES * MM_PAGE))
			return -errno;
		err = samara_file_from_fd(machine, gen->fd[i], &gen->file[i]);
	}
	return err;
}

void mm_gen_close(struct mm_gen *gen)
{
	for (int i = 0; i < MM_FILES; i++) {
		samara_file_put(gen->file[i]);
		close(gen->fd[i]);
	}
}

static struct mm_range pick_area(struct mm_gen *gen)
{
	if (gen->n_chosen && rng_one_in(&gen->rng, 4))
		return gen->chosen[rng_below(&gen->rng, gen->n_chosen)];
	return (struct mm_range){ MM_WINDOW, MM_WINDOW + MM_WINDOW_PAGES * MM_PAGE };
}

/* A range inside an area, mostly of whole pages. */
static struct mm_range pick(struct mm_gen *gen)
{
	const struct mm_range area = pick_area(gen);
	const unsigned long pages = (area.end - area.start) / MM_PAGE;
	const unsigned long at = rng_below(&gen->rng, pages);
	const unsigned long most = rng_one_in(&gen->rng, 4) ? pages : 8;
	unsigned long len = 1 + rng_below(&gen->rng, most);
	struct mm_range out;

	if (len > pages - at)
		len = pages - at;
	out = (struct mm_range){ area.start + at * MM_PAGE, area.start + (at + len) * MM_PAGE };
	if (rng_one_in(&gen->rng, 60))
		out.start += rng_below(&gen->rng, MM_PAGE);
	if (rng_one_in(&gen->rng, 20))
		out.end -= rng_below(&gen->rng, MM_PAGE);
	if (out.end < out.start)
		out.end = out.start;
	return out;
}

/* Lengths that mean an error: none, or beyond the end of everything. */
static unsigned long odd_length(struct mm_gen *gen, unsigned long len)
{
	static const unsigned long odd[] = { 0, ~0UL, ~0UL - 4096 };

	return rng_one_in(&gen->rng, 50) ? PICK(&gen->rng, odd) : len;
}

/* Lengths that only mmap and munmap refuse. */
static unsigned long huge_length(struct mm_gen *gen, unsigned long len)
{
	static const unsigned long huge[] = { 1UL << 47, 1UL << 63 };

	return rng_one_in(&gen->rng, 60) ? PICK(&gen->rng, huge) : len;
}

static unsigned long pick_prot(struct mm_gen *gen)
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

	return (unsigned long)PICK(&gen->rng, prots);
}

static void gen_mmap(struct mm_gen *gen, struct mm_call *call)
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
	};
	static const int types[] = {
		MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE,
		MAP_SHARED,  MAP_SHARED,  3,           DROPPABLE,   0,
	};
	const struct mm_range at = pick(gen);
	int flags = PICK(&gen->rng, types);
	unsigned long file = ~0UL, off = 0;

	if (rng_one_in(&gen->rng, 3)) {
		file = rng_below(&gen->rng, MM_FILES);
		/* Often the offset that goes on where a neighbour ends. */
		off = rng_one_in(&gen->rng, 4) ? rng_below(&gen->rng, FILE_PAGES / 2) * MM_PAGE :
						 (at.start & (MM_WINDOW_PAGES * MM_PAGE - 1));
	} else {
		flags |= MAP_ANONYMOUS;
	}
	if (rng_one_in(&gen->rng, 5))
		flags |= PICK(&gen->rng, extra);
	*call = (struct mm_call){ .nr = SYS_mmap, .arg = { at.start, at.end - at.start } };
	switch (rng_below(&gen->rng, 9)) {
	case 0: /* the kernel's choice, sometimes large */
		call->arg[0] = rng_one_in(&gen->rng, 4) ? at.start & ~(MM_PAGE - 1) : 0;
		if (rng_one_in(&gen->rng, 4))
			call->arg[1] = rng_between(&gen->rng, 1, 3) << 21;
		break;
	case 1: /* a hint */
		break;
	case 2:
		flags |= MAP_FIXED_NOREPLACE;
		break;
	default:
		flags |= MAP_FIXED;
	}
	call->arg[1] = huge_length(gen, odd_length(gen, call->arg[1]));
	call->arg[2] = pick_prot(gen);
	call->arg[3] = (unsigned long)flags;
	call->arg[4] = file == ~0UL ? ~0UL : (unsigned long)gen->fd[file];
	call->arg[5] = off;
}

static void gen_mremap(struct mm_gen *gen, struct mm_call *call)
{
	const struct mm_range from = pick(gen), to = pick(gen);
	unsigned long old_len = from.end - from.start, new_len = to.end - to.start, flags = 0;

	if (rng_one_in(&gen->rng, 3))
		new_len = old_len;
	if (!rng_one_in(&gen->rng, 4))
		flags |= MREMAP_MAYMOVE;
	if (rng_one_in(&gen->rng, 3))
		flags |= MREMAP_FIXED;
	if (rng_one_in(&gen->rng, 8))
		flags |= MREMAP_DONTUNMAP;
	if (rng_one_in(&gen->rng, 40))
		old_len = 0;
	if (flags & MREMAP_DONTUNMAP && !(flags & MREMAP_FIXED) && rng_one_in(&gen->rng, 2))
		new_len = old_len;
	*call = (struct mm_call){
		.nr = SYS_mremap,
		.arg = { from.start, old_len, new_len, flags, to.start },
	};
	/* A destination must stay inside its area, whatever the length. */
	if ((flags & MREMAP_FIXED) && to.start + new_len > to.end && to.start >= MM_WINDOW &&
	    to.start < MM_WINDOW + MM_WINDOW_PAGES * MM_PAGE)
		return;
	if ((flags & MREMAP_FIXED) && to.start + new_len > to.end)
		call->arg[2] = to.end - to.start;
}

static void gen_madvise(struct mm_gen *gen, struct mm_call *call)
{
	static const int advice[] = {
		MADV_NORMAL,
		MADV_RANDOM,
		MADV_SEQUENTIAL,
		MADV_WILLNEED,
		MADV_DONTNEED,
		MADV_FREE,
		MADV_REMOVE,
		MADV_DONTFORK,
		MADV_DOFORK,
		MADV_MERGEABLE,
		MADV_UNMERGEABLE,
		MADV_HUGEPAGE,
		MADV_NOHUGEPAGE,
		MADV_DONTDUMP,
		MADV_DODUMP,
		MADV_WIPEONFORK,
		MADV_KEEPONFORK,
		MADV_COLD,
		MADV_PAGEOUT,
		MADV_POPULATE_READ,
		MADV_POPULATE_WRITE,
		24,
		25,
		102, /* guards: install, remove */
		103,
		5,
		26,
		99,
	};
	const struct mm_range at = pick(gen);

	*call = (struct mm_call){
		.nr = SYS_madvise,
		.arg = { at.start, odd_length(gen, at.end - at.start),
			 (unsigned long)PICK(&gen->rng, advice) },
	};
}

static void gen_ranged(struct mm_gen *gen, struct mm_call *call, long nr)
{
	const struct mm_range at = pick(gen);

	*call = (struct mm_call){
		.nr = nr,
		.arg = { at.start, odd_length(gen, at.end - at.start) },
	};
}

static void gen_munmap(struct mm_gen *gen, struct mm_call *call)
{
	gen_ranged(gen, call, SYS_munmap);
	call->arg[1] = huge_length(gen, call->arg[1]);
}

static void gen_touch(struct mm_gen *gen, struct mm_call *call)
{
	const struct mm_range at = pick(gen);

	*call = (struct mm_call){ .nr = rng_one_in(&gen->rng, 4) ? MM_READ : MM_TOUCH,
				  .arg = { at.start } };
}

static void gen_lock(struct mm_gen *gen, struct mm_call *call)
{
	static const long calls[] = { SYS_mlock,  SYS_mlock,  SYS_munlock,   SYS_munlock,
				      SYS_mlock2, SYS_mlock2, SYS_munlockall };
	const long nr = PICK(&gen->rng, calls);

	gen_ranged(gen, call, nr);
	if (nr == SYS_mlock2)
		call->arg[2] = rng_below(&gen->rng, 3);
	if (nr == SYS_munlockall)
		call->arg[0] = call->arg[1] = 0;
}

static void gen_rare(struct mm_gen *gen, struct mm_call *call)
{
	static const int msync_flags[] = {
		MS_ASYNC, MS_SYNC, MS_INVALIDATE, MS_ASYNC | MS_INVALIDATE, MS_ASYNC | MS_SYNC, 8, 0
	};

	static const int everything[] = { MCL_CURRENT,    MCL_FUTURE, MCL_CURRENT | MCL_FUTURE,
					  MCL_FUTURE | 4, 4,          0 };

	switch (rng_below(&gen->rng, 9)) {
	case 0:
		gen_ranged(gen, call, SYS_msync);
		call->arg[2] = (unsigned long)PICK(&gen->rng, msync_flags);
		break;
	case 1:
		gen_ranged(gen, call, SYS_remap_file_pages);
		call->arg[2] = rng_one_in(&gen->rng, 8) ? PROT_READ : 0;
		call->arg[3] = rng_below(&gen->rng, FILE_PAGES / 2);
		break;
	case 2:
		gen_ranged(gen, call, SYS_mseal);
		call->arg[2] = rng_one_in(&gen->rng, 8);
		break;
	case 3:
		*call = (struct mm_call){ .nr = MM_FORK };
		break;
	case 5:
		/* No more than the vector has room for. */
		*call = (struct mm_call){ .nr = SYS_mincore,
					  .arg = { MM_WINDOW, MM_WINDOW_PAGES * MM_PAGE, 1 } };
		break;
	case 4:
		*call = (struct mm_call){ .nr = SYS_mlockall,
					  .arg = { (unsigned long)PICK(&gen->rng, everything) } };
		break;
	default:
		*call = (struct mm_call){
			.nr = SYS_brk,
			.arg = { gen->brk + rng_below(&gen->rng, 32 * MM_PAGE) },
		};
		break;
	}
}

/* Half of the sequences begin with a full window: fewer holes, more splitting and merging. */
static void gen_window(struct mm_call *call)
{
	*call = (struct mm_call){
		.nr = SYS_mmap,
		.arg = { MM_WINDOW, MM_WINDOW_PAGES * MM_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, ~0UL, 0 },
	};
}

void mm_gen_start(struct mm_gen *gen, uint64_t seed)
{
	rng_init(&gen->rng, seed);
	gen->n_chosen = 0;
	gen->fresh = true;
}

void mm_gen_next(struct mm_gen *gen, struct mm_call *call)
{
	const unsigned long dice = rng_below(&gen->rng, 100);

	if (gen->fresh) {
		gen->fresh = false;
		if (rng_one_in(&gen->rng, 2)) {
			gen_window(call);
			return;
		}
	}

	if (dice < 30)
		gen_mmap(gen, call);
	else if (dice < 42)
		gen_munmap(gen, call);
	else if (dice < 60) {
		gen_ranged(gen, call, SYS_mprotect);
		call->arg[2] = pick_prot(gen);
		if (rng_one_in(&gen->rng, 20))
			call->arg[2] |= rng_one_in(&gen->rng, 3) ? 0x40 : PROT_GROWSDOWN;
	} else if (dice < 72)
		gen_mremap(gen, call);
	else if (dice < 84)
		gen_madvise(gen, call);
	else if (dice < 92)
		gen_touch(gen, call);
	else if (dice < 96)
		gen_lock(gen, call);
	else
		gen_rare(gen, call);
}

void mm_gen_learn(struct mm_gen *gen, const struct mm_call *call, long ret)
{
	unsigned long len = call->nr == SYS_mmap ? call->arg[1] : call->arg[2];
	const unsigned long at = (unsigned long)ret;

	if ((call->nr != SYS_mmap && call->nr != SYS_mremap) || SAMARA_IS_ERR_VALUE(at))
		return;
	if (at >= MM_WINDOW && at < MM_WINDOW + MM_WINDOW_PAGES * MM_PAGE)
		return;
	for (unsigned int i = 0; i < gen->n_chosen; i++)
		if (at >= gen->chosen[i].start && at < gen->chosen[i].end)
			return;
	len = (len + MM_PAGE - 1) & ~(MM_PAGE - 1);
	gen->chosen[gen->n_chosen < MM_CHOSEN_MAX ? gen->n_chosen++ :
						    rng_below(&gen->rng, MM_CHOSEN_MAX)] =
		(struct mm_range){ at, at + len };
}
