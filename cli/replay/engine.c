/* SPDX-License-Identifier: MIT */
/*
 * Events to processes and calls.
 *
 * Threads run beside each other, a trace is one line after the other. What a
 * line says has happened at some time between the call's entry and its end,
 * and three things follow:
 *
 *  - A child's first lines may come before the line that ends its parent's
 *    clone. As long as one clone only is under way its child is made at its
 *    first line; with several, the lines of a new thread wait (THREAD_WAITS_PARENT)
 *    until all of them but one have ended.
 *
 *  - Of two calls that overlap in one map, the one whose line comes first may
 *    have been done second. A call that does not get its recorded answer waits
 *    while another thread has a call under way there (THREAD_WAITS_CALL), and is
 *    tried again after it. A wrong mmap is taken back first. What cannot be taken
 *    back does not wait. Where the library chooses the addresses, the order has to be
 *    found before the calls are made: order.c.
 *
 *  - Snapshots are taken only while no memory call is under way (tools/capture),
 *    so nothing of that map is waiting when one is compared.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/engine.h"
#include "replay/steps.h"

#define MAX_WAITING 64 /* calls tried again after each one in their map; see replay_step() */

/* Several clones may be under way: whose child is a new thread? */
static struct thread *only_cloning(struct world *w)
{
	return w->threads.cloning.nr == 1 ? w->threads.cloning.head : NULL;
}

/* The thread of an event, made if it is new. NULL: no memory. */
static struct thread *thread_of(struct replay *r, const struct trace_event *ev)
{
	struct world *w = &r->world;
	struct thread *t = world_thread(w, ev->tid), *parent;

	if (!t && ev->tid == 0)
		t = world_only_thread(w);
	if (!t && ev->tid == 0 && w->processes.first)
		t = world_thread(w, w->processes.first->pid);
	if (t)
		return t;
	if (ev->kind == TRACE_SUPERSEDED && (parent = world_thread(w, ev->number)) &&
	    parent->process) {
		if (world_add_child(w, parent, 0x10100 /* a thread */, ev->tid, NULL))
			return NULL;
		return world_thread(w, ev->tid);
	}
	parent = r->how.unordered ? NULL : only_cloning(w);
	if (parent) {
		if (world_add_child(w, parent, parent->replayed.clone_flags, ev->tid, NULL))
			return NULL;
		thread_has_child(w, parent, ev->tid);
		return world_thread(w, ev->tid);
	}
	if (w->threads.cloning.nr)
		return world_add_orphan(w, ev->tid);
	t = world_thread(w, 0);
	if (t) /* strace began to write numbers: it is the process that had none */
		return world_rename(w, t, ev->tid);
	return world_add_root(w, ev->tid);
}

/* A clone has ended; its child may have been made, may wait, or is new. */
static int clone_ended(struct replay *r, struct thread *t, const struct step *st,
		       const struct call *c)
{
	int tid = (int)st->ev.result.value, early = t->replayed.child, err;
	struct thread *child = world_thread(&r->world, tid);

	t->replayed.child = 0;
	if (st->ev.result.kind != RESULT_VALUE || tid <= 0)
		return 0;
	if (early == tid)
		return 0;
	if (early)
		replay_bad_line(r, st->path, st->line, "another child than the one that has run");
	if (child && child->wait != THREAD_WAITS_PARENT) {
		world_thread_ends(&r->world, child); /* the number is used again */
		child = NULL;
	}
	t->vfork_child = (c->flags & 0x10100) == 0x100 ? tid : 0;
	err = world_add_child(&r->world, t, c->flags, tid, child);
	return err || !child ? err : run_waiting(r, tid, URGENCY_NONE);
}

static int exec_ended(struct replay *r, struct thread *t, struct step *st)
{
	struct process *p = t->process;
	char path[64];
	int err;

	if (st->ev.result.kind != RESULT_VALUE || st->ev.result.value != 0)
		return 0;
	err = world_exec(&r->world, t);
	if (err)
		return err;
	if (st->ev.call.nr_args && trace_string(st->ev.call.args[0], path, sizeof(path)) == 0) {
		const char *base = strrchr(path, '/');

		memccpy(p->command, base ? base + 1 : path, '\0', sizeof(p->command) - 1);
	}
	if (!st->snapshot)
		return 0;
	err = install_exec(&r->world, p, st->snapshot);
	t->replayed.writes = (struct map_range){ 0, ~0UL };
	if (err == -ENOMEM)
		return err;
	if (err)
		replay_tell(r,
			    "%s:%lu: %d: the recorded map after execve cannot be installed: %s\n",
			    st->path, st->line, p->pid, strerror(-err));
	return 0;
}

/* Is a call on t's map under way in another thread? t itself is in none. */
static bool others_busy(struct replay *r, const struct thread *t)
{
	if (!r->how.unordered)
		return t->process->space->calls.busy != 0;
	/* Any other thread may be at any place in its file. */
	for (struct thread *o = r->world.threads.all.head; o; o = o->link[LIST_ALL].next)
		if (o != t && o->process && o->process->space == t->process->space &&
		    o->wait == THREAD_RUNS)
			return true;
	return false;
}

