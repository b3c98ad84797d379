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
	*w = (struct world){ .snapshots = snapshots, .arch.usual = arch };
	w->machines.gate = snapshot_gate(snapshots_first(snapshots));
	w->processes.last = &w->processes.first;
	return world_machine(w, arch) ? 0 : -ENOMEM;
}

struct samara_machine *world_machine(struct world *w, enum arch arch)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	if (w->machines.at[arch])
		return w->machines.at[arch];
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
	if (w->machines.gate == GATE_NONE)
		cfg.flags |= SAMARA_MACHINE_NO_GATE;
	if (w->machines.gate == GATE_READ)
		cfg.flags |= SAMARA_MACHINE_GATE_READ;
	if (samara_machine_create(&cfg, &w->machines.at[arch]))
		return NULL;
	return w->machines.at[arch];
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
	s->owner.caps = caps;
}

void space_limit(struct space *s, int resource, unsigned long cur, unsigned long max)
{
	size_t i = 0;

	if (samara_set_rlimit(s->mm, resource, cur, max))
		return;
	while (i < s->owner.nr_limits && s->owner.limits[i].resource != resource)
		i++;
	if (i == sizeof(s->owner.limits) / sizeof(s->owner.limits[0]))
		return;
	if (i == s->owner.nr_limits)
		s->owner.nr_limits++;
	s->owner.limits[i] = (struct map_limit){ resource, cur, max };
}

static void limits_copy(struct space *to, const struct space *from)
{
	for (size_t i = 0; i < from->owner.nr_limits; i++)
		space_limit(to, from->owner.limits[i].resource, from->owner.limits[i].cur,
			    from->owner.limits[i].max);
}

int world_set_arch(struct world *w, struct process *p, enum arch arch)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	struct space *s = p->space, *new;
	struct samara_vma_info vma;

	if (s->arch == arch || s->known.map || samara_vma_next(s->mm, 0, &vma) == 0)
		return 0;
	new = space_new(w, arch);
	if (!new)
		return -ENOMEM;
	samara_get_layout(s->mm, &layout);
	samara_mm_exit(s->mm);
	s->mm = new->mm;
	s->arch = arch;
	free(new);
	space_caps(s, s->owner.caps);
	for (size_t i = 0; i < s->owner.nr_limits; i++)
		(void)!samara_set_rlimit(s->mm, s->owner.limits[i].resource, s->owner.limits[i].cur,
					 s->owner.limits[i].max);
	if (s->known.brk) { /* the program has asked where its heap is */
		struct samara_layout heap = SAMARA_LAYOUT_INIT;

		heap.start_brk = layout.start_brk;
		heap.brk = layout.brk;
		s->known.brk = samara_set_layout(s->mm, &heap) == 0;
	}
	return 0;
}

static struct space *space_fork(struct space *from, int *err)
{
	struct space *s = calloc(1, sizeof(*s));

	*err = -ENOMEM;
	if (!s)
		return NULL;
	if (from->moved.nr) {
		s->moved.at = malloc(from->moved.nr * sizeof(*s->moved.at));
		if (!s->moved.at)
			goto fail;
		memcpy(s->moved.at, from->moved.at, from->moved.nr * sizeof(*s->moved.at));
		s->moved.nr = s->moved.room = from->moved.nr;
	}
	*err = samara_fork(from->mm, &s->mm);
	if (*err)
		goto fail;
	s->users = 1;
	s->arch = from->arch;
	s->known.map = from->known.map;
	s->known.brk = from->known.brk;
	s->owner.caps = from->owner.caps;
	limits_copy(s, from);
	return s;
fail:
	free(s->moved.at);
	free(s);
	return NULL;
}

static void space_put(struct world *w, struct space *s)
{
	if (--s->users)
		return;
	space_clean(w, s);
	samara_mm_exit(s->mm);
	free(s->moved.at);
	free(s);
}

struct thread *world_only_thread(struct world *w)
{
	return w->threads.all.nr == 1 ? w->threads.all.head : NULL;
}

struct process *world_process(struct world *w, int pid)
{
	struct thread *leader = world_thread(w, pid);

	if (leader && leader->process && leader->process->pid == pid)
		return leader->process;
	for (struct process *p = w->processes.first; p; p = p->next)
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
	t->steps.last = &t->steps.first;
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
	*w->processes.last = p;
	w->processes.last = &p->next;
	return p;
}

static void join_process(struct world *w, struct thread *t, struct process *p)
{
	if (t->wait == THREAD_WAITS_PARENT) {
		list_del(w, t, LIST_ORPHANS);
		w->threads.nr_waiting--;
	}
	t->process = p;
	t->wait = THREAD_RUNS;
	p->threads++;
	if (t->read.matters)
		list_add(w, t, LIST_OPEN);
}

struct thread *world_add_root(struct world *w, int tid)
{
	struct thread *t = thread_new(w, tid);
	struct space *s = t ? space_new(w, w->arch.usual) : NULL;
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
	struct space *s = space_new(w, w->arch.usual);
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
		w->threads.nr_waiting++;
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
		w->threads.nr_waiting--;
	while (t->steps.first) {
		struct step *next = t->steps.first->next;

		snapshot_free(t->steps.first->snapshot);
		free(t->steps.first);
		t->steps.first = next;
	}
	free(t);
}

void world_thread_ends(struct world *w, struct thread *t)
{
	struct process *p = t->process;

	thread_free(w, t);
	if (!p || --p->threads)
		return;
	if (w->ending.call)
		w->ending.call(w->ending.ctx, p);
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
	for (struct thread *o = p->threads > 1 ? w->threads.all.head : NULL, *next; o; o = next) {
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
	while (w->threads.all.head)
		world_thread_ends(w, w->threads.all.head);
	free(w->table.bucket);
	w->table.bucket = NULL;
	w->table.nr = 0;
	while (w->processes.first) {
		struct process *next = w->processes.first->next;

		free(w->processes.first);
		w->processes.first = next;
	}
	world_files_end(w);
	for (size_t i = 0; i < ARCH_NR; i++)
		if (w->machines.at[i])
			samara_machine_destroy(w->machines.at[i]);
}
