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

int world_init(struct world *w, struct snapshots *snapshots, enum arch arch)
{
	*w = (struct world){ .snapshots = snapshots, .arch = arch };
	w->gate = snapshot_gate(snapshots_first(snapshots));
	w->last_process = &w->processes;
	return world_machine(w, arch) ? 0 : -ENOMEM;
}

struct samara_machine *world_machine(struct world *w, enum arch arch)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	if (w->machine[arch])
		return w->machine[arch];
	/*
	 * The recorded machine's memory is not known; a call that it refused
	 * for lack of it is judged leniently, one that it granted must pass.
	 */
	cfg.swap_bytes = 1UL << 40;
	cfg.overcommit = (enum samara_overcommit)snapshots_overcommit(w->snapshots);
	if (snapshots_overcommit(w->snapshots) < 0)
		cfg.overcommit = SAMARA_OVERCOMMIT_GUESS;
	cfg.max_map_count = snapshots_max_map_count(w->snapshots);
	cfg.geometry = arch_geometry(arch);
	if (w->gate == GATE_NONE)
		cfg.flags |= SAMARA_MACHINE_NO_GATE;
	if (w->gate == GATE_READ)
		cfg.flags |= SAMARA_MACHINE_GATE_READ;
	if (samara_machine_create(&cfg, &w->machine[arch]))
		return NULL;
	return w->machine[arch];
}

static struct space *space_new(struct world *w, enum arch arch)
{
	struct samara_machine *machine = world_machine(w, arch);
	struct space *s = machine ? calloc(1, sizeof(*s)) : NULL;

	if (s && samara_mm_create(machine, &s->mm)) {
		free(s);
		s = NULL;
	}
	if (s) {
		s->users = 1;
		s->arch = arch;
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

int world_set_arch(struct world *w, struct process *p, enum arch arch)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	struct space *s = p->space, *new;
	struct samara_vma_info vma;

	if (s->arch == arch || s->known || samara_vma_next(s->mm, 0, &vma) == 0)
		return 0;
	new = space_new(w, arch);
	if (!new)
		return -ENOMEM;
	samara_get_layout(s->mm, &layout);
	samara_mm_exit(s->mm);
	s->mm = new->mm;
	s->arch = arch;
	free(new);
	space_caps(s, s->caps);
	for (size_t i = 0; i < s->nr_limits; i++)
		(void)!samara_set_rlimit(s->mm, s->limits[i].resource, s->limits[i].cur,
					 s->limits[i].max);
	if (s->brk_known) { /* the program has asked where its heap is */
		struct samara_layout heap = SAMARA_LAYOUT_INIT;

		heap.start_brk = layout.start_brk;
		heap.brk = layout.brk;
		s->brk_known = samara_set_layout(s->mm, &heap) == 0;
	}
	return 0;
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
	s->arch = from->arch;
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

static void space_put(struct world *w, struct space *s)
{
	if (--s->users)
		return;
	space_clean(w, s);
	samara_mm_exit(s->mm);
	free(s->moved);
	free(s);
}

struct thread *world_only_thread(struct world *w)
{
	return w->all.nr == 1 ? w->all.head : NULL;
}

struct process *world_process(struct world *w, int pid)
{
	struct thread *leader = world_thread(w, pid);

	if (leader && leader->process && leader->process->pid == pid)
		return leader->process;
	for (struct process *p = w->processes; p; p = p->next)
		if (p->pid == pid && !p->ended)
			return p;
	return NULL;
}

static struct thread *thread_new(struct world *w, int tid)
{
	struct thread *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->tid = tid;
	t->last = &t->first;
	if (table_add(w, t)) {
		free(t);
		return NULL;
	}
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

static void join_process(struct world *w, struct thread *t, struct process *p)
{
	if (t->wait == THREAD_WAITS_PARENT) {
		list_del(w, t, LIST_ORPHANS);
		w->nr_waiting--;
	}
	t->process = p;
	t->wait = THREAD_RUNS;
	p->threads++;
	if (t->open_matters)
		list_add(w, t, LIST_OPEN);
}

struct thread *world_add_root(struct world *w, int tid)
{
	struct thread *t = thread_new(w, tid);
	struct space *s = t ? space_new(w, w->arch) : NULL;
	struct process *p = s ? process_new(w, tid, s) : NULL;

	if (!p) {
		if (s)
			space_put(w, s);
		return NULL; /* t stays in the table without a process; world_end() frees it */
	}
	join_process(w, t, p);
	return t;
}

int world_orphan_root(struct world *w, struct thread *t)
{
	struct space *s = space_new(w, w->arch);
	struct process *p = s ? process_new(w, t->tid, s) : NULL;

	if (!p) {
		if (s)
			space_put(w, s);
		return -ENOMEM;
	}
	join_process(w, t, p);
	return 0;
}

struct thread *world_rename(struct world *w, struct thread *t, int tid)
{
	table_del(w, t);
	if (t->process && t->process->pid == t->tid)
		t->process->pid = tid;
	t->tid = tid;
	(void)!table_add(w, t); /* the table is not smaller than it was */
	return t;
}

struct thread *world_add_orphan(struct world *w, int tid)
{
	struct thread *t = thread_new(w, tid);

	if (t) {
		t->wait = THREAD_WAITS_PARENT;
		w->nr_waiting++;
		list_add(w, t, LIST_ORPHANS);
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
			space_put(w, s);
			return -ENOMEM;
		}
		memcpy(p->command, from->command, sizeof(p->command));
	}
	if (!t)
		t = thread_new(w, tid);
	if (!t)
		return -ENOMEM;
	join_process(w, t, p);
	return 0;
}

static void thread_free(struct world *w, struct thread *t)
{
	thread_off_lists(w, t);
	table_del(w, t);
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
	p->arch = p->space->arch;
	space_put(w, p->space);
	p->space = NULL;
	p->ended = true;
}

int world_exec(struct world *w, struct thread *t)
{
	struct process *p = t->process;
	struct space *s = space_new(w, p->space->arch);

	if (!s)
		return -ENOMEM;
	for (struct thread *o = p->threads > 1 ? w->all.head : NULL, *next; o; o = next) {
		next = o->link[LIST_ALL].next;
		if (o != t && o->process == p) {
			p->threads--;
			thread_free(w, o);
		}
	}
	limits_copy(s, p->space);
	thread_off_lists(w, t);
	space_put(w, p->space);
	p->space = s;
	p->threads = 1;
	return 0;
}

void world_end(struct world *w)
{
	while (w->all.head)
		world_thread_ends(w, w->all.head);
	free(w->bucket);
	w->bucket = NULL;
	w->nr_buckets = 0;
	while (w->processes) {
		struct process *next = w->processes->next;

		free(w->processes);
		w->processes = next;
	}
	world_files_end(w);
	for (size_t i = 0; i < ARCH_NR; i++)
		if (w->machine[i])
			samara_machine_destroy(w->machine[i]);
}
