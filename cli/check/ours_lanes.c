/* SPDX-License-Identifier: MIT */
/*
 * The library's side of sequences with userfaultfds: each lane of each process (wire.h) is a
 * thread, which makes one call after the other. As on the host a call is answered when it is done,
 * or when it sleeps for a handler (lane_look.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check/lanes.h"

#define GLANCE 200000L /* nanoseconds between looks at whether a lane sleeps */
#define SECOND 1000000000L

/* the threads ------------------------------------------------------------------------ */

static void make_call(struct lane *lane, struct lanes *all)
{
	const unsigned int process = (unsigned int)(lane - all->lane) / WIRE_LANES;

	lane->call.out[0] = lane->call.out[1] = lane->call.vec = 0;
	if (is_uffd(lane->call.op.nr))
		lane->call.ret = ours_uffd_call(lane, all, process);
	else if (lane->call.op.nr == OP_FORK || lane->call.op.nr == OP_FORK_STAY)
		lane->call.ret = samara_fork(lane->call.view.mm, &lane->call.child);
	else
		lane->call.ret = ours_lane_perform(lane);
}

struct start {
	struct lanes *all;
	struct lane *lane;
};

static void *lane_main(void *arg)
{
	struct start *const start = arg;
	struct lanes *const all = start->all;
	struct lane *const lane = start->lane;

	free(start);
	lane_find_stack(lane);
	pthread_mutex_lock(&all->lock);
	lane->tid = gettid();
	lane->runs = true;
	pthread_cond_signal(&all->done);
	for (;;) {
		while (lane->state != LANE_CALLED && lane->state != LANE_OVER)
			pthread_cond_wait(&lane->called, &all->lock);
		if (lane->state == LANE_OVER)
			break;
		lane->state = LANE_BUSY;
		pthread_mutex_unlock(&all->lock);
		make_call(lane, all);
		pthread_mutex_lock(&all->lock);
		lane->state = LANE_DONE;
		pthread_cond_signal(&all->done);
	}
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

/* 0 or -errno. */
static int lane_start(struct lanes *all, struct lane *lane)
{
	struct start *const start = malloc(sizeof(*start));
	int err;

	if (!start)
		return -ENOMEM;
	*start = (struct start){ all, lane };
	err = pthread_create(&lane->thread, NULL, lane_main, start);
	if (err) {
		free(start);
		return -err;
	}
	pthread_mutex_lock(&all->lock);
	while (!lane->runs)
		pthread_cond_wait(&all->done, &all->lock);
	pthread_mutex_unlock(&all->lock);
	lane_look_open(lane);
	return 0;
}

/* until it is done, or sleeps ----------------------------------------------------------- */

static void wait_a_moment(struct lanes *all)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += GLANCE;
	until.tv_sec += until.tv_nsec / SECOND;
	until.tv_nsec %= SECOND;
	pthread_cond_timedwait(&all->done, &all->lock, &until);
}

static bool is_under_way(const struct lane *lane)
{
	return lane->state == LANE_CALLED || lane->state == LANE_BUSY;
}

/*
 * Its call is done, or sleeps. One that does neither for so many seconds is a fault of the library:
 * the process ends, and the check tells in which call.
 */
static void settle(struct ours *o, struct lane *lane)
{
	struct lanes *const all = o->procs.lanes;
	const time_t end = time(NULL) + (time_t)o->set.patience;
	bool look = lane->asleep, asleep = false;

	pthread_mutex_lock(&all->lock);
	while (is_under_way(lane) && !asleep) {
		if (look && lane->state == LANE_BUSY) {
			pthread_mutex_unlock(&all->lock);
			asleep = lane_is_asleep(lane, all);
			pthread_mutex_lock(&all->lock);
		}
		if (is_under_way(lane) && !asleep)
			wait_a_moment(all);
		if (time(NULL) > end)
			abort();
		look = true;
	}
	pthread_mutex_unlock(&all->lock);
}

/* The same, where nothing may sleep any more. */
static void await_end(struct ours *o, struct lane *lane)
{
	const time_t end = time(NULL) + (time_t)o->set.patience;

	pthread_mutex_lock(&o->procs.lanes->lock);
	while (is_under_way(lane)) {
		wait_a_moment(o->procs.lanes);
		if (time(NULL) > end)
			abort();
	}
	pthread_mutex_unlock(&o->procs.lanes->lock);
}

/* Twice: what one does last may end the sleep of another. */
static void settle_all(struct ours *o)
{
	for (unsigned int i = 0; i < 2 * WIRE_CELLS; i++)
		if (o->procs.lanes->lane[i % WIRE_CELLS].runs)
			settle(o, &o->procs.lanes->lane[i % WIRE_CELLS]);
}

