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

static bool matters(enum call_kind kind)
{
	return kind == CALL_MMAP || kind == CALL_MREMAP || kind == CALL_SHMAT ||
	       kind == CALL_MUNMAP || kind == CALL_BRK || kind == CALL_SHMDT;
}

void order_fed(struct thread *t, struct step *st)
{
	static struct call c; /* large; used here only, and by one thread */
	char why[120];

	st->began = st->line;
	if (st->ev.kind == TRACE_CALL) {
		if (t->open != CALL_OTHER)
			st->began = t->open_line;
		t->open = CALL_OTHER;
	} else if (st->ev.kind == TRACE_ENTRY && call_decode(&st->ev, &c, why) == 0) {
		t->open = c.kind;
		t->open_line = st->line;
	}
}

/* Has another thread a call under way that may come before the one that ended in line? */
static bool undecided(const struct replay *r, const struct thread *t, unsigned long line)
{
	for (size_t i = 0; i < WORLD_BUCKETS; i++)
		for (const struct thread *o = r->world.bucket[i]; o; o = o->hash_next)
			if (o != t && o->process && o->process->space == t->process->space &&
			    matters(o->open) && o->open_line < line)
				return true;
	return false;
}

static bool others_wait(const struct replay *r, const struct thread *t)
{
	for (size_t i = 0; r->world.nr_waiting && i < WORLD_BUCKETS; i++)
		for (const struct thread *o = r->world.bucket[i]; o; o = o->hash_next)
			if (o != t && o->wait == THREAD_WAITS_CALL &&
			    o->process->space == t->process->space)
				return true;
	return false;
}

bool order_must_wait(const struct replay *r, const struct thread *t, const struct step *st,
		     const struct call *c)
{
	if (r->place != PLACE_OWN || r->unordered || !matters(c->kind))
		return false;
	if (t->process->threads == 1 && t->process->space->users == 1)
		return false;
	return undecided(r, t, st->line) || others_wait(r, t);
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

static void add_call(struct together *g, const struct thread *t)
{
	const struct trace_event *ev = &t->first->ev;
	char why[120];

	if (g->nr == MAX_TOGETHER || call_decode(ev, &g->call[g->nr], why))
		return;
	g->answer[g->nr] = ev->result == RESULT_ERROR ? (unsigned long)-(long)ev->err : ev->value;
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

/* The waiting thread whose call ended first; NULL: none, or it is not decided yet. */
static struct thread *first_decided(struct replay *r)
{
	struct thread *best = NULL;

	for (size_t i = 0; i < WORLD_BUCKETS; i++)
		for (struct thread *t = r->world.bucket[i]; t; t = t->hash_next)
			if (t->wait == THREAD_WAITS_CALL && !undecided(r, t, t->first->line) &&
			    (!best || t->first->line < best->first->line))
				best = t;
	return best;
}

/* Find the order of x and what may come before it, and do it up to x. */
static int settle_one(struct replay *r, struct thread *x)
{
	static struct together g; /* large; used here only, and by one thread */
	struct room room;
	int err, tid = x->tid;

	g.nr = g.nr_best = 0;
	add_call(&g, x);
	for (size_t i = 0; i < WORLD_BUCKETS; i++)
		for (struct thread *t = r->world.bucket[i]; t; t = t->hash_next)
			if (t != x && t->wait == THREAD_WAITS_CALL &&
			    t->process->space == x->process->space &&
			    t->first->began < x->first->line)
				add_call(&g, t);
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

int order_settle(struct replay *r)
{
	struct thread *x;
	int err = 0;

	while (!err && r->world.nr_waiting && (x = first_decided(r)) != NULL)
		err = settle_one(r, x);
	return err;
}
