/* SPDX-License-Identifier: MIT */
/*
 * The threads that the replay looks for again and again, in lists, so that a
 * line costs the same among four threads and among forty thousand.
 *
 *	world    all       found by number in a table that grows with them
 *	         cloning   in a clone whose child is not known yet
 *	         orphans   whose parent is not known yet
 *	         waiting   whose call waits for another one, as they began to wait
 *	         dirty     spaces in which a waiting call may fit now
 *	space    open      in a call that may matter to others, by where it began
 *	         waiting   the same threads as above, by where their call ended
 *
 * Invariants: a thread is on a list if its state says so; open and waiting of a
 * space ascend; a space's busy is the number of its threads in a memory call.
 */
#include <errno.h>
#include <stdlib.h>

#include "replay/world.h"

#define FIRST_BUCKETS 64

static struct thread **bucket_of(const struct world *w, int tid)
{
	return &w->table.bucket[(unsigned int)tid * 2654435761U & (w->table.nr - 1)];
}

struct thread *world_thread(struct world *w, int tid)
{
	struct thread *t = w->threads.all.nr ? *bucket_of(w, tid) : NULL;

	while (t && t->tid != tid) {
		w->threads.looked_at++;
		t = t->hash_next;
	}
	return t;
}

/* Twice the buckets; with too little memory for them the old ones serve on. */
static int grow(struct world *w)
{
	size_t nr = w->table.nr ? 2 * w->table.nr : FIRST_BUCKETS;
	struct thread **bucket = calloc(nr, sizeof(*bucket));

	if (!bucket)
		return w->table.nr ? 0 : -ENOMEM;
	free(w->table.bucket);
	w->table.bucket = bucket;
	w->table.nr = nr;
	for (struct thread *t = w->threads.all.head; t; t = t->link[LIST_ALL].next) {
		struct thread **head = bucket_of(w, t->tid);

		t->hash_next = *head;
		*head = t;
	}
	return 0;
}

int table_add(struct world *w, struct thread *t)
{
	struct thread **head;

	if (w->threads.all.nr >= w->table.nr && grow(w))
		return -ENOMEM;
	head = bucket_of(w, t->tid);
	t->hash_next = *head;
	*head = t;
	list_add(w, t, LIST_ALL);
	return 0;
}

void table_del(struct world *w, struct thread *t)
{
	struct thread **at = bucket_of(w, t->tid);

	while (*at != t)
		at = &(*at)->hash_next;
	*at = t->hash_next;
	list_del(w, t, LIST_ALL);
}

static struct thread_list *list_of(struct world *w, const struct thread *t, enum list_kind kind)
{
	struct space *s = t->process ? t->process->space : NULL;

	switch (kind) {
	case LIST_ALL:
		return &w->threads.all;
	case LIST_CLONING:
		return &w->threads.cloning;
	case LIST_ORPHANS:
		return &w->threads.orphans;
	case LIST_WAITING:
		return &w->threads.waiting;
	case LIST_OPEN:
		return s ? &s->calls.open : NULL;
	default:
		return s ? &s->calls.waiting : NULL;
	}
}

/* What the lists of a space are sorted by. */
static unsigned long key_of(const struct thread *t, enum list_kind kind)
{
	if (kind == LIST_OPEN)
		return t->read.order;
	return kind == LIST_SPACE_WAITING ? t->steps.first->order : 0;
}

void list_add(struct world *w, struct thread *t, enum list_kind kind)
{
	struct thread_list *l = list_of(w, t, kind);
	struct thread_link *link = &t->link[kind];
	struct thread *before;

	if (!l || link->on)
		return;
	before = l->tail;
	while (before && key_of(before, kind) > key_of(t, kind)) {
		w->threads.looked_at++;
		before = before->link[kind].prev;
	}
	link->on = true;
	link->prev = before;
	link->next = before ? before->link[kind].next : l->head;
	*(before ? &before->link[kind].next : &l->head) = t;
	*(link->next ? &link->next->link[kind].prev : &l->tail) = t;
	l->nr++;
}

void list_del(struct world *w, struct thread *t, enum list_kind kind)
{
	struct thread_list *l = list_of(w, t, kind);
	struct thread_link *link = &t->link[kind];

	if (!l || !link->on)
		return;
	*(link->prev ? &link->prev->link[kind].next : &l->head) = link->next;
	*(link->next ? &link->next->link[kind].prev : &l->tail) = link->prev;
	link->on = false;
	l->nr--;
}

void space_dirty(struct world *w, struct space *s)
{
	if (s->dirty.on || !s->calls.waiting.nr)
		return;
	s->dirty.on = true;
	s->dirty.next = w->dirty;
	s->dirty.prev = NULL;
	if (w->dirty)
		w->dirty->dirty.prev = s;
	w->dirty = s;
}

void space_clean(struct world *w, struct space *s)
{
	if (!s->dirty.on)
		return;
	s->dirty.on = false;
	*(s->dirty.prev ? &s->dirty.prev->dirty.next : &w->dirty) = s->dirty.next;
	if (s->dirty.next)
		s->dirty.next->dirty.prev = s->dirty.prev;
}

static bool is_memory(enum call_kind kind)
{
	return kind > CALL_OTHER && kind < CALL_CLONE;
}

void thread_in_call(struct world *w, struct thread *t, enum call_kind kind)
{
	struct space *s = t->process ? t->process->space : NULL;

	if (s && is_memory(t->replayed.in_call)) {
		s->calls.busy--;
		space_dirty(w, s);
	}
	if (s && is_memory(kind))
		s->calls.busy++;
	list_del(w, t, LIST_CLONING);
	t->replayed.in_call = kind;
	if (kind == CALL_CLONE && !t->replayed.child)
		list_add(w, t, LIST_CLONING);
}

void thread_has_child(struct world *w, struct thread *t, int tid)
{
	t->replayed.child = tid;
	list_del(w, t, LIST_CLONING);
}

void thread_waits(struct world *w, struct thread *t)
{
	t->wait = THREAD_WAITS_CALL;
	w->threads.nr_waiting++;
	list_add(w, t, LIST_WAITING);
	list_add(w, t, LIST_SPACE_WAITING);
}

void thread_goes_on(struct world *w, struct thread *t)
{
	list_del(w, t, LIST_WAITING);
	list_del(w, t, LIST_SPACE_WAITING);
	t->wait = THREAD_RUNS;
	w->threads.nr_waiting--;
}

void thread_closes(struct world *w, struct thread *t)
{
	if (!t->link[LIST_OPEN].on)
		return;
	list_del(w, t, LIST_OPEN);
	space_dirty(w, t->process->space);
}

void thread_off_lists(struct world *w, struct thread *t)
{
	thread_closes(w, t);
	thread_in_call(w, t, CALL_OTHER);
	list_del(w, t, LIST_ORPHANS);
	list_del(w, t, LIST_WAITING);
	list_del(w, t, LIST_SPACE_WAITING);
}
