/* SPDX-License-Identifier: MIT */
/*
 * docs/compatibility.md: one table a call, a row for each sort of arguments, a
 * column for each kind of mapping. A cell shows the outcomes that occurred,
 * all equal on both sides, or the number of the note that says why it is empty. Userfaultfds have a
 * section of their own, from runs of their own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check/cover.h"

#define UFFD_HEADING "\n## Userfaultfds\n"

struct page {
	FILE *to;
	const struct cover *cover;
	int unexplained;
	unsigned long cells, tried;
};

static int note_number(const struct note *note)
{
	return (int)(note - notes) + 1;
}

const struct note *note_for(const struct arg_class *class, enum map_kind kind)
{
	for (const struct note *note = notes; note->call; note++) {
		if (strcmp(note->call, calls[class->call].name) != 0 &&
		    strcmp(note->call, "*") != 0)
			continue;
		if (note->what && strcmp(note->what, class->name) != 0)
			continue;
		if (note->kinds & (1U << kind))
			return note;
	}
	return NULL;
}

static void cell(struct page *p, const struct arg_class *class, int at, int kind)
{
	const unsigned long *seen = p->cover->seen[class->call][at][kind];
	const struct note *note = note_for(class, (enum map_kind)kind);
	const char *between = "";

	p->cells++;
	fputs(" |", p->to);
	for (int o = 0; o < MAX_OUTCOMES; o++) {
		if (!seen[o])
			continue;
		fprintf(p->to, "%s %s", between, outcome_name(o));
		between = ",";
	}
	if (*between) {
		p->tried++;
	} else if (class->call >= CALL_PEEK) {
		/* Which mappings a request meets is left to chance. */
	} else if (note) {
		fprintf(p->to, " %s[^%d]", note->deviates ? "deviates" : "", note_number(note));
	} else {
		fputs(" **?**", p->to);
		fprintf(stderr, "%s, %s, %s: neither tried nor explained\n",
			calls[class->call].name, class->name, kind_names[kind]);
		p->unexplained++;
	}
}

/* A name as a table's cell has it: a bar would end the cell. */
static void put_name(FILE *to, const char *name)
{
	for (; *name; name++)
		fprintf(to, "%s%c", *name == '|' ? "\\" : "", *name);
}

static void table(struct page *p, enum call_id call)
{
	int n;
	const struct arg_class *class = classes_of(call, &n);
	const int kinds = has_mapping(call) ? KINDS : 1;

	fprintf(p->to, "\n### %s\n\n| arguments |", calls[call].name);
	for (int k = 0; k < kinds; k++)
		fprintf(p->to, " %s |", kinds > 1 ? kind_names[k] : "outcomes");
	fputs("\n|---|", p->to);
	for (int k = 0; k < kinds; k++)
		fputs("---|", p->to);
	fputc('\n', p->to);
	for (int i = 0; i < n; i++) {
		fputs("| ", p->to);
		put_name(p->to, class[i].name);
		for (int k = 0; k < kinds; k++)
			cell(p, &class[i], i, k);
		fputs(" |\n", p->to);
	}
}

static void notes_of(struct page *p, bool deviates)
{
	for (const struct note *note = notes; note->call; note++) {
		if (note->deviates != deviates || note->kinds)
			continue;
		fprintf(p->to, "| %s | %s | %s |\n", note->call, note->what, note->why);
	}
}

static void head(struct page *p, const char *command)
{
	fprintf(p->to, "# Compatibility\n\nWritten by `%s`; do not edit.\n", command);
	fputs("The referee was Linux 6.18 on x86-64.\n\n"
	      "Every outcome in these tables occurred on both sides alike: the same answer,\n"
	      "and after it the same map, now and then the same VmFlags and totals. A cell\n"
	      "without outcome has the number of the note that says why. A call counts in\n"
	      "each row that its arguments fit, and in the column of what lay at its address:\n"
	      "*several* when it reached beyond one mapping, *locked* and *sealed* whatever\n"
	      "else that was, *PROT_NONE* for private memory without access, the two *file*\n"
	      "columns for /dev/zero too.\n",
	      p->to);
	fputs("\n## Deviations\n\n| call | what | why |\n|---|---|---|\n", p->to);
	notes_of(p, true);
	fputs("\n## Not asked\n\n| call | what | why |\n|---|---|---|\n", p->to);
	notes_of(p, false);
	fputs("\n## What was compared\n", p->to);
}

static void without_uffd(struct page *p, const char *command)
{
	head(p, command);
	for (int call = 0; call < CALL_DROP_CAPS; call++)
		table(p, (enum call_id)call);
	fputc('\n', p->to);
	for (const struct note *note = notes; note->call; note++)
		if (note->kinds)
			fprintf(p->to, "[^%d]: %s\n", note_number(note), note->why);
	fprintf(p->to, "\n%lu of %lu cells were tried; the others have a note.\n", p->tried,
		p->cells);
}

static void with_uffd(struct page *p, const char *command)
{
	fprintf(p->to, UFFD_HEADING "\nWritten by `%s`; do not edit.\n", command);
	fputs("Each outcome occurred on both sides alike, and so did what the request wrote,\n"
	      "messages, what slept and what ended its sleep, the map, pages and their bits in\n"
	      "pagemap. Calls of programs were made between them, some of which *wait* for a\n"
	      "handler; so does a `pin` (process_vm_readv, process_vm_writev). A `poke` is a\n"
	      "debugger's access (/proc/PID/mem) to memory that is registered nowhere. Columns\n"
	      "are as above; an empty cell did not occur.\n",
	      p->to);
	for (int call = CALL_UFFD_CREATE; call < CALLS; call++)
		table(p, (enum call_id)call);
	fprintf(p->to, "\n%lu of %lu cells were tried.\n", p->tried, p->cells);
}

/* What is in path, or nothing; to be freed. */
static char *text_of(const char *path)
{
	FILE *from = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (from && getdelim(&text, &size, '\0', from) < 0) {
		free(text);
		text = NULL;
	}
	if (from)
		fclose(from);
	return text;
}

int compat_write(const char *path, const struct cover *c, const char *command, bool uffd)
{
	struct page p = { .cover = c };
	char *before = text_of(path), *section = before ? strstr(before, UFFD_HEADING) : NULL;

	p.to = fopen(path, "w");
	if (!p.to) {
		free(before);
		return -errno;
	}
	if (!uffd)
		without_uffd(&p, command);
	else if (before)
		fwrite(before, 1, section ? (size_t)(section - before) : strlen(before), p.to);
	if (uffd)
		with_uffd(&p, command);
	else if (section)
		fputs(section, p.to);
	free(before);
	if (fclose(p.to))
		return -EIO;
	return p.unexplained;
}
