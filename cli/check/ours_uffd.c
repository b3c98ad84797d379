/* SPDX-License-Identifier: MIT */
/*
 * The library's side of the check: requests of userfaultfds, and messages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <samara/uffd.h>

#include "check/lanes.h"
#include "check/pattern.h"

#define UNWRITTEN 99
#define NO_NUMBER (~UINT64_C(0))

bool ours_uffd_open(const struct lanes *all, uint64_t number)
{
	return number < WIRE_UFFDS && all->uffd[number];
}

/* Gets the least number that is free, and is closed where none is. */
static uint64_t keep_uffd(struct lanes *all, struct samara_uffd *uffd, unsigned int process)
{
	for (uint64_t i = 0; i < WIRE_UFFDS; i++) {
		if (all->uffd[i])
			continue;
		all->uffd[i] = uffd;
		all->of[i] = process;
		return i;
	}
	samara_uffd_put(uffd);
	return NO_NUMBER;
}

static long create(struct lane *lane, struct lanes *all, unsigned int process)
{
	struct samara_uffd *uffd;
	int room = 0, err;

	while (room < (int)WIRE_UFFDS && all->uffd[room])
		room++;
	if (room == WIRE_UFFDS)
		return WIRE_NO_ROOM;
	err = samara_uffd_create(lane->call.view.mm, (int)lane->call.op.arg[0] | O_NONBLOCK, &uffd);
	return err ? err : (long)keep_uffd(all, uffd, process);
}

static long api(struct lane *lane, struct samara_uffd *uffd)
{
	const uint64_t *const a = lane->call.op.arg;
	struct uffdio_api arg = { .api = a[1], .features = a[2], .ioctls = UNWRITTEN };
	const int ret = samara_uffd_ioctl(uffd, UFFDIO_API, &arg);

	lane->call.out[0] = (int64_t)arg.features;
	lane->call.out[1] = (int64_t)arg.ioctls;
	return ret;
}

/* Requests with a range, a mode and what was done. */
static long range(struct lane *lane, struct samara_uffd *uffd, unsigned long request)
{
	const uint64_t *const a = lane->call.op.arg;
	uint64_t arg[4] = { a[1], a[2], a[3], UNWRITTEN };
	const int ret = samara_uffd_ioctl(uffd, request, arg);

	lane->call.out[0] = (int64_t)arg[3];
	return ret;
}

static long copy(struct lane *lane, struct samara_uffd *uffd, unsigned long request)
{
	static uint64_t from[WIRE_COPY / 8]; /* one lane copies at a time: it does not sleep */
	const uint64_t *const a = lane->call.op.arg;
	uint64_t arg[5] = { a[1], a[3], a[2], a[4], UNWRITTEN };
	int ret;

	if (request == UFFDIO_COPY) {
		samara_uffd_source(uffd, a[3] < WIRE_PATTERNS ? NULL : lane->call.view.mm);
		if (a[3] < WIRE_PATTERNS) {
			pattern_fill(from, a[1] & -8UL, a[2] < WIRE_COPY ? a[2] : WIRE_COPY, a[3]);
			arg[1] = (uint64_t)(uintptr_t)from;
		}
	}
	ret = samara_uffd_ioctl(uffd, request, arg);
	lane->call.out[0] = (int64_t)arg[4];
	return ret;
}

/*
 * One by one, up to an event: the call that has waited for its being read may queue the next at any
 * time.
 */
static long read_messages(struct lane *lane, struct samara_uffd *uffd)
{
	const uint64_t n = lane->call.op.arg[1] < WIRE_MSGS ? lane->call.op.arg[1] : WIRE_MSGS;
	struct uffd_msg *const msg = lane->call.msgs;
	uint64_t done = 0;
	long ret;

	do {
		ret = samara_uffd_read(uffd, &msg[done], n ? 1 : 0);
		done += ret == sizeof(*msg);
	} while (ret == sizeof(*msg) && done < n && msg[done - 1].event == UFFD_EVENT_PAGEFAULT);
	return done ? (long)(done * sizeof(*msg)) : ret;
}