/* The space that a call is about; prlimit64 may name another process. NULL: not traced. */
static struct space *space_of(struct replay *r, const struct thread *t, const struct call *c)
{
	const struct thread *named = t;

	if (c->kind == CALL_RLIMIT && c->id)
		named = world_thread(&r->world, c->id);
	return named && named->process ? named->process->space : NULL;
}

/* 0; 1: the step must wait. */
static int memory_call(struct replay *r, struct thread *t, struct step *st, struct call *c,
		       enum urgency urgency)
{
	struct attempt a = {
		.w = &r->world,
		.space = space_of(r, t, c),
		.call = c,
		.line = st->line,
		.recorded = st->ev.result.value,
		.place = r->how.place,
	};
	struct outcome out;

	if (st->ev.result.kind == RESULT_NONE || st->ev.result.kind == RESULT_RESTART || !a.space)
		return 0; /* it was never done, or its thread died in it */
	if (st->ev.result.kind == RESULT_ERROR)
		a.recorded = (unsigned long)-(long)st->ev.result.err;
	arch_settle(a.space->arch, c, &a.recorded, &r->world.arch.in_pages);
	if (c->kind == CALL_SHMGET)
		return st->ev.result.kind == RESULT_VALUE ?
			       world_shm_add(&r->world, (int)st->ev.result.value, c->id, c->len) :
			       0;
	if (urgency == URGENCY_NONE && order_must_wait(r, t, st, c))
		return 1;
	perform(&a, &out);
	if ((out.verdict == VERDICT_DIFFERS || out.verdict == VERDICT_REFUSED) && out.untouched &&
	    urgency != URGENCY_FORCE && others_busy(r, t))
		return 1;
	if (out.elsewhere) {
		a.accept = true;
		perform(&a, &out);
	}
	if (out.verdict == VERDICT_REFUSED)
		perform_refused_part(&a);
	t->replayed.writes = out.writable;
	space_dirty(&r->world, a.space);
	r->stats.calls++;
	t->process->count.calls++;
	r->stats.refused += out.verdict == VERDICT_REFUSED;
	if (out.verdict == VERDICT_NOT_MODELLED)
		replay_left_out(r, st->ev.call.name.at, st->ev.call.name.len);
	else if (c->left_out[0] && st->ev.result.kind == RESULT_VALUE)
		replay_left_out(r, c->left_out, strlen(c->left_out));
	r->stats.assumed += out.assumed;
	r->stats.moved += out.moved;
	if (out.verdict == VERDICT_REFUSED)
		replay_tell_call(r, st, t->process, out.got, TOLD_REFUSED);
	if (out.moved && !t->process->own_moved) {
		t->process->own_moved = true;
		replay_tell_call(r, st, t->process, out.got, TOLD_ADDRESS);
	}
	if (out.verdict == VERDICT_DIFFERS) {
		r->stats.call_diffs++;
		t->process->count.call_diffs++;
		replay_tell_call(r, st, t->process, out.got, TOLD_ANSWER);
	}
	return 0;
}

static int call_ended(struct replay *r, struct thread *t, struct step *st, enum urgency urgency)
{
	char why[120];
	struct call c;

	thread_in_call(&r->world, t, CALL_OTHER);
	if (!r->world.arch.given &&
	    world_set_arch(&r->world, t->process, arch_of_call(&st->ev, t->process->space->arch)))
		return -ENOMEM;
	if (call_decode(&st->ev, &c, why)) {
		replay_bad_call(r, st->path, st->line, &st->ev, why);
		return 0;
	}
	switch (c.kind) {
	case CALL_OTHER:
	case CALL_EXIT:
		return 0;
	case CALL_CLONE:
		return clone_ended(r, t, st, &c);
	case CALL_EXEC:
		return exec_ended(r, t, st);
	case CALL_FOREIGN:
		if (st->ev.result.kind == RESULT_VALUE)
			replay_left_out(r, c.left_out, strlen(c.left_out));
		return 0;
	default:
		return memory_call(r, t, st, &c, urgency);
	}
}

static void call_begins(struct replay *r, struct thread *t, const struct step *st)
{
	char why[120];
	struct call c;

	if (call_decode(&st->ev, &c, why)) {
		replay_bad_call(r, st->path, st->line, &st->ev, why);
		return;
	}
	t->replayed.clone_flags = c.flags;
	t->replayed.child = 0;
	thread_in_call(&r->world, t, c.kind);
}

