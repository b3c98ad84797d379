/* SPDX-License-Identifier: MIT */
/*
 * Birth and death of spaces, processes and threads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/world.h"

#define CLONE_VM 0x100UL
#define CLONE_THREAD 0x10000UL

int world_init(struct world *w, const struct snapshots *snapshots)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	*w = (struct world){ .snapshots = snapshots };
	w->last_process = &w->processes;
	/*
	 * The recorded machine's memory is not known; a call that it refused
	 * for lack of it is judged leniently, one that it granted must pass.
	 */
	cfg.swap_bytes = 1UL << 40;
	cfg.overcommit = (enum samara_overcommit)snapshots_overcommit(snapshots);
	if (snapshots_overcommit(snapshots) < 0)
		cfg.overcommit = SAMARA_OVERCOMMIT_GUESS;
	cfg.max_map_count = snapshots_max_map_count(snapshots);
	return samara_machine_create(&cfg, &w->machine);
}

static struct space *space_new(struct world *w)
{
	struct space *s = calloc(1, sizeof(*s));

	if (s && samara_mm_create(w->machine, &s->mm)) {
		free(s);
		s = NULL;
	}
	if (s) {
		s->users = 1;
		/* Not known: what the kernel refused is taken from the trace then. */
		space_caps(s, SAMARA_CAP_IPC_LOCK | SAMARA_CAP_SYS_RAWIO | SAMARA_CAP_SYS_ADMIN);
	}
	return s;
}

void space_caps(struct space *s, unsigned int caps)
{
	samara_set_caps(s->mm, caps);
	s->caps = caps;
}

void space_limit(struct space *s, int resource, unsigned long cur, unsigned long max)
{
	size_t i = 0;

	if (samara_set_rlimit(s->mm, resource, cur, max))
		return;
	while (i < s->nr_limits && s->limits[i].resource != resource)
		i++;
	if (i == sizeof(s->limits) / sizeof(s->limits[0]))
		return;
	if (i == s->nr_limits)
		s->nr_limits++;
	s->limits[i] = (struct map_limit){ resource, cur, max };
}

static void limits_copy(struct space *to, const struct space *from)
{
	for (size_t i = 0; i < from->nr_limits; i++)
		space_limit(to, from->limits[i].resource, from->limits[i].cur, from->limits[i].max);
}

static struct space *space_fork(struct space *from, int *err)
{
	struct space *s = calloc(1, sizeof(*s));

	*err = -ENOMEM;
	if (!s)
		return NULL;
	if (from->nr_moved) {
		s->moved = malloc(from->nr_moved * sizeof(*s->moved));
		if (!s->moved)
			goto fail;
		memcpy(s->moved, from->moved, from->nr_moved * sizeof(*s->moved));
		s->nr_moved = s->room_moved = from->nr_moved;
	}
	*err = samara_fork(from->mm, &s->mm);
	if (*err)
		goto fail;
	s->users = 1;
	s->known = from->known;
	s->brk_known = from->brk_known;
	s->caps = from->caps;
	limits_copy(s, from);
	return s;
fail:
	free(s->moved);
	free(s);
	return NULL;
}

static void space_put(struct space *s)
{
	if (--s->users)
		return;
	samara_mm_exit(s->mm);
	free(s->moved);
	free(s);
}

struct thread *world_thread(struct world *w, int tid)
{
	struct thread *t = w->bucket[(unsigned int)tid % WORLD_BUCKETS];

	while (t && t->tid != tid)
		t = t->hash_next;
	return t;
}

struct thread *world_only_thread(struct world *w)
{
	if (w->nr_threads != 1)
		return NULL;
	for (size_t i = 0; i < WORLD_BUCKETS; i++)
		if (w->bucket[i])
			return w->bucket[i];
	return NULL;
}

struct process *world_process(struct world *w, int pid)
{
	for (struct process *p = w->processes; p; p = p->next)
		if (p->pid == pid && !p->ended)
			return p;
	return NULL;
}

static struct thread *thread_new(struct world *w, int tid)
{
	struct thread *t = calloc(1, sizeof(*t)), **head;