long ours_uffd_call(struct lane *lane, struct lanes *all, unsigned int process)
{
	const uint64_t *const a = lane->call.op.arg;
	struct samara_uffd *uffd;

	if (lane->call.op.nr == OP_UFFD_CREATE)
		return create(lane, all, process);
	if (!ours_uffd_open(all, a[0]))
		return WIRE_NO_UFFD;
	uffd = all->uffd[a[0]];
	switch (lane->call.op.nr) {
	case OP_UFFD_CLOSE:
		all->uffd[a[0]] = NULL;
		samara_uffd_put(uffd);
		return 0;
	case OP_UFFD_API:
		return api(lane, uffd);
	case OP_UFFD_REGISTER:
		return range(lane, uffd, UFFDIO_REGISTER);
	case OP_UFFD_UNREGISTER:
		return range(lane, uffd, UFFDIO_UNREGISTER);
	case OP_UFFD_COPY:
		return copy(lane, uffd, UFFDIO_COPY);
	case OP_UFFD_ZEROPAGE:
		return range(lane, uffd, UFFDIO_ZEROPAGE);
	case OP_UFFD_CONTINUE:
		return range(lane, uffd, UFFDIO_CONTINUE);
	case OP_UFFD_POISON:
		return range(lane, uffd, UFFDIO_POISON);
	case OP_UFFD_MOVE:
		return copy(lane, uffd, UFFDIO_MOVE);
	case OP_UFFD_WRITEPROTECT:
		return range(lane, uffd, UFFDIO_WRITEPROTECT);
	case OP_UFFD_WAKE:
		return range(lane, uffd, UFFDIO_WAKE);
	default:
		return read_messages(lane, uffd);
	}
}

/* messages --------------------------------------------------------------------------- */

static uint64_t cell_of_thread(const struct lanes *all, unsigned int tid)
{
	for (uint64_t i = 0; i < WIRE_CELLS; i++)
		if (tid && all->lane[i].runs && all->lane[i].tid == (int)tid)
			return i + 1;
	return tid ? NO_NUMBER : 0;
}

/* The child's of a fork, which is under way: it sleeps until its event is read. */
static uint64_t take_child(struct ours *o, const struct lane *lane, const struct uffd_msg *msg)
{
	struct samara_uffd *child;

	if (samara_uffd_forked(o->procs.lanes->uffd[lane->call.op.arg[0]], msg, &child))
		return NO_NUMBER - 1;
	return keep_uffd(o->procs.lanes, child, o->procs.n);
}

static void tell(struct ours *o, const struct lane *lane, const struct uffd_msg *msg,
		 struct wire_msg *to)
{
	*to = (struct wire_msg){ .event = msg->event,
				 .arg = { msg->arg.reserved.reserved1, msg->arg.reserved.reserved2,
					  msg->arg.reserved.reserved3 } };
	if (msg->event == UFFD_EVENT_PAGEFAULT)
		*to = (struct wire_msg){
			.event = msg->event,
			.arg = { msg->arg.pagefault.address, msg->arg.pagefault.flags,
				 cell_of_thread(o->procs.lanes, msg->arg.pagefault.feat.ptid) }
		};
	else if (msg->event == UFFD_EVENT_FORK)
		*to = (struct wire_msg){ .event = msg->event, .arg = { take_child(o, lane, msg) } };
	else if (msg->event != UFFD_EVENT_REMAP)
		to->arg[2] = 0;
}

int ours_uffd_messages(struct ours *o, const struct lane *lane, size_t n, struct seen *seen)
{
	struct wire_msg *to;

	if (!ours_room(o, 8))
		return -ENOMEM;
	o->text.len = (o->text.len + 7) & ~7UL;
	to = (struct wire_msg *)(void *)ours_room(o, n * sizeof(*to));
	if (!to)
		return -ENOMEM;
	seen->uffd.msgs_at = o->text.len;
	seen->uffd.n_msgs = n;
	for (size_t i = 0; i < n; i++)
		tell(o, lane, &lane->call.msgs[i], &to[i]);
	if (seen->uffd.any_order)
		sort_faults(to, n);
	o->text.len += n * sizeof(*to);
	return 0;
}

uint32_t ours_uffd_readable(const struct lanes *all)
{
	struct pollfd p[WIRE_UFFDS];
	uint32_t out = 0;

	for (unsigned int i = 0; i < WIRE_UFFDS; i++)
		p[i] = (struct pollfd){ .fd = all->uffd[i] ? samara_uffd_fd(all->uffd[i]) : -1,
					.events = POLLIN };
	poll(p, WIRE_UFFDS, 0);
	for (unsigned int i = 0; i < WIRE_UFFDS; i++)
		out |= (uint32_t)(p[i].revents & POLLIN) << i;
	return out;
}

void ours_uffd_close_all(struct lanes *all)
{
	for (unsigned int i = 0; i < WIRE_UFFDS; i++) {
		samara_uffd_put(all->uffd[i]);
		all->uffd[i] = NULL;
	}
}
