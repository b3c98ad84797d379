/* SPDX-License-Identifier: MIT */
/*
 * Sequences with userfaultfds: the process that runs the sequence only directs. Each process that
 * is compared has WIRE_LANES threads, which make the calls. One call is begun at a time; it is
 * answered when it is done, or when it sleeps for a userfaultfd's handler (/proc/PID/wchan tells).
 * Then other lanes make the calls that follow, and what ends its sleep is one of those. So all
 * comes in the same order each time.
 *
 *   serve() --> director --> process 0: lane 0, 1, 2
 *                       '--> process 1: ...            one table of descriptors for all of these
 *
 * Part of child.c.
 */
#ifndef CLI_CHECK_CHILD_LANES_H
#define CLI_CHECK_CHILD_LANES_H

#include "pages.h"
#include "scan.h"
#include "uffd.h"

#define CLONE_VM_ 0x100UL
#define CLONE_FS_ 0x200UL
#define CLONE_FILES_ 0x400UL
#define CLONE_SIGHAND_ 0x800UL
#define CLONE_PARENT_ 0x8000UL
#define CLONE_THREAD_ 0x10000UL
#define CLONE_SYSVSEM_ 0x40000UL
#define FIRST_CELL 2 /* its stack */
#define SIGNAL_KILL 9
#define ALL_KINDS 0x40000000UL /* __WALL */
#define GLANCE 300000UL        /* nanoseconds between looks at whether a lane sleeps */

static void lane_main(void);

static struct wire_op *op_at(uint32_t nr)
{
	return (struct wire_op *)at_offset(WIRE_OPS_AT) + nr;
}

static long spawn_lane(uint32_t cell, uint64_t flags)
{
	return spawn_on(stack_top(FIRST_CELL + cell), flags, lane_main);
}

/* In a lane: a new process, whose first lane goes on. Its number in the system, or -errno. */
static long fork_with_lanes(void)
{
	const uint32_t nr = HEAD->procs.forks + 1;

	HEAD->procs.parent[nr] = HEAD->procs.parent[0];
	return spawn_lane(nr * WIRE_LANES, CLONE_FILES_ | CLONE_PARENT_ | SIGNAL_CHILD);
}

static void lane_begin(uint32_t nr, uint32_t lane)
{
	volatile struct wire_cell *const cell = &HEAD->cell[nr * WIRE_LANES + lane];

	if (!lane) {
		end_with_parent(nr);
		sys3(__NR_prctl, SET_PTRACER, ANYBODY, 0);
		if (nr == 0 && HEAD->asked.no_huge)
			sys4(__NR_prctl, NO_HUGE_PAGES, 1, 0, 0);
		for (uint32_t i = 1; i < WIRE_LANES; i++)
			spawn_lane(nr * WIRE_LANES + i, CLONE_VM_ | CLONE_FS_ | CLONE_FILES_ |
								CLONE_SIGHAND_ | CLONE_THREAD_ |
								CLONE_SYSVSEM_);
	}
	cell->tid = (int32_t)sys3(__NR_gettid, 0, 0, 0);
	cell->ready = 1;
}

static void lane_main(void)
{
	const uint32_t nr = my_stack() - FIRST_CELL;
	volatile struct wire_cell *const cell = &HEAD->cell[nr];

	lane_begin(nr / WIRE_LANES, nr % WIRE_LANES);
	for (;;) {
		const struct wire_op *op;
		uint32_t now;

		while ((now = cell->state) != CELL_CALLED)
			sys4(__NR_futex, (uint64_t)&cell->state, FUTEX_WAIT, now, 0);
		op = op_at(cell->op);
		ACCESS.fault.signo = ACCESS.fault.code = 0;
		ACCESS.fault.at = 0;
		cell->out[0] = cell->out[1] = 0;
		cell->ret = is_uffd(op->nr) ? uffd_call(op, cell, nr / WIRE_LANES) :
					      lane_perform(op, cell);
		cell->fault.signo = ACCESS.fault.signo;
		cell->fault.code = ACCESS.fault.code;
		cell->fault.at = ACCESS.fault.at;
		__atomic_store_n(&cell->state, CELL_DONE, __ATOMIC_RELEASE);
		sys3(__NR_futex, (uint64_t)&cell->state, FUTEX_WAKE, 1);
	}
}

/* the director ------------------------------------------------------------------------ */

struct director {
	long maps[WIRE_LANE_FORKS + 1];
	long wchan[WIRE_CELLS];
};

static __attribute__((noreturn)) void all_end(int bad)
{
	int status;

	for (uint32_t i = 0; i <= HEAD->procs.forks; i++)
		if (HEAD->procs.pid[i])
			sys3(__NR_kill, (uint64_t)HEAD->procs.pid[i], SIGNAL_KILL, 0);
	while (sys4(__NR_wait4, ~0UL, (uint64_t)&status, ALL_KINDS, 0) != -10 /* ECHILD */)
		;
	leave(bad);
}