/*
 * Lanes that one call has woken ran at the same time: which of them slept first, and so whose
 * message is the older one, is not determined, neither here nor on the host.
 */
static void note_sleepers(struct lanes *all)
{
	uint32_t ran = 0, asleep = 0;

	for (unsigned int i = 0; i < WIRE_CELLS; i++) {
		struct lane *const lane = &all->lane[i];

		if (!lane->runs || lane->state != LANE_BUSY)
			continue;
		asleep |= 1U << i;
		if (lane_has_run(lane))
			ran |= 1U << i;
	}
	for (unsigned int i = 0; i < WIRE_CELLS; i++) {
		const uint32_t this = 1U << i;

		if (ran & this)
			all->lane[i].together |= ran & ~this;
		all->lane[i].together &= asleep & this ? asleep : 0;
	}
}

/* Messages of lanes that sleep may be in any order. */
static bool is_any_order(const struct lanes *all)
{
	for (unsigned int i = 0; i < WIRE_CELLS; i++)
		if (all->lane[i].together)
			return true;
	return false;
}

/* calls ------------------------------------------------------------------------------ */

/* Which process makes op: requests are made by the one that they are about. */
static unsigned int maker_of(const struct ours *o, const struct wire_op *op)
{
	const struct lanes *const all = o->procs.lanes;

	if (is_uffd(op->nr) && op->nr != OP_UFFD_CREATE && ours_uffd_open(all, op->arg[0]) &&
	    all->of[op->arg[0]] < o->procs.n)
		return all->of[op->arg[0]];
	return o->procs.now;
}

struct samara_mm *ours_mm_of(const struct ours *o, const struct wire_op *op)
{
	return o->procs.at[maker_of(o, op)].mm;
}

static bool is_fork(const struct wire_op *op)
{
	return op->nr == OP_FORK || op->nr == OP_FORK_STAY;
}

/* A call is done; late: it slept. Its answer. */
static long finish_call(struct ours *o, struct lane *lane, bool late)
{
	struct lanes *const all = o->procs.lanes;

	lane->state = LANE_IDLE;
	lane->asleep = false;
	if (!is_fork(&lane->call.op))
		return lane->call.ret;
	all->forking = false;
	if (lane->call.ret)
		return lane->call.ret;
	o->procs.at[o->procs.n] = (struct proc){ .mm = lane->call.child };
	if (lane->call.op.nr == OP_FORK && !late) {
		o->procs.now = o->procs.n;
		o->mm = lane->call.child;
	}
	o->procs.n++;
	return 0;
}

static void keep_fault(const struct lane *lane, struct samara_fault *to)
{
	*to = lane->call.view.fault;
	if (to->code == SI_KERNEL)
		to->addr = 0; /* as si_addr */
}

/* Those that slept and are done. 0 or -ENOMEM. */
static int keep_late(struct ours *o, struct seen *seen)
{
	struct wire_late *to;

	if (!ours_room(o, 8))
		return -ENOMEM;
	o->text.len = (o->text.len + 7) & ~7UL;
	to = (struct wire_late *)(void *)ours_room(o, WIRE_CELLS * sizeof(*to));
	if (!to)
		return -ENOMEM;
	seen->uffd.late_at = o->text.len;
	for (unsigned int i = 0; i < WIRE_CELLS; i++) {
		struct lane *const lane = &o->procs.lanes->lane[i];
		struct samara_fault fault;

		if (!lane->asleep || lane->state != LANE_DONE)
			continue;
		keep_fault(lane, &fault);
		to[seen->uffd.n_late++] = (struct wire_late){
			.cell = i,
			.ret = finish_call(o, lane, true),
			.fault = { .signo = fault.signo, .code = fault.code, .at = fault.addr },
		};
	}
	o->text.len += seen->uffd.n_late * sizeof(*to);
	return 0;
}

/* Where a call is made at all. 0, or the answer of one that is not. */
static long may_be_made(struct ours *o, const struct wire_op *op, const struct lane *lane)
{
	if (lane->asleep)
		return WIRE_BUSY;
	if (op->nr == OP_DROP_CAPS)
		return -EPERM;
	if (!is_fork(op))
		return 0;
	if (o->procs.lanes->forking)
		return WIRE_BUSY;
	if (o->procs.n > WIRE_LANE_FORKS)
		return -EAGAIN;
	o->procs.lanes->forking = true;
	return 0;
}

