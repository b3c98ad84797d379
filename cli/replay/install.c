/* SPDX-License-Identifier: MIT */
/*
 * A process's map as execve(2) left it, from a recorded snapshot.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "replay/engine.h"

#define READ_IMPLIES_EXEC 0x0400000UL
#define ADDR_COMPAT_LAYOUT 0x0200000UL

static int set_layout(struct space *s, const struct snapshot *from)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	layout.mmap_base = from->layout.mmap_base;
	if (arch_geometry(s->arch)->task_size == 1UL << 48 || s->arch == ARCH_AARCH64_39)
		layout.legacy_base = arch_geometry(s->arch)->map_window / 4;
	layout.start_code = from->layout.start_code;
	layout.end_code = from->layout.end_code;
	layout.start_data = from->layout.start_data;
	layout.end_data = from->layout.end_data;
	layout.start_brk = layout.brk = from->layout.start_brk;
	layout.start_stack = from->layout.start_stack;
	if (from->owner.personality & READ_IMPLIES_EXEC)
		layout.flags |= SAMARA_LAYOUT_READ_EXEC;
	for (size_t i = 0; i < from->owner.nr_limits; i++)
		if (from->owner.limits[i].resource == 3 /* RLIMIT_STACK */ &&
		    from->owner.limits[i].cur == ~0UL)
			layout.flags |= SAMARA_LAYOUT_BOTTOM_UP;
	if ((from->owner.personality & ADDR_COMPAT_LAYOUT) || from->layout.legacy)
		layout.flags |= SAMARA_LAYOUT_BOTTOM_UP;
	s->known.brk = from->layout.start_brk != 0;
	return samara_set_layout(s->mm, &layout);
}

enum snapshot_gate snapshot_gate(const struct snapshot *s)
{
	const struct map_line *last = s && s->lines.nr ? &s->lines.at[s->lines.nr - 1] : NULL;

	if (last && strcmp(last->name, "[vsyscall]") == 0)
		return last->perms[0] == 'r' ? GATE_READ : GATE_EXECUTE;
	/* x86-64 alone has its stack there. */
	if (last && last->end > 1UL << 46 && last->end < 1UL << 47)
		return GATE_NONE;
	return GATE_UNKNOWN;
}

/* capabilities(7): the ones that memory calls ask for */
static unsigned int known_caps(const struct snapshot *s)
{
	unsigned int caps = 0;

	if (s->owner.caps >> 14 & 1)
		caps |= SAMARA_CAP_IPC_LOCK;
	if (s->owner.caps >> 17 & 1)
		caps |= SAMARA_CAP_SYS_RAWIO;
	if (s->owner.caps >> 21 & 1)
		caps |= SAMARA_CAP_SYS_ADMIN;
	return caps;
}

static int install_line(struct world *w, struct space *s, const struct map_line *line)
{
	struct samara_mapping m = { .start = line->start,
				    .end = line->end,
				    .offset = line->offset };

	m.prot = (line->perms[0] == 'r' ? PROT_READ : 0) |
		 (line->perms[1] == 'w' ? PROT_WRITE : 0) | (line->perms[2] == 'x' ? PROT_EXEC : 0);
	m.flags = line->perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE;
	if (line->ino) {
		m.file = world_map_file(w, s->arch, line);
		if (!m.file)
			return -ENOMEM;
	} else if (line->name[0] == '[' && strcmp(line->name, "[heap]") != 0 &&
		   strncmp(line->name, "[anon", 5) != 0) {
		m.name = line->name;
	}
	return samara_mm_install(s->mm, &m);
}

int install_exec(struct world *w, struct process *p, const struct snapshot *s)
{
	int err;

	if (w->machines.gate == GATE_UNKNOWN)
		w->machines.gate = snapshot_gate(s);
	err = world_set_arch(w, p, arch_of_map(s, p->space->arch));

	if (!err)
		err = set_layout(p->space, s);
	if (s->owner.has_caps)
		space_caps(p->space, known_caps(s));
	for (size_t i = 0; !err && i < s->lines.nr; i++)
		if (strcmp(s->lines.at[i].name, "[vsyscall]") != 0)
			err = install_line(w, p->space, &s->lines.at[i]);
	for (size_t i = 0; i < s->owner.nr_limits; i++)
		space_limit(p->space, s->owner.limits[i].resource, s->owner.limits[i].cur,
			    s->owner.limits[i].max);
	for (size_t i = 0; !err && i < s->touched.nr; i++)
		touch_range(p->space, s->touched.at[i]);
	p->space->known.map = err == 0;
	return err;
}
