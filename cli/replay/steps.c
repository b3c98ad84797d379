/* SPDX-License-Identifier: MIT */
/*
 * Feeding the engine: lines to steps, and steps that wait.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/steps.h"

static struct slice moved(struct slice s, char **at)
{
	struct slice copy = { *at, s.len };

	memcpy(*at, s.at, s.len);
	(*at)[s.len] = '\0';
	*at += s.len + 1;
	return copy;
}

/* A copy of st that owns its text; the snapshot goes over. */
static struct step *step_copy(struct step *st)
{
	size_t len = st->ev.call.name.len + 1;
	struct step *copy;
	char *at;

	for (unsigned int i = 0; i < st->ev.call.nr_args; i++)
		len += st->ev.call.args[i].len + 1;
	copy = malloc(sizeof(*copy) + len);
	if (!copy)
		return NULL;
	*copy = *st;
	copy->next = NULL;
	st->snapshot = NULL;
	at = copy->text;
	if (st->ev.call.name.at)
		copy->ev.call.name = moved(st->ev.call.name, &at);
	for (unsigned int i = 0; i < st->ev.call.nr_args; i++)
		copy->ev.call.args[i] = moved(st->ev.call.args[i], &at);
	return copy;
}

int step_queue(struct thread *t, struct step *st)
{
	struct step *copy = step_copy(st);

	if (!copy)
		return -ENOMEM;
	*t->steps.last = copy;
	t->steps.last = &copy->next;
	return 0;
}

int step_wait(struct world *w, struct thread *t, struct step *st)
{
	int err = step_queue(t, st);

	if (!err)
		thread_waits(w, t);
	return err;
}

struct step *step_take(struct world *w, struct thread *t)
{
	struct step *st = t->steps.first;

	if (t->wait == THREAD_WAITS_CALL)
		thread_goes_on(w, t);
	t->steps.first = st->next;
	if (!t->steps.first)
		t->steps.last = &t->steps.first;
	return st;
}

int step_put_back(struct world *w, struct thread *t, struct step *st)
{
	st->next = t->steps.first;
	t->steps.first = st;
	if (t->steps.last == &t->steps.first)
		t->steps.last = &st->next;
	thread_waits(w, t);
	return 0;
}

void step_free(struct step *st)
{
	snapshot_free(st->snapshot);
	free(st);
}

int replay_begin(struct replay *r, const char *maps_path, char why[160])
{
	int err = 0;

	if (maps_path)
		err = snapshots_open(maps_path, &r->snapshots, why);
	if (err)
		return err;
	r->parser = trace_parser_new();
	if (!r->parser || world_init(&r->world, r->snapshots, r->how.arch)) {
		snprintf(why, 160, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	return 0;
}

void replay_end(struct replay *r)
{
	world_end(&r->world);
	trace_parser_free(r->parser);
	snapshots_close(r->snapshots);
}

/* Take the block that an execve of pid needs out of the list. */
static struct snapshot *take_exec(struct snapshot **list, int pid)
{
	for (; *list; list = &(*list)->next) {
		struct snapshot *s = *list;

		if (s->kind == SNAPSHOT_EXEC && s->pid == pid) {
			*list = s->next;
			s->next = NULL;
			return s;
		}
	}
	return NULL;
}

/* Some thread of the process whose map a snapshot shows; 0: it has none. */
static int thread_for(struct world *w, int pid)
{
	struct process *p = world_process(w, pid);

	if (world_thread(w, pid))
		return pid;
	for (struct thread *t = p ? w->threads.all.head : NULL; t; t = t->link[LIST_ALL].next)
		if (t->process == p)
			return t->tid;
	return 0;
}

static int compare_list(struct replay *r, const char *path, struct snapshot *list)
{
	int ret = 0;

	while (list) {
		struct snapshot *next = list->next;
		struct step st = { .path = path, .line = list->line, .snapshot = list };

		list->next = NULL;
		st.ev.kind = TRACE_OTHER;
		st.ev.tid = list->tid && world_thread(&r->world, list->tid) ?
				    list->tid :
				    thread_for(&r->world, list->pid);
		if (ret == 0 && st.ev.tid)
			ret = replay_step(r, &st);
		snapshot_free(st.snapshot);
		list = next;
	}
	return ret;
}

/* A line, or what stands behind a call in it, was not understood. */
static int not_understood(struct replay *r, const struct step *st, const char *text,
			  const char *reason, char why[160])
{
	call_mentions(text, &r->unread);
	replay_bad_line(r, st->path, st->line, reason);
	if (r->stats.events == 0 && r->stats.malformed >= MAX_TOLD) {
		snprintf(why, 160, "not strace output: %.120s", reason);
		return -EBADMSG;
	}
	return 0;
}

#define MAX_EVENTS \
	64 /* in one line; a hostile line costs no more than that many copies of itself */

/*
 * One event of the line. *rest: a copy of what stands behind it, NULL: nothing.
 * first: the line's beginning; else what stood behind a call.
 */
static int one_event(struct replay *r, struct step *st, const char *text, struct snapshot **list,
		     char **rest, char why[160])
{
	bool first = !*rest;
	int tid = st->ev.tid, err;
	char reason[120], behind[120];

	err = trace_parse(r->parser, text, tid, &st->ev, reason);
	*rest = NULL;
	if (err == -EINVAL) {
		snprintf(behind, sizeof(behind), "text behind a result: `%.80s`", text);
		return not_understood(r, st, text, first ? reason : behind, why);
	}
	if (err)
		return err;
	if (st->ev.rest) {
		*rest = strdup(st->ev.rest);
		if (!*rest)
			return -ENOMEM;
	}
	if (st->ev.kind == TRACE_OTHER || st->ev.kind == TRACE_ATTACHED)
		return 0;
	if (r->stats.events++ == 0)
		replay_tell_early(r);
	r->stats.injected += st->ev.result.injected;
	if (st->ev.kind == TRACE_CALL)
		st->snapshot = take_exec(list, st->ev.tid);
	tid = st->ev.tid;
	err = replay_step(r, st);
	snapshot_free(st->snapshot);
	st->snapshot = NULL;
	st->ev.tid = tid; /* of a further call in the same line */
	return err;
}

int replay_line(struct replay *r, const char *path, unsigned long line, const char *text, int tid,
		char why[160])
{
	struct snapshot *list = NULL;
	struct step st = { .path = path, .line = line, .ev.tid = tid, .order = r->stats.lines };
	char *held = NULL, *rest = NULL;
	unsigned int events = 0;
	int err = snapshots_at(r->snapshots, line, &list, why);

	if (err)
		goto done;
	r->stats.lines++;
	do {
		err = one_event(r, &st, text, &list, &rest, why);
		free(held);
		held = rest;
		text = rest;
	} while (!err && text && ++events < MAX_EVENTS);
	if (!err && text)
		err = not_understood(r, &st, text, "too many calls in one line", why);
	free(held);
	if (err == -EBADMSG)
		goto done;
	if (!err) {
		err = compare_list(r, path, list);
		list = NULL;
	}
	if (err)
		snprintf(why, 160, "%s", strerror(-err));
done:
	while (list) {
		struct snapshot *next = list->next;

		snapshot_free(list);
		list = next;
	}
	return err;
}
