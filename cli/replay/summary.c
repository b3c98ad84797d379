/* SPDX-License-Identifier: MIT */
/*
 * The summary of one replayed trace.
 */
#include <string.h>

#include "clean.h"
#include "replay/summary.h"

#define SHOWN 12 /* processes in the table; those that differ are always in it */

bool summary_same(const struct replay *r)
{
	return r->stats.call_diffs == 0 && r->stats.map_diffs == 0 &&
	       (r->stats.moved == 0 || !r->snapshots);
}

static const char *ending(const struct process *p)
{
	if (p->end_compared)
		return p->count.map_diffs ? "differs" : "equal";
	return p->killed ? "killed" : "not recorded";
}

static void table(const struct replay *r, FILE *to)
{
	unsigned long shown = 0, left = 0;

	fprintf(to, "  %7s  %-16s %7s %9s %5s %9s  %s\n", "pid", "command", "calls", "differing",
		"maps", "differing", "final map");
	for (const struct process *p = r->world.processes.first; p; p = p->next) {
		char command[17];

		if (shown >= SHOWN && !p->count.call_diffs && !p->count.map_diffs) {
			left++;
			continue;
		}
		fprintf(to, "  %7d  %-16s %7lu %9lu %5lu %9lu  %s\n", p->pid,
			clean(p->command, command, sizeof(command)), p->count.calls,
			p->count.call_diffs, p->count.maps, p->count.map_diffs, ending(p));
		shown++;
	}
	if (left)
		fprintf(to, "  %7s  and %lu more without a difference\n", "...", left);
}

static unsigned long count_processes(const struct replay *r)
{
	unsigned long n = 0;

	for (const struct process *p = r->world.processes.first; p; p = p->next)
		n++;
	return n;
}

void summary_print(const struct replay *r, const char *name, FILE *to)
{
	const struct replay_stats *s = &r->stats;

	clean_put(name, strlen(name), to);
	fprintf(to, ": %lu lines, %lu processes, %lu calls: ", s->lines, count_processes(r),
		s->calls);
	if (s->refused)
		fprintf(to, "%lu refused by the recording, ", s->refused);
	if (s->call_diffs)
		fprintf(to, "%lu answered differently", s->call_diffs);
	else
		fprintf(to, "%s answered as recorded", s->refused ? "the others" : "all");
	if (s->maps && !s->map_diffs)
		fprintf(to, "; %lu maps compared: all equal\n", s->maps);
	else if (s->maps)
		fprintf(to, "; %lu maps compared: %lu differ\n", s->maps, s->map_diffs);
	else
		fputs("; no recorded map to compare with\n", to);
	table(r, to);
	if (s->moved)
		fprintf(to, "  %lu areas at other addresses than the kernel chose\n", s->moved);
	if (s->refused)
		fprintf(to,
			"  %lu calls that the kernel refused for a reason outside the map (a "
			"file's rights, a filter, the machine's memory) and the library would not "
			"have refused so: they are not made here\n",
			s->refused);
	if (s->injected)
		fprintf(to,
			"  %lu calls answered by strace (INJECTED), not by the kernel: not made\n",
			s->injected);
	if (r->left_out.all) {
		fprintf(to, "  %lu calls about memory that are not made here: ", r->left_out.all);
		tally_print(&r->left_out, to);
		fputc('\n', to);
	}
	if (s->assumed)
		fprintf(to, "  %lu areas assumed, where a process's first map was not recorded\n",
			s->assumed);
	if (r->how.unordered && s->call_diffs)
		fputs("  several files without time stamps: the order of threads is a guess; "
		      "strace -ff -ttt records it\n",
		      to);
	if (s->malformed) {
		fprintf(to, "  %lu malformed lines", s->malformed);
		if (r->unread.all) {
			fputs(" with memory calls: ", to);
			tally_print(&r->unread, to);
		}
		fputc('\n', to);
	}
}

static json_t *process_json(const struct process *p)
{
	char command[256];

	return json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "pid", p->pid, "command",
			 clean(p->command, command, sizeof(command)), "arch", arch_name(p->arch),
			 "calls", (json_int_t)p->count.calls, "call_differences",
			 (json_int_t)p->count.call_diffs, "maps", (json_int_t)p->count.maps,
			 "map_differences", (json_int_t)p->count.map_diffs, "final_map", ending(p));
}

json_t *summary_json(const struct replay *r, const char *name)
{
	const struct replay_stats *s = &r->stats;
	json_t *processes = json_array();
	char trace[4096];

	for (const struct process *p = r->world.processes.first; p; p = p->next)
		json_array_append_new(processes, process_json(p));
	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:o, "
			 "s:I, s:o}",
			 "trace", clean(name, trace, sizeof(trace)), "same", summary_same(r),
			 "lines", (json_int_t)s->lines, "calls", (json_int_t)s->calls,
			 "call_differences", (json_int_t)s->call_diffs, "maps", (json_int_t)s->maps,
			 "map_differences", (json_int_t)s->map_diffs, "malformed",
			 (json_int_t)s->malformed, "unread_calls", tally_json(&r->unread), "moved",
			 (json_int_t)s->moved, "from_trace", (json_int_t)s->refused, "injected",
			 (json_int_t)s->injected, "not_modelled", (json_int_t)r->left_out.all,
			 "left_out", tally_json(&r->left_out), "assumed", (json_int_t)s->assumed,
			 "processes", processes);
}
