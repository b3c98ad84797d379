/* SPDX-License-Identifier: MIT */
/*
 * Which lane makes which call of the profile `uffd', and what is learned from its answer.
 *
 * Lane 0 makes the calls of a program, lane 1 some of those that change the map, and reads of
 * single bytes, lane 2 is the handler. What ends the sleep of two at once must not let them race
 * for what is compared: so lane 1 begins nothing that has work left behind its sleep while lane 0
 * sleeps, and nothing is closed while a call waits for an event to be read.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <samara/uffd_abi.h>

#include "check/gen_lanes.h"

/* May it go on with the map or with pages when it no longer sleeps? */
static bool has_work_left(const struct wire_op *op)
{
	switch (call_of(op->nr)) {
	case CALL_MUNMAP:
	case CALL_MPROTECT:
	case CALL_MUNLOCK:
	case CALL_MSEAL:
	case CALL_PEEK:
	case CALL_RESULT:
	case CALL_SWITCH:
	case CALL_SCAN:
		return false;
	case CALL_MREMAP:
		return op->arg[2] > op->arg[1]; /* locked memory is filled */
	case CALL_MMAP:
		return op->arg[3] & (MAP_POPULATE | MAP_LOCKED);
	case CALL_MADVISE:
		return op->arg[2] == MADV_DONTNEED || op->arg[2] == MADV_FREE ||
		       op->arg[2] == MADV_REMOVE || op->arg[2] == 24 || op->arg[2] == 22 ||
		       op->arg[2] == 23;
	default:
		return !is_uffd(op->nr);
	}
}

/*
 * Whichever of two such comes first, what is there in the end is the same: but not of files, where
 * the second one maps what the first one has brought into the page cache.
 */
static bool is_one_access(const struct wire_op *op)
{
	switch (call_of(op->nr)) {
	case CALL_PEEK:
	case CALL_TOUCH:
	case CALL_READ:
	case CALL_PIN:
	case CALL_FETCH:
		return true;
	default:
		return false;
	}
}

static bool changes_map(const struct wire_op *op)
{
	return op->nr == SYS_munmap || op->nr == SYS_mmap || op->nr == SYS_mremap ||
	       op->nr == SYS_madvise || op->nr == SYS_mprotect || op->nr == OP_FORK_STAY;
}

/* The lane of op, or another call where none may make it now. */
void gen_lane(struct gen *gen, struct wire_op *op)
{
	if (gen->profile != PROFILE_UFFD)
		return;
	if (op->nr == SYS_mlockall)
		op->arg[0] &= ~2UL; /* all that is mapped from then on would be filled */
	if (op->nr == OP_UFFD_CLOSE && gen->uffd.asleep)
		op->nr = OP_UFFD_WAKE, op->arg[1] = WIRE_WINDOW, op->arg[2] = PAGE;
	if (changes_map(op) && (sleeps(gen, 0) || one_in(gen, 4)))
		in_lane(op, 1);
	if ((gen->uffd.asleep && !is_uffd(op->nr) && has_work_left(op)) ||
	    (gen->uffd.working && is_one_access(op)))
		*op = (struct wire_op){ .nr = OP_RESULT, .arg = { below(gen, WIRE_LANES) } };
}

/* learning ------------------------------------------------------------------------------ */

static void learn_messages(struct gen *gen, const struct wire_op *op, const struct wire_msg *m,
			   size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (m[i].event == UFFD_EVENT_FORK && m[i].arg[0] < WIRE_UFFDS)
			gen->uffd.open |= 1U << m[i].arg[0];
		if (m[i].event != UFFD_EVENT_PAGEFAULT)
			continue;
		gen->uffd.fault.known = true;
		gen->uffd.fault.number = op->arg[0];
		gen->uffd.fault.addr = m[i].arg[0];
		gen->uffd.fault.flags = m[i].arg[1];
	}
}

static bool is_of_a_file(struct samara_mm *mm, const struct wire_op *op)
{
	struct samara_vma_info vma;

	return !samara_vma_next(mm, op->arg[0], &vma) && vma.start <= op->arg[0] && vma.ino;
}

void gen_learn_uffd(struct gen *gen, const struct wire_op *op, const struct ours *o,
		    const struct seen *seen)
{
	const uint32_t number = (uint32_t)op->arg[0], before = gen->uffd.asleep;

	if (gen->profile != PROFILE_UFFD)
		return;
	gen->uffd.readable = seen->uffd.readable;
	gen->uffd.asleep = ours_asleep(o);
	if (seen->ret == WIRE_ASLEEP && has_work_left(op) &&
	    (!is_one_access(op) || is_of_a_file(ours_mm_of(o, op), op)))
		gen->uffd.working |= gen->uffd.asleep & ~before;
	gen->uffd.working &= gen->uffd.asleep;
	gen->uffd.now = o->procs.now;
	gen->procs = o->procs.n;
	if (op->nr == OP_UFFD_CREATE && seen->ret >= 0) {
		gen->uffd.open |= 1U << seen->ret;
		gen->uffd.raw |= 1U << seen->ret;
	}
	if (op->nr == OP_UFFD_API && !seen->ret)
		gen->uffd.raw &= ~(1U << number);
	if (op->nr == OP_UFFD_CLOSE && !seen->ret) {
		gen->uffd.open &= ~(1U << number);
		gen->uffd.raw &= ~(1U << number);
		gen->uffd.fault.known = false;
	}
	learn_messages(gen, op,
		       (const struct wire_msg *)(const void *)(o->text.at + seen->uffd.msgs_at),
		       seen->uffd.n_msgs);
}