static void end_if_one_died(void)
{
	int status;

	if (sys4(__NR_wait4, ~0UL, (uint64_t)&status, NO_HANG | ALL_KINDS, 0) > 0)
		all_end(1);
}

/* Until *word is value; what sets it wakes, or does not. */
static void wait_until_ready(volatile uint32_t *word)
{
	const uint64_t nap[2] = { 0, 50000 };

	while (!*word) {
		sys3(__NR_nanosleep, (uint64_t)nap, 0, 0);
		end_if_one_died();
	}
}

/* All of process nr's lanes can be called. */
static void await_process(struct director *d, uint32_t nr, long pid)
{
	HEAD->procs.pid[nr] = (int32_t)pid;
	HEAD->procs.forks = nr;
	for (uint32_t i = 0; i < WIRE_LANES; i++)
		wait_until_ready(&HEAD->cell[nr * WIRE_LANES + i].ready);
	d->maps[nr] = open_of((int32_t)pid, "maps");
}

static void path_of_thread(char *to, int32_t tid)
{
	static const char *const task = "task/", *const leaf = "/wchan";
	char digits[12];
	int n = 0;

	for (const char *at = task; *at;)
		*to++ = *at++;
	for (; tid; tid /= 10)
		digits[n++] = (char)('0' + tid % 10);
	while (n)
		*to++ = digits[--n];
	for (const char *at = leaf; *at;)
		*to++ = *at++;
	*to = 0;
}

/* Where the kernel has it asleep. 0: nowhere, or not for a handler. */
static int is_asleep(struct director *d, uint32_t nr)
{
	static const char *const places[] = { "handle_userfault",
					      "userfaultfd_event_wait_completion" };
	char text[64];
	long len;

	if (!d->wchan[nr]) {
		path_of_thread(text, HEAD->cell[nr].tid);
		d->wchan[nr] = open_of(HEAD->procs.pid[nr / WIRE_LANES], text);
	}
	len = sys4(__NR_pread64, (uint64_t)d->wchan[nr], (uint64_t)text, sizeof(text), 0);
	for (uint32_t i = 0; len > 0 && i < 2; i++)
		if (begins_with(text, text + len, places[i]))
			return 1;
	return 0;
}

/* The call of a lane is done, or sleeps. */
static void settle(struct director *d, uint32_t nr)
{
	const uint64_t glance[2] = { 0, GLANCE };
	volatile struct wire_cell *const cell = &HEAD->cell[nr];

	if (cell->state != CELL_CALLED || (cell->asleep && is_asleep(d, nr)))
		return;
	do {
		sys4(__NR_futex, (uint64_t)&cell->state, FUTEX_WAIT, CELL_CALLED, (uint64_t)glance);
		if (cell->state != CELL_CALLED)
			return;
		end_if_one_died();
	} while (!is_asleep(d, nr));
}

/* Twice: what one does last may end the sleep of another. */
static void settle_all(struct director *d)
{
	for (uint32_t i = 0; i < 2 * WIRE_CELLS; i++)
		settle(d, i % WIRE_CELLS);
}

/* Which process makes op: requests are made by the one that they are about. */
static uint32_t maker_of(const struct wire_op *op)
{
	if (is_uffd(op->nr) && op->nr != OP_UFFD_CREATE && is_open(op->arg[0]) &&
	    HEAD->uffd.of[op->arg[0]] <= HEAD->procs.forks)
		return HEAD->uffd.of[op->arg[0]];
	return HEAD->procs.now;
}

static uint32_t lane_of(const struct wire_op *op)
{
	return (op->look >> LOOK_LANE_SHIFT) % WIRE_LANES;
}

static int is_fork(const struct wire_op *op)
{
	return op->nr == OP_FORK || op->nr == OP_FORK_STAY;
}

/* A call is done. Its answer; late: it slept. */
static long finish_call(struct director *d, uint32_t nr, int late)
{
	volatile struct wire_cell *const cell = &HEAD->cell[nr];
	const struct wire_op *const op = op_at(cell->op);

	cell->state = CELL_IDLE;
	cell->asleep = 0;
	if (!is_fork(op))
		return cell->ret;
	HEAD->uffd.forking = 0;
	if (cell->ret > 0) {
		await_process(d, HEAD->procs.forks + 1, cell->ret);
		if (op->nr == OP_FORK && !late)
			HEAD->procs.now = HEAD->procs.forks;
		cell->ret = 0;
	}
	return cell->ret;
}

