/* SPDX-License-Identifier: MIT */
/*
 * Random calls of the profile `uffd': those of the profile `pages', requests of userfaultfds, and
 * what a handler does when a call sleeps: it reads the messages and draws an answer, which may be
 * none that ends the sleep; after some of them it closes the userfaultfd.
 */
#define _GNU_SOURCE
#include <samara/uffd_abi.h>

#include "check/gen_lanes.h"

#define PATIENCE 6 /* answers before it is closed */
#define EVENTS \
	(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | \
	 UFFD_FEATURE_EVENT_UNMAP)

static struct wire_op request(int32_t nr, uint64_t number, struct range at, uint64_t last)
{
	struct wire_op op = { .nr = nr, .arg = { number, at.start, at.end - at.start, last } };

	in_lane(&op, HANDLER);
	return op;
}

/* One of those that there are, or now and then none. */
static uint64_t pick_number(struct gen *gen)
{
	uint64_t number = below(gen, WIRE_UFFDS);

	for (unsigned int i = 0; i < WIRE_UFFDS && !(gen->uffd.open >> number & 1); i++)
		number = (number + 1) % WIRE_UFFDS;
	return one_in(gen, 150) ? WIRE_UFFDS : number;
}

static struct range window(const struct gen *gen)
{
	return (struct range){ WIRE_WINDOW, WIRE_WINDOW + gen->set->plan.window * PAGE };
}

/* Requests refuse what is not of whole pages: seldom asked. */
static struct range pick_pages(struct gen *gen)
{
	struct range at = pick(gen);

	if (one_in(gen, 30))
		return at;
	at.start &= -PAGE;
	at.end = (at.end + PAGE - 1) & -PAGE;
	return at;
}

/* making ----------------------------------------------------------------------------- */