/* One step of a thread that runs. 0; 1: it must wait for another call; -errno. */
static int handle(struct replay *r, struct thread *t, struct step *st, enum urgency urgency)
{
	int ret = 0, pid = t->process->pid;

	if (t->replayed.writes.end && st->ev.kind != TRACE_OTHER) {
		touch_writable(&r->world, t->process, t->replayed.writes);
		t->replayed.writes.end = 0;
	}
	switch (st->ev.kind) {
	case TRACE_CALL:
		ret = call_ended(r, t, st, urgency);
		break;
	case TRACE_ENTRY:
		call_begins(r, t, st);
		break;
	case TRACE_KILLED:
	case TRACE_EXITED:
		t->process->killed |= st->ev.kind == TRACE_KILLED;
		world_thread_ends(&r->world, t);
		break;
	case TRACE_SUPERSEDED:
		thread_in_call(&r->world, t, CALL_OTHER);
		break;
	case TRACE_MODE:
		if (!r->world.arch.given)
			ret = world_set_arch(&r->world, t->process,
					     arch_of_mode(st->ev.mode, t->process->space->arch));
		break;
	default:
		if (st->snapshot)
			ret = replay_compare(r, t->process, st);
	}
	if (ret == 0 && r->watch.step) {
		struct process *p = world_process(&r->world, pid);

		if (p)
			r->watch.step(r->watch.ctx, p, st->line);
	}
	return ret;
}

int run_waiting(struct replay *r, int tid, enum urgency urgency)
{
	struct thread *t;
	int ret = 0;

	while (ret == 0 && (t = world_thread(&r->world, tid)) && t->wait != THREAD_WAITS_PARENT &&
	       t->steps.first) {
		struct step *st = step_take(&r->world, t);

		ret = handle(r, t, st, urgency);
		if (ret == 1)
			return step_put_back(&r->world, t, st);
		urgency = URGENCY_NONE;
		step_free(st);
	}
	return ret;
}

/* A new thread whose parent is clear now. */
static int adopt(struct replay *r)
{
	struct world *w = &r->world;
	struct thread *parent = only_cloning(w), *t = w->threads.orphans.head;
	int err;

	if (!parent || !t)
		return 0;
	err = world_add_child(w, parent, parent->replayed.clone_flags, t->tid, t);
	if (err)
		return err;
	thread_has_child(w, parent, t->tid);
	return run_waiting(r, t->tid, URGENCY_NONE);
}

/* Calls that may fit now. */
static int try_again(struct replay *r, const struct space *s)
{
	int tid[MAX_WAITING], nr = 0, ret = 0;

	for (struct thread *t = s->calls.waiting.head; t && nr < MAX_WAITING;
	     t = t->link[LIST_SPACE_WAITING].next)
		tid[nr++] = t->tid;
	for (int i = 0; !ret && i < nr; i++)
		ret = run_waiting(r, tid[i], URGENCY_NONE);
	return ret;
}

/* After a change: what waited for it. */
static int look_again(struct replay *r)
{
	struct space *s;
	int ret = adopt(r);

	while (!ret && (s = r->world.dirty) != NULL) {
		space_clean(&r->world, s);
		ret = r->how.place == PLACE_OWN ? order_settle(r, s) : try_again(r, s);
	}
	return ret;
}

int replay_step(struct replay *r, struct step *st)
{
	struct thread *t = thread_of(r, &st->ev);
	enum urgency urgency = URGENCY_NONE;
	int ret;

	if (!t)
		return -ENOMEM;
	order_fed(&r->world, t, st);
	if (t->steps.first || t->wait != THREAD_RUNS) {
		ret = step_queue(t, st);
	} else {
		/* Each is tried again at each call; so many do not come by overlapping. */
		if (r->how.place == PLACE_RECORDED &&
		    t->process->space->calls.waiting.nr >= MAX_WAITING)
			urgency = URGENCY_FORCE;
		ret = handle(r, t, st, urgency);
		if (ret == 1)
			ret = step_wait(&r->world, t, st);
	}
	if (!ret && r->world.threads.nr_waiting)
		ret = look_again(r);
	return ret;
}

bool replay_ready(struct replay *r, int tid)
{
	struct thread *t = world_thread(&r->world, tid), *child;

	if (!t)
		return r->world.threads.all.nr == 0;
	child = t->vfork_child ? world_thread(&r->world, t->vfork_child) : NULL;
	if (child && t->process && child->process && child->process->space == t->process->space)
		return false;
	return t->wait == THREAD_RUNS;
}

int replay_force(struct replay *r)
{
	struct thread *t = r->world.threads.waiting.head;

	return t ? run_waiting(r, t->tid, URGENCY_FORCE) : 0;
}

int replay_finish(struct replay *r)
{
	struct world *w = &r->world;
	int ret = 0;

	while (!ret && w->threads.nr_waiting) {
		int tid = w->threads.waiting.head ? 0 : w->threads.orphans.head->tid;

		if (w->threads.waiting.head)
			ret = replay_force(r);
		else /* the line that tells its parent has never come */
			ret = world_orphan_root(w, w->threads.orphans.head);
		if (!ret && tid)
			ret = run_waiting(r, tid, URGENCY_NONE);
		if (!ret)
			ret = look_again(r);
	}
	while (w->threads.all.head)
		world_thread_ends(w, w->threads.all.head);
	return ret;
}