/* Those that slept and are done. 0, or -1: no more room. */
static int show_late(struct director *d, struct wire_answer *answer)
{
	struct wire_late *const to = at_offset(HEAD->text.at);
	uint32_t n = 0;

	answer->uffd.late.at = HEAD->text.at;
	if (HEAD->text.at + WIRE_CELLS * sizeof(*to) > HEAD->size)
		return -1;
	for (uint32_t i = 0; i < WIRE_CELLS; i++) {
		volatile struct wire_cell *const cell = &HEAD->cell[i];

		if (!cell->asleep || cell->state != CELL_DONE)
			continue;
		to[n].cell = i;
		to[n].pad = 0;
		to[n].ret = finish_call(d, i, 1);
		to[n].fault.signo = cell->fault.signo;
		to[n].fault.code = cell->fault.code;
		to[n].fault.at = cell->fault.at;
		n++;
	}
	answer->uffd.late.len = n;
	HEAD->text.at += n * (uint32_t)sizeof(*to);
	return 0;
}

/* Where a call is made at all. 0, or the answer of one that is not. */
static long may_be_made(const struct wire_op *op, uint32_t nr)
{
	if (HEAD->cell[nr].asleep)
		return WIRE_BUSY;
	if (op->nr == OP_DROP_CAPS)
		return -1; /* of a thread */
	if (!is_fork(op))
		return 0;
	if (HEAD->uffd.forking)
		return WIRE_BUSY;
	if (HEAD->procs.forks == WIRE_LANE_FORKS)
		return -11;
	HEAD->uffd.forking = nr + 1;
	return 0;
}

/* The answer of op, or WIRE_ASLEEP. */
static long direct_call(struct director *d, const struct wire_op *op, struct wire_answer *answer)
{
	const uint32_t nr = maker_of(op) * WIRE_LANES + lane_of(op);
	volatile struct wire_cell *const cell = &HEAD->cell[nr];
	long ret = may_be_made(op, nr);

	if (ret)
		return ret;
	cell->op = HEAD->result.done;
	cell->state = CELL_CALLED;
	sys3(__NR_futex, (uint64_t)&cell->state, FUTEX_WAKE, 1);
	settle(d, nr);
	settle_all(d);
	if (cell->state == CELL_CALLED) {
		cell->asleep = 1;
		return WIRE_ASLEEP;
	}
	answer->fault.signo = cell->fault.signo;
	answer->fault.code = cell->fault.code;
	answer->fault.at = cell->fault.at;
	answer->uffd.out[0] = cell->out[0];
	answer->uffd.out[1] = cell->out[1];
	ret = finish_call(d, nr, 0);
	if (op->nr == OP_UFFD_READ && ret > 0 &&
	    show_messages(buffer_of(FIRST_CELL + nr), (uint32_t)ret / sizeof(struct uffd_msg),
			  answer))
		HEAD->result.full = 1;
	return ret;
}

static long direct(struct director *d, const struct wire_op *op, struct wire_answer *answer)
{
	volatile struct wire_cell *cell;

	if (op->nr == OP_SWITCH) {
		if (op->arg[0] > HEAD->procs.forks)
			return -3;
		HEAD->procs.now = (uint32_t)op->arg[0];
		return 0;
	}
	if (op->nr != OP_RESULT)
		return direct_call(d, op, answer);
	cell = &HEAD->cell[HEAD->procs.now * WIRE_LANES + op->arg[0] % WIRE_LANES];
	if (cell->asleep)
		return WIRE_ASLEEP;
	answer->fault.signo = cell->fault.signo;
	answer->fault.code = cell->fault.code;
	answer->fault.at = cell->fault.at;
	return cell->ret;
}

/* The next call. 0, or -1 when the sequence goes no further. */
static int direct_step(struct director *d)
{
	const struct wire_op *const op = op_at(HEAD->result.done);
	struct wire_answer *const answer =
		(struct wire_answer *)at_offset(HEAD->asked.answers_at) + HEAD->result.done;

	if (HEAD->result.done == HEAD->asked.n_ops)
		return -1;
	answer->fault.signo = answer->fault.code = 0;
	answer->fault.at = 0;
	answer->uffd.out[0] = answer->uffd.out[1] = 0;
	answer->uffd.msgs.len = 0;
	answer->ret = direct(d, op, answer);
	answer->uffd.readable = readable_uffds();
	if (show_late(d, answer) || show(d->maps[HEAD->procs.now], op, answer))
		HEAD->result.full = 1;
	if (HEAD->result.full)
		return -1;
	HEAD->result.done++;
	return 0;
}

static void clear(volatile void *what, uint64_t size)
{
	volatile uint64_t *to = what;

	for (; size; size -= 8)
		*to++ = 0;
}

static void run_director(void)
{
	struct director d;
	long pid;

	end_with_parent(0);
	sys3(__NR_prctl, SET_PTRACER, ANYBODY, 0);
	clear(&d, sizeof(d));
	clear(HEAD->cell, sizeof(HEAD->cell));
	clear(&HEAD->uffd, sizeof(HEAD->uffd));
	HEAD->procs.parent[0] = (int32_t)sys3(__NR_getpid, 0, 0, 0);
	pid = spawn_lane(0, CLONE_FILES_ | SIGNAL_CHILD);
	if (pid < 0)
		leave(1);
	await_process(&d, 0, pid);
	while (!direct_step(&d))
		;
	all_end(0);
}

#endif