static uint64_t pick_features(struct gen *gen)
{
	static const uint64_t often[] = {
		UFFD_FEATURE_EVENT_FORK,
		UFFD_FEATURE_EVENT_REMAP,
		UFFD_FEATURE_EVENT_REMOVE,
		UFFD_FEATURE_EVENT_UNMAP,
		UFFD_FEATURE_EXACT_ADDRESS,
		UFFD_FEATURE_THREAD_ID,
		UFFD_FEATURE_MISSING_SHMEM,
		UFFD_FEATURE_WP_UNPOPULATED,
		UFFD_FEATURE_POISON,
		UFFD_FEATURE_MOVE,
		UFFD_FEATURE_MINOR_SHMEM,
		UFFD_FEATURE_PAGEFAULT_FLAG_WP,
		UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	uint64_t features = 0;

	for (size_t i = 0; i < ARRAY_SIZE(often); i++)
		features |= one_in(gen, 2) ? often[i] : 0;
	if (one_in(gen, 3) || !gen->set->plan.weight[CALL_UFFD_READ])
		features &= ~(uint64_t)EVENTS; /* which wait to be read */
	if (!gen->uffd.unmap)
		features &= ~(uint64_t)UFFD_FEATURE_EVENT_UNMAP;
	if (one_in(gen, 10))
		features |= UFFD_FEATURE_SIGBUS;
	if (one_in(gen, 5))
		features |= UFFD_FEATURE_WP_ASYNC;
	return features;
}

static void gen_create(struct gen *gen, struct wire_op *op)
{
	*op = (struct wire_op){ .nr = OP_UFFD_CREATE };
	if (one_in(gen, 20))
		op->arg[0] = one_in(gen, 2) ? 0x80000 : 4; /* O_CLOEXEC; unknown */
}

static void gen_api(struct gen *gen, struct wire_op *op, uint64_t number)
{
	*op = (struct wire_op){ .nr = OP_UFFD_API,
				.arg = { number, UFFD_API, pick_features(gen) } };
	in_lane(op, HANDLER);
	if (one_in(gen, 20))
		op->arg[1] = 1;
	if (one_in(gen, 20))
		op->arg[2] = one_in(gen, 2) ? 0 : 1UL << below(gen, 64);
	op->arg[2] &= ~(uint64_t)(UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MINOR_HUGETLBFS);
	if (!gen->uffd.unmap)
		op->arg[2] &= ~(uint64_t)UFFD_FEATURE_EVENT_UNMAP;
}

static uint64_t pick_modes(struct gen *gen)
{
	static const unsigned char modes[] = { 1, 1, 1, 2, 2, 3, 3, 3, 4, 5, 6, 7, 7 };

	return one_in(gen, 60) ? below(gen, 16) : PICK(gen, modes);
}

/* What the window begins with has four parts of one kind each. */
static struct range pick_registered(struct gen *gen)
{
	const unsigned long len = gen->set->plan.window / 4 * PAGE;
	const unsigned long start = WIRE_WINDOW + below(gen, 4) * len;

	switch (below(gen, 8)) {
	case 0:
	case 1:
		return pick_pages(gen);
	case 2:
		return window(gen);
	default:
		return (struct range){ start, start + len };
	}
}

/* A sequence begins with one; later there is one again after a while. */
static bool gen_begin(struct gen *gen, struct wire_op *op)
{
	const bool some = gen->uffd.open;
	uint64_t raw = 0;

	if (some && !gen->uffd.raw && gen->made > 6 && one_in(gen, 20)) {
		*op = request(OP_UFFD_REGISTER, pick_number(gen), pick_registered(gen),
			      pick_modes(gen));
		return true;
	}
	if (some && gen->uffd.raw) {
		while (!(gen->uffd.raw >> raw & 1))
			raw++;
		if (!one_in(gen, 3))
			return false;
		gen_api(gen, op, raw);
		return true;
	}
	if (some || (gen->uffd.begun && !one_in(gen, 8)))
		return false;
	gen_create(gen, op);
	gen->uffd.begun = true;
	return true;
}

/* requests ---------------------------------------------------------------------------- */

/* A mode of a request that fills: none, not to wake, to write-protect, or one that is not known. */
static uint64_t pick_fill_mode(struct gen *gen)
{
	return one_in(gen, 6) ? below(gen, 4) : one_in(gen, 100) ? 1UL << below(gen, 64) : 0;
}

static void bound_copy(struct wire_op *op)
{
	if (op->arg[2] > WIRE_COPY && op->arg[2] < 1UL << 46)
		op->arg[2] = WIRE_COPY;
}

static void gen_copy(struct gen *gen, struct wire_op *op, uint64_t number, struct range at)
{
	*op = request(OP_UFFD_COPY, number, at, 1 + below(gen, 1000));
	if (one_in(gen, 5))
		op->arg[3] = one_in(gen, 3) ? pick(gen).start : pick_pages(gen).start;
	if (one_in(gen, 20) && op->arg[3] >= WIRE_PATTERNS)
		op->arg[3] += below(gen, PAGE);
	op->arg[4] = pick_fill_mode(gen);
	bound_copy(op);
}

static void gen_move(struct gen *gen, struct wire_op *op, uint64_t number, struct range at)
{
	struct range from = pick_pages(gen);

	*op = request(OP_UFFD_MOVE, number, at, from.start);
	op->arg[4] = one_in(gen, 4) ? below(gen, 4) : 0;
	if (one_in(gen, 2) && from.end - from.start < op->arg[2])
		op->arg[2] = from.end - from.start;
}

static uint64_t pick_categories(struct gen *gen, unsigned long one)
{
	/* Neither huge pages nor soft-dirty: not every host has those, and here are none. */
	const uint64_t known = 0x1ff & ~(uint64_t)(PAGE_IS_HUGE | PAGE_IS_SOFT_DIRTY);

	return one_in(gen, one) ? below(gen, 0x200) & known : 0;
}

static void gen_scan(struct gen *gen, struct wire_op *op)
{
	const struct range at = one_in(gen, 3) ? window(gen) : pick_pages(gen);
	uint64_t returned = pick_categories(gen, 4);

	if (!returned && !one_in(gen, 20))
		returned = PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN | PAGE_IS_FILE | PAGE_IS_PRESENT |
			   PAGE_IS_SWAPPED | PAGE_IS_PFNZERO | PAGE_IS_GUARD;
	*op = (struct wire_op){
		.nr = OP_SCAN,
		.arg = { at.start, at.end, one_in(gen, 3) ? 0 : below(gen, 4),
			 pick_categories(gen, 4) | pick_categories(gen, 2) << 16 |
				 pick_categories(gen, 4) << 32 | returned << 48,
			 one_in(gen, 3) ? below(gen, 12) : WIRE_REGIONS,
			 one_in(gen, 3) ? below(gen, 40) : 0 },
	};
	if (one_in(gen, 60))
		op->arg[2] = 1UL << below(gen, 64);
	in_lane(op, HANDLER);
}

void gen_uffd(struct gen *gen, struct wire_op *op, enum call_id id)
{
	const struct range at = pick_pages(gen);
	const uint64_t number = pick_number(gen);

	*op = request(calls[id].nr, number, at, 0);
	switch (id) {
	case CALL_PEEK:
		*op = (struct wire_op){ .nr = OP_PEEK, .arg = { at.start + below(gen, PAGE) } };
		in_lane(op, 1);
		break;
	case CALL_PIN:
	case CALL_POKE:
		*op = (struct wire_op){ .nr = calls[id].nr,
					.arg = { (at.start + below(gen, at.end - at.start)) & -8UL,
						 one_in(gen, 2), gen->made } };
		break;
	case CALL_SCAN:
		gen_scan(gen, op);
		break;
	case CALL_RESULT:
		*op = (struct wire_op){ .nr = OP_RESULT, .arg = { below(gen, WIRE_LANES) } };
		break;
	case CALL_UFFD_CREATE:
		gen_create(gen, op);
		break;
	case CALL_UFFD_API:
		gen_api(gen, op, number);
		break;
	case CALL_UFFD_REGISTER:
		*op = request(op->nr, number, pick_registered(gen), 0);
		op->arg[3] = pick_modes(gen);
		break;
	case CALL_UFFD_COPY:
		gen_copy(gen, op, number, at);
		break;
	case CALL_UFFD_MOVE:
		gen_move(gen, op, number, at);
		break;
	case CALL_UFFD_WRITEPROTECT:
		op->arg[3] = one_in(gen, 60) ? below(gen, 8) : !one_in(gen, 3);
		break;
	case CALL_UFFD_ZEROPAGE:
	case CALL_UFFD_CONTINUE:
	case CALL_UFFD_POISON:
		op->arg[3] = pick_fill_mode(gen);
		break;
	case CALL_UFFD_CLOSE:
		*op = (struct wire_op){ .nr = op->nr, .arg = { number } };
		in_lane(op, HANDLER);
		break;
	case CALL_UFFD_READ:
		*op = (struct wire_op){ .nr = op->nr, .arg = { number, below(gen, WIRE_MSGS) } };
		in_lane(op, HANDLER);
		break;
	default:
		break;
	}
	if (is_uffd(op->nr) && op->nr <= OP_UFFD_REGISTER)
		op->arg[2] = op->nr == OP_UFFD_READ ? op->arg[2] : odd_length(gen, op->arg[2]);
}

/* the handler -------------------------------------------------------------------------- */

static void gen_read(struct gen *gen, struct wire_op *op)
{
	uint64_t number = 0;

	while (!(gen->uffd.readable >> number & 1))
		number++;
	*op = (struct wire_op){ .nr = OP_UFFD_READ,
				.arg = { number, one_in(gen, 2) ? 1 : WIRE_MSGS } };
	in_lane(op, HANDLER);
}

/* Mostly the page that a message was about. */
static struct range pick_answer(struct gen *gen)
{
	const unsigned long page = gen->uffd.fault.addr & -PAGE;
	struct range at = { page, page + PAGE };

	if (one_in(gen, 4))
		at.end += below(gen, 6) * PAGE;
	if (one_in(gen, 10) && at.start > WIRE_WINDOW)
		at.start -= PAGE;
	if (one_in(gen, 20))
		at = window(gen);
	return at;
}

static int32_t draw_answer(struct gen *gen, uint64_t flags)
{
	static const int32_t missing[] = { OP_UFFD_COPY,   OP_UFFD_COPY,     OP_UFFD_COPY,
					   OP_UFFD_COPY,   OP_UFFD_ZEROPAGE, OP_UFFD_ZEROPAGE,
					   OP_UFFD_POISON, OP_UFFD_MOVE,     OP_UFFD_CONTINUE };
	static const int32_t protected[] = { OP_UFFD_WRITEPROTECT, OP_UFFD_WRITEPROTECT,
					     OP_UFFD_WRITEPROTECT, OP_UFFD_COPY };
	static const int32_t minor[] = { OP_UFFD_CONTINUE, OP_UFFD_CONTINUE, OP_UFFD_CONTINUE,
					 OP_UFFD_POISON, OP_UFFD_COPY };
	static const int32_t other[] = { OP_UFFD_WAKE, OP_UFFD_UNREGISTER, OP_UFFD_REGISTER,
					 OP_UFFD_WRITEPROTECT };

	if (one_in(gen, 6))
		return PICK(gen, other);
	return flags & UFFD_PAGEFAULT_FLAG_WP    ? PICK(gen, protected) :
	       flags & UFFD_PAGEFAULT_FLAG_MINOR ? PICK(gen, minor) :
						   PICK(gen, missing);
}

static void gen_answer(struct gen *gen, struct wire_op *op)
{
	const uint64_t number = gen->uffd.fault.number;
	const struct range at = pick_answer(gen);
	const int32_t nr = draw_answer(gen, gen->uffd.fault.flags);

	*op = request(gen->set->plan.weight[call_of(nr)] ? nr : OP_UFFD_WAKE, number, at, 0);
	if (op->nr == OP_UFFD_COPY)
		gen_copy(gen, op, number, at);
	else if (op->nr == OP_UFFD_MOVE)
		gen_move(gen, op, number, at);
	else if (op->nr == OP_UFFD_REGISTER)
		op->arg[3] = pick_modes(gen);
	else if (op->nr == OP_UFFD_WRITEPROTECT)
		op->arg[3] = one_in(gen, 8) ? below(gen, 4) : 0;
	else if (op->nr != OP_UFFD_WAKE && op->nr != OP_UFFD_UNREGISTER)
		op->arg[3] = pick_fill_mode(gen);
}

/* All that are open, one after the other, until nothing sleeps. */
static void gen_give_up(struct gen *gen, struct wire_op *op)
{
	uint64_t number = 0;

	while (number < WIRE_UFFDS - 1 && !(gen->uffd.open >> number & 1))
		number++;
	*op = (struct wire_op){ .nr = OP_UFFD_CLOSE, .arg = { number } };
	in_lane(op, HANDLER);
}

/* A byte for another lane than the one that sleeps. False: both do. */
static bool gen_second(struct gen *gen, struct wire_op *op)
{
	const struct range at = one_in(gen, 3) ? window(gen) : pick(gen);
	const unsigned long addr = at.start + below(gen, at.end - at.start);
	static const int32_t accesses[] = { OP_TOUCH, OP_READ, OP_PIN };

	if (gen->uffd.working)
		return false;
	if (!sleeps(gen, 1)) {
		*op = (struct wire_op){ .nr = OP_PEEK, .arg = { addr } };
		in_lane(op, 1);
	} else if (!sleeps(gen, 0)) {
		*op = (struct wire_op){ .nr = PICK(gen, accesses), .arg = { addr & -8UL } };
	} else {
		return false;
	}
	return gen->set->plan.weight[call_of(op->nr)];
}

bool gen_handle(struct gen *gen, struct wire_op *op)
{
	if (gen->profile != PROFILE_UFFD)
		return false;
	if (!gen->uffd.asleep) {
		gen->uffd.tries = 0;
		return gen_begin(gen, op);
	}
	if (one_in(gen, 6) && gen->uffd.tries < PATIENCE && gen_second(gen, op))
		return true;
	if (one_in(gen, 4) && gen->uffd.tries < PATIENCE)
		return false;
	gen->uffd.tries++;
	if (gen->uffd.readable && (!one_in(gen, 6) || gen->uffd.tries > PATIENCE))
		gen_read(gen, op);
	else if (gen->uffd.tries > PATIENCE)
		gen_give_up(gen, op);
	else if (gen->uffd.fault.known)
		gen_answer(gen, op);
	else
		*op = request(OP_UFFD_WAKE, pick_number(gen), window(gen), 0);
	return true;
}
