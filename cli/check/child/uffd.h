/* SPDX-License-Identifier: MIT */
/*
 * The child's userfaultfds: requests as the calls of a sequence have them, and messages as both
 * sides can have them. Part of child.c.
 */
#ifndef CLI_CHECK_CHILD_UFFD_H
#define CLI_CHECK_CHILD_UFFD_H

#include <samara/uffd_abi.h>

#include "access.h"

#define NONBLOCK 0x800UL
#define UNWRITTEN 99 /* in an output field */
#define NO_NUMBER (~0UL)

struct poll_fd {
	int32_t fd;
	int16_t events, found;
};

static int is_open(uint64_t number)
{
	return number < WIRE_UFFDS && (HEAD->uffd.open >> number & 1);
}

/* fd gets the least number that is free, and is closed where none is. */
static uint64_t keep_uffd(long fd, uint32_t process)
{
	for (uint32_t i = 0; i < WIRE_UFFDS; i++) {
		if (is_open(i))
			continue;
		HEAD->uffd.open |= 1U << i;
		HEAD->uffd.fd[i] = (int32_t)fd;
		HEAD->uffd.of[i] = process;
		return i;
	}
	sys3(__NR_close, (uint64_t)fd, 0, 0);
	return NO_NUMBER;
}

static long uffd_create(uint64_t flags, uint32_t process)
{
	long fd;

	if (HEAD->uffd.open == (1U << WIRE_UFFDS) - 1)
		return WIRE_NO_ROOM;
	fd = sys3(__NR_userfaultfd, flags | NONBLOCK, 0, 0);
	return fd < 0 ? fd : (long)keep_uffd(fd, process);
}

static long uffd_close(uint64_t number)
{
	HEAD->uffd.open &= ~(1U << number);
	return sys3(__NR_close, (uint64_t)HEAD->uffd.fd[number], 0, 0);
}

static long request(uint64_t number, uint64_t what, uint64_t *arg)
{
	return sys3(__NR_ioctl, (uint64_t)HEAD->uffd.fd[number], what, (uint64_t)arg);
}

static long uffd_api(const uint64_t *a, volatile struct wire_cell *cell)
{
	uint64_t arg[3] = { a[1], a[2], UNWRITTEN };
	const long ret = request(a[0], UFFDIO_API, arg);

	cell->out[0] = (int64_t)arg[1];
	cell->out[1] = (int64_t)arg[2];
	return ret;
}

/* Requests with a range, a mode and what was done. */
static long uffd_range(const uint64_t *a, uint64_t what, volatile struct wire_cell *cell)
{
	uint64_t arg[4] = { a[1], a[2], a[3], UNWRITTEN };
	const long ret = request(a[0], what, arg);

	cell->out[0] = (int64_t)arg[3];
	return ret;
}

/* A place to copy from: a pattern, or an address as it is. */
static uint64_t source_of(const uint64_t *a)
{
	char *const from =
		at_offset(HEAD->asked.scratch_at + (uint32_t)(WIRE_SCRATCH + WIRE_SOURCE));

	if (a[3] >= WIRE_PATTERNS)
		return a[3];
	pattern_fill(from, a[1] & -8UL, a[2] < WIRE_COPY ? a[2] : WIRE_COPY, a[3]);
	return (uint64_t)from;
}

static long uffd_copy(const uint64_t *a, uint64_t what, volatile struct wire_cell *cell)
{
	uint64_t arg[5] = { a[1], what == UFFDIO_COPY ? source_of(a) : a[3], a[2], a[4],
			    UNWRITTEN };
	const long ret = request(a[0], what, arg);

	cell->out[0] = (int64_t)arg[4];
	return ret;
}

/*
 * One by one, up to an event: the call that has waited for its being read may queue the next at any
 * time. The messages stay in the lane's buffer.
 */
static long uffd_read(const uint64_t *a)
{
	const uint64_t n = a[1] < WIRE_MSGS ? a[1] : WIRE_MSGS;
	struct uffd_msg *const msg = (struct uffd_msg *)BUFFER;
	uint64_t done = 0;
	long ret;

	do {
		ret = sys3(__NR_read, (uint64_t)HEAD->uffd.fd[a[0]], (uint64_t)&msg[done],
			   n ? sizeof(*msg) : 0);
		done += ret == sizeof(*msg);
	} while (ret == sizeof(*msg) && done < n && msg[done - 1].event == UFFD_EVENT_PAGEFAULT);
	return done ? (long)(done * sizeof(*msg)) : ret;
}

