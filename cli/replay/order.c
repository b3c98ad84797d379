/* SPDX-License-Identifier: MIT */
/*
 * --place=own: in which order calls that overlapped in time were done.
 *
 *	line          thread 1                thread 2
 *	 10   mmap(...             <-.
 *	 11                          |   munmap(A) = 0      ended first ...
 *	 12   ... resumed) = B     --'                      ... but was it done first?
 *
 * The kernel chose B before A was free, or after; only B tells. So a call that
 * chooses an address or changes where there is room is held back while another
 * thread has such a call under way that began before this one ended. Let X be
 * the held-back call that ended first. Once nothing is under way that began
 * before X's end, all that may have been done before X is known: the first
 * held-back call of each other thread, as far as it began before X's end. Their
 * orders are tried on a model of the room in the map (room.c); of those in which
 * X gets its recorded answer, the one that fits most calls is taken, and done up
 * to X. When there is none, X is done as it comes, which is a difference.
 */
#include <errno.h>
#include <string.h>

#include "replay/room.h"
#include "replay/steps.h"

#define MAX_TOGETHER 7 /* calls whose orders are tried: 5040 at most */
#define MAX_LOOKED 64  /* waiting calls that are looked at for them */

static bool matters(enum call_kind kind)
{
	return kind == CALL_MMAP || kind == CALL_MREMAP || kind == CALL_SHMAT ||
	       kind == CALL_MUNMAP || kind == CALL_BRK || kind == CALL_SHMDT;
}

void order_fed(struct world *w, struct thread *t, struct step *st)
{
	static struct call c; /* large; used here only, and by one thread */
	char why[120];

	st->began = st->order;
	if (st->ev.kind != TRACE_CALL && st->ev.kind != TRACE_ENTRY)
		return;
	if (st->ev.kind == TRACE_CALL && t->read.open != CALL_OTHER)
		st->began = t->read.order;
	thread_closes(w, t);
	t->read.open = CALL_OTHER;
	t->read.matters = false;
	if (st->ev.kind == TRACE_ENTRY && call_decode(&st->ev, &c, why) == 0) {
		t->read.open = c.kind;
		t->read.order = st->order;
		t->read.matters = matters(c.kind);
		if (t->read.matters)
			list_add(w, t, LIST_OPEN);
	}
}

/* Has another thread a call under way that may come before the one that ended there? */
static bool undecided(const struct thread *t, unsigned long order)
{
	const struct thread *o = t->process->space->calls.open.head;

	if (o == t)
		o = o->link[LIST_OPEN].next;
	return o && o->read.order < order;
}

static bool others_wait(const struct thread *t)
{
	const struct thread_list *waiting = &t->process->space->calls.waiting;

	return waiting->nr > t->link[LIST_SPACE_WAITING].on;
}

bool order_must_wait(const struct replay *r, const struct thread *t, const struct step *st,
		     const struct call *c)
{
	if (r->how.place != PLACE_OWN || r->how.unordered || !matters(c->kind))
		return false;
	if (t->process->threads == 1 && t->process->space->users == 1)
		return false;
	return undecided(t, st->order) || others_wait(t);
}

/* The calls whose order is looked for; the first is X. */
struct together {
	struct call call[MAX_TOGETHER];
	unsigned long answer[MAX_TOGETHER];
	int tid[MAX_TOGETHER];
	unsigned int nr;
	/* the order under trial, and the best so far */
	unsigned char now[MAX_TOGETHER], best[MAX_TOGETHER];
	unsigned int nr_best;
};

static void add_call(struct replay *r, struct together *g, const struct thread *t)
{
	const struct trace_event *ev = &t->steps.first->ev;
	char why[120];

	if (g->nr == MAX_TOGETHER || call_decode(ev, &g->call[g->nr], why))
		return;
	g->answer[g->nr] = ev->result.kind == RESULT_ERROR ? (unsigned long)-(long)ev->result.err :
							     ev->result.value;
	arch_settle(t->process->space->arch, &g->call[g->nr], &g->answer[g->nr],
		    &r->world.arch.in_pages);
	g->tid[g->nr++] = t->tid;
}

/* Lengthen the order that has `len` calls; used: which. Deepest first. 0 or -ENOMEM. */
static int try_orders(struct together *g, const struct room *room, unsigned int len,
		      unsigned int used)
{
	int err = 0;

	if ((used & 1) && len > g->nr_best) {
		g->nr_best = len;
		memcpy(g->best, g->now, len);
	}
	for (unsigned int i = 0; !err && i < g->nr && g->nr_best < g->nr; i++) {
		struct room after;
		int fits;

		if (used & 1U << i)
			continue;
		err = room_copy(room, &after);
		if (err)
			break;
		fits = room_call(&after, &g->call[i], g->answer[i]);
		g->now[len] = (unsigned char)i;
		if (fits > 0)
			err = try_orders(g, &after, len + 1, used | 1U << i);
		else
			err = fits;
		room_free(&after);
	}
	return err;
}

/* Find the order of x and what may come before it, and do it up to x. */
static int settle_one(struct replay *r, struct thread *x)
{
	static struct together g; /* large; used here only, and by one thread */
	struct room room;
	int err, tid = x->tid, looked = 0;

	g.nr = g.nr_best = 0;
	add_call(r, &g, x);
	for (struct thread *t = x->link[LIST_SPACE_WAITING].next; t && looked++ < MAX_LOOKED;
	     t = t->link[LIST_SPACE_WAITING].next)
		if (t->steps.first->began < x->steps.first->order)
			add_call(r, &g, t);
	if (g.nr > 1 && own_same(x->process->space)) {
		err = room_of(x->process->space->mm, &room);
		if (!err) {
			err = try_orders(&g, &room, 0, 0);
			room_free(&room);
		}
		if (err)
			return err;
	}
	for (unsigned int i = 0; i < g.nr_best; i++) {
		int next = g.tid[g.best[i]];

		err = run_waiting(r, next, URGENCY_FORCE);
		if (err || next == tid)
			return err;
	}
	return run_waiting(r, tid, URGENCY_FORCE);
}

int order_settle(struct replay *r, struct space *s)
{
	struct thread *x = s->calls.waiting.head;

	/* The space may go with what is done; a change in it makes it dirty again. */
	if (!x || undecided(x, x->steps.first->order))
		return 0;
	space_dirty(&r->world, s);
	return settle_one(r, x);
}