static int call(struct ours *o, const struct wire_op *op, struct seen *seen)
{
	struct lanes *const all = o->procs.lanes;
	const unsigned int maker = maker_of(o, op);
	struct lane *const lane = &all->lane[maker * WIRE_LANES + op_lane(op)];
	int err = lane->runs ? 0 : lane_start(all, lane);

	if (err)
		return err;
	seen->ret = may_be_made(o, op, lane);
	if (seen->ret)
		return 0;
	lane->call.op = *op;
	lane->call.view = *o;
	lane->call.view.mm = o->procs.at[maker].mm;
	lane->call.view.fault = (struct samara_fault){ 0 };
	pthread_mutex_lock(&all->lock);
	lane->state = LANE_CALLED;
	pthread_cond_signal(&lane->called);
	pthread_mutex_unlock(&all->lock);
	settle(o, lane);
	settle_all(o);
	note_sleepers(all);
	lane->asleep = lane->state != LANE_DONE;
	seen->ret = WIRE_ASLEEP;
	if (lane->asleep)
		return 0;
	keep_fault(lane, &seen->fault);
	memcpy(seen->uffd.out, lane->call.out, sizeof(lane->call.out));
	seen->vec = lane->call.vec;
	seen->ret = finish_call(o, lane, false);
	if (op->nr == OP_UFFD_READ && seen->ret > 0)
		return ours_uffd_messages(o, lane, (size_t)seen->ret / sizeof(struct uffd_msg),
					  seen);
	return 0;
}

/*
 * A part of messages that are in any order would be another part on the host: all are read then,
 * and they are compared as a set.
 */
static bool read_any_order(const struct ours *o, struct wire_op *op)
{
	if (op->nr != OP_UFFD_READ || !op->arg[1] || !is_any_order(o->procs.lanes))
		return false;
	op->arg[1] = WIRE_MSGS;
	return true;
}

int ours_lanes_do(struct ours *o, struct wire_op *op, struct seen *seen)
{
	const struct lane *lane;
	int err = 0;

	*seen = (struct seen){ .uffd.nr = is_uffd(op->nr) || op->nr == OP_SCAN ? op->nr : 0,
			       .uffd.any_order = read_any_order(o, op) };
	if (op->nr == OP_SWITCH) {
		seen->ret = ours_switch_to(o, op->arg[0]);
	} else if (op->nr == OP_RESULT) {
		lane = &o->procs.lanes->lane[o->procs.now * WIRE_LANES + op->arg[0] % WIRE_LANES];
		seen->ret = lane->asleep ? WIRE_ASLEEP : lane->call.ret;
		if (!lane->asleep)
			keep_fault(lane, &seen->fault);
	} else {
		err = call(o, op, seen);
	}
	seen->uffd.readable = ours_uffd_readable(o->procs.lanes);
	return err ? err : keep_late(o, seen);
}

uint32_t ours_asleep(const struct ours *o)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; o->procs.lanes && i < WIRE_CELLS; i++)
		bits |= (uint32_t)o->procs.lanes->lane[i].asleep << i;
	return bits;
}

/* sequences -------------------------------------------------------------------------- */

int ours_lanes_begin(struct ours *o)
{
	if (!o->procs.lanes) {
		o->procs.lanes = calloc(1, sizeof(*o->procs.lanes));
		if (!o->procs.lanes)
			return -ENOMEM;
		pthread_mutex_init(&o->procs.lanes->lock, NULL);
		pthread_cond_init(&o->procs.lanes->done, NULL);
		for (unsigned int i = 0; i < WIRE_CELLS; i++)
			pthread_cond_init(&o->procs.lanes->lane[i].called, NULL);
	}
	for (unsigned int i = 0; i < WIRE_CELLS; i++) {
		o->procs.lanes->lane[i].call.ret = 0;
		o->procs.lanes->lane[i].together = 0;
		o->procs.lanes->lane[i].call.view.fault = (struct samara_fault){ 0 };
	}
	return 0;
}

/* No lane sleeps any more, and the children of forks that slept are processes too. */
void ours_lanes_end(struct ours *o)
{
	if (!o->procs.lanes)
		return;
	ours_uffd_close_all(o->procs.lanes);
	for (unsigned int i = 0; i < WIRE_CELLS; i++) {
		struct lane *const lane = &o->procs.lanes->lane[i];

		await_end(o, lane);
		if (lane->asleep)
			finish_call(o, lane, true);
	}
}

void ours_lanes_close(struct ours *o)
{
	struct lanes *const all = o->procs.lanes;

	if (!all)
		return;
	for (unsigned int i = 0; i < WIRE_CELLS; i++) {
		struct lane *const lane = &all->lane[i];

		if (!lane->runs)
			continue;
		pthread_mutex_lock(&all->lock);
		lane->state = LANE_OVER;
		pthread_cond_signal(&lane->called);
		pthread_mutex_unlock(&all->lock);
		pthread_join(lane->thread, NULL);
		lane_look_close(lane);
	}
	free(all);
	o->procs.lanes = NULL;
}