static long uffd_call(const struct wire_op *op, volatile struct wire_cell *cell, uint32_t process)
{
	const uint64_t *a = op->arg;

	if (op->nr == OP_UFFD_CREATE)
		return uffd_create(a[0], process);
	if (!is_open(a[0]))
		return WIRE_NO_UFFD;
	switch (op->nr) {
	case OP_UFFD_CLOSE:
		return uffd_close(a[0]);
	case OP_UFFD_API:
		return uffd_api(a, cell);
	case OP_UFFD_REGISTER:
		return uffd_range(a, UFFDIO_REGISTER, cell);
	case OP_UFFD_UNREGISTER:
		return uffd_range(a, UFFDIO_UNREGISTER, cell);
	case OP_UFFD_COPY:
		return uffd_copy(a, UFFDIO_COPY, cell);
	case OP_UFFD_ZEROPAGE:
		return uffd_range(a, UFFDIO_ZEROPAGE, cell);
	case OP_UFFD_CONTINUE:
		return uffd_range(a, UFFDIO_CONTINUE, cell);
	case OP_UFFD_POISON:
		return uffd_range(a, UFFDIO_POISON, cell);
	case OP_UFFD_MOVE:
		return uffd_copy(a, UFFDIO_MOVE, cell);
	case OP_UFFD_WRITEPROTECT:
		return uffd_range(a, UFFDIO_WRITEPROTECT, cell);
	case OP_UFFD_WAKE:
		return uffd_range(a, UFFDIO_WAKE, cell);
	default:
		return uffd_read(a);
	}
}

/* what the director tells ----------------------------------------------------------- */

static uint64_t cell_of_thread(uint32_t tid)
{
	for (uint32_t i = 0; i < WIRE_CELLS; i++)
		if (tid && HEAD->cell[i].tid == (int32_t)tid)
			return i + 1;
	return tid ? NO_NUMBER : 0;
}

/* of: the one that it was read from. */
static void tell_message(struct wire_msg *to, const struct uffd_msg *msg)
{
	to->event = msg->event;
	to->arg[0] = msg->arg.reserved.reserved1;
	to->arg[1] = msg->arg.reserved.reserved2;
	to->arg[2] = msg->arg.reserved.reserved3;
	if (msg->event == UFFD_EVENT_PAGEFAULT) {
		to->arg[0] = msg->arg.pagefault.address;
		to->arg[1] = msg->arg.pagefault.flags;
		to->arg[2] = cell_of_thread(msg->arg.pagefault.feat.ptid);
	} else if (msg->event == UFFD_EVENT_FORK) {
		/* The fork sleeps until its event is read: so it is the one under way. */
		to->arg[0] = keep_uffd((long)msg->arg.fork.ufd, HEAD->procs.forks + 1);
		to->arg[1] = to->arg[2] = 0;
	} else if (msg->event != UFFD_EVENT_REMAP) {
		to->arg[2] = 0;
	}
}

/* 0, or -1: no more room. from: the buffer of the lane that has read n. */
static int show_messages(const char *from, uint32_t n, struct wire_answer *answer)
{
	struct wire_msg *const to = at_offset(HEAD->text.at);

	answer->uffd.msgs.at = HEAD->text.at;
	answer->uffd.msgs.len = n;
	if (HEAD->text.at + n * sizeof(*to) > HEAD->size)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		tell_message(&to[i], (const struct uffd_msg *)from + i);
	HEAD->text.at += n * (uint32_t)sizeof(*to);
	return 0;
}

static uint32_t readable_uffds(void)
{
	struct poll_fd p[WIRE_UFFDS];
	uint32_t out = 0;

	for (uint32_t i = 0; i < WIRE_UFFDS; i++) {
		p[i].fd = is_open(i) ? HEAD->uffd.fd[i] : -1;
		p[i].events = 1;
		p[i].found = 0;
	}
	sys3(__NR_poll, (uint64_t)p, WIRE_UFFDS, 0);
	for (uint32_t i = 0; i < WIRE_UFFDS; i++)
		out |= (uint32_t)(p[i].found & 1) << i;
	return out;
}

#endif