	if (!t)
		return NULL;
	t->tid = tid;
	t->last = &t->first;
	head = &w->bucket[(unsigned int)tid % WORLD_BUCKETS];
	t->hash_next = *head;
	*head = t;
	w->nr_threads++;
	return t;
}

static struct process *process_new(struct world *w, int pid, struct space *s)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->pid = pid;
	p->space = s;
	*w->last_process = p;
	w->last_process = &p->next;
	return p;
}

static void join_process(struct thread *t, struct process *p)
{
	t->process = p;
	t->wait = THREAD_RUNS;
	p->threads++;
}

struct thread *world_add_root(struct world *w, int tid)
{
	struct thread *t = thread_new(w, tid);
	struct space *s = t ? space_new(w) : NULL;
	struct process *p = s ? process_new(w, tid, s) : NULL;

	if (!p) {
		if (s)
			space_put(s);
		return NULL; /* t stays in the table without a process; world_end() frees it */
	}
	join_process(t, p);
	return t;
}

struct thread *world_rename(struct world *w, struct thread *t, int tid)
{
	struct thread **at = &w->bucket[(unsigned int)t->tid % WORLD_BUCKETS];

	while (*at != t)
		at = &(*at)->hash_next;
	*at = t->hash_next;
	if (t->process && t->process->pid == t->tid)
		t->process->pid = tid;
	t->tid = tid;
	at = &w->bucket[(unsigned int)tid % WORLD_BUCKETS];
	t->hash_next = *at;
	*at = t;
	return t;
}

struct thread *world_add_orphan(struct world *w, int tid)
{
	struct thread *t = thread_new(w, tid);

	if (t) {
		t->wait = THREAD_WAITS_PARENT;
		w->nr_waiting++;
	}
	return t;
}

int world_add_child(struct world *w, struct thread *parent, unsigned long flags, int tid,
		    struct thread *t)
{
	struct process *from = parent->process, *p = from;
	struct space *s = from->space;
	int err = 0;

	if (!(flags & CLONE_THREAD)) {
		if (flags & CLONE_VM)
			s->users++;
		else
			s = space_fork(s, &err);
		if (!s)
			return err;
		p = process_new(w, tid, s);
		if (!p) {
			space_put(s);
			return -ENOMEM;
		}
		memcpy(p->command, from->command, sizeof(p->command));
	}
	if (t)
		w->nr_waiting--;
	else
		t = thread_new(w, tid);
	if (!t)
		return -ENOMEM;
	join_process(t, p);
	return 0;
}

static void thread_free(struct world *w, struct thread *t)
{
	struct thread **at = &w->bucket[(unsigned int)t->tid % WORLD_BUCKETS];

	while (*at != t)
		at = &(*at)->hash_next;
	*at = t->hash_next;
	w->nr_threads--;
	if (t->wait != THREAD_RUNS)
		w->nr_waiting--;
	while (t->first) {
		struct step *next = t->first->next;

		snapshot_free(t->first->snapshot);
		free(t->first);
		t->first = next;
	}
	free(t);
}

void world_thread_ends(struct world *w, struct thread *t)
{
	struct process *p = t->process;

	thread_free(w, t);
	if (!p || --p->threads)
		return;
	if (w->ending)
		w->ending(w->ctx, p);
	space_put(p->space);
	p->space = NULL;
	p->ended = true;
}

int world_exec(struct world *w, struct thread *t)
{
	struct process *p = t->process;
	struct space *s = space_new(w);

	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < WORLD_BUCKETS; i++) {
		struct thread *other = w->bucket[i], *next;

		for (; other; other = next) {
			next = other->hash_next;
			if (other != t && other->process == p) {
				p->threads--;
				thread_free(w, other);
			}
		}
	}
	limits_copy(s, p->space);
	space_put(p->space);
	p->space = s;
	p->threads = 1;
	return 0;
}

void world_end(struct world *w)
{
	for (size_t i = 0; i < WORLD_BUCKETS; i++)
		while (w->bucket[i])
			world_thread_ends(w, w->bucket[i]);
	while (w->processes) {
		struct process *next = w->processes->next;

		free(w->processes);
		w->processes = next;
	}
	world_files_end(w);
	if (w->machine)
		samara_machine_destroy(w->machine);
}
