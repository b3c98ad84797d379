/* SPDX-License-Identifier: MIT */
/*
 * Mappings to rows, and the picture for a terminal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "show/picture.h"

#define GROUP_GAP (1UL << 30) /* a gap that is worth a row */

const struct row_style row_styles[ROW_KINDS] = {
	[ROW_CODE] = { "code", 'C', 71, "#5faf5f" },
	[ROW_CONST] = { "read-only", 'R', 67, "#5f87af" },
	[ROW_DATA] = { "data of a file", 'D', 179, "#d7af5f" },
	[ROW_ANON] = { "anonymous", 'A', 173, "#d7875f" },
	[ROW_HEAP] = { "heap", 'H', 133, "#af5faf" },
	[ROW_STACK] = { "stack", 'S', 73, "#5fafaf" },
	[ROW_SHARED] = { "shared", 'M', 161, "#d7005f" },
	[ROW_RESERVED] = { "no access", '-', 240, "#9e9e9e" },
	[ROW_KERNEL] = { "the kernel's", 'K', 250, "#bcbcbc" },
};

static enum row_kind kind_of(const struct samara_vma_info *vma)
{
	const char *name = vma->name ? vma->name : "";

	if (strcmp(name, "[heap]") == 0)
		return ROW_HEAP;
	if (strncmp(name, "[stack", 6) == 0 || (vma->flags & SAMARA_VM_GROWSDOWN))
		return ROW_STACK;
	if (name[0] == '[' && strncmp(name, "[anon", 5) != 0)
		return ROW_KERNEL;
	if (strncmp(vma->perms, "---", 3) == 0)
		return ROW_RESERVED;
	if (vma->perms[3] == 's')
		return ROW_SHARED;
	if (vma->perms[2] == 'x')
		return ROW_CODE;
	if (vma->perms[1] != 'w')
		return ROW_CONST;
	return vma->ino ? ROW_DATA : ROW_ANON;
}

static struct row *add_row(struct picture *p)
{
	if ((p->nr & (p->nr - 1)) == 0) { /* full at powers of two */
		struct row *more = realloc(p->rows, (p->nr ? 2 * p->nr : 1) * sizeof(*more));

		if (!more)
			return NULL;
		p->rows = more;
	}
	p->rows[p->nr] = (struct row){ .kind = ROW_GAP };
	return &p->rows[p->nr++];
}

static int add_vma(struct picture *p, const struct samara_vma_info *vma, unsigned long before)
{
	struct row *row;

	if (p->nr && vma->start - before >= GROUP_GAP) {
		row = add_row(p);
		if (!row)
			return -ENOMEM;
		row->start = before;
		row->end = vma->start;
	}
	row = add_row(p);
	if (!row)
		return -ENOMEM;
	row->kind = kind_of(vma);
	row->start = vma->start;
	row->end = vma->end;
	memcpy(row->perms, vma->perms, sizeof(row->perms));
	row->name = clean_copy(vma->name ? vma->name : "");
	p->mappings++;
	p->bytes += vma->end - vma->start;
	return row->name ? 0 : -ENOMEM;
}

int picture_of(struct samara_mm *mm, const char *title, struct picture *out)
{
	struct samara_vma_info vma;
	unsigned long at = 0;
	int err = 0;

	*out = (struct picture){ 0 };
	snprintf(out->title, sizeof(out->title), "%s", title);
	while (!err && samara_vma_next(mm, at, &vma) == 0) {
		err = add_vma(out, &vma, at);
		at = vma.end;
	}
	if (!err && samara_gate_info(mm, &vma) == 0)
		err = add_vma(out, &vma, at);
	if (err)
		picture_free(out);
	return err;
}

void picture_free(struct picture *p)
{
	for (size_t i = 0; i < p->nr; i++)
		free(p->rows[i].name);
	free(p->rows);
	p->rows = NULL;
	p->nr = 0;
}

unsigned int bar_length(unsigned long bytes)
{
	unsigned int length = 1;

	while (length < BAR_MAX && bytes > 4096) {
		bytes = bytes / 2 + bytes % 2;
		length++;
	}
	return length;
}

void size_text(unsigned long bytes, char out[16])
{
	static const char units[] = "KMGTPE";
	double size = (double)bytes / 1024;
	size_t unit = 0;

	while (size >= 1000 && unit + 2 < sizeof(units)) {
		size /= 1024;
		unit++;
	}
	if (size < 10 && unit)
		snprintf(out, 16, "%.1f%c", size, units[unit]);
	else
		snprintf(out, 16, "%.0f%c", size, units[unit]);
}

static void print_bar(const struct row *row, FILE *to, bool coloured)
{
	static const char blanks[BAR_MAX + 1] = "                                ";
	const struct row_style *style = &row_styles[row->kind];
	int length = (int)bar_length(row->end - row->start);

	if (coloured) {
		fprintf(to, "\033[48;5;%dm%.*s\033[0m", style->ansi, length, blanks);
	} else {
		for (int i = 0; i < length; i++)
			fputc(style->letter, to);
	}
	fprintf(to, "%*s", BAR_MAX - length, "");
}

static void print_legend(const struct picture *p, FILE *to, bool coloured)
{
	bool used[ROW_KINDS] = { false };

	for (size_t i = 0; i < p->nr; i++)
		if (p->rows[i].kind != ROW_GAP)
			used[p->rows[i].kind] = true;
	fputc('\n', to);
	for (size_t k = 0; k < ROW_KINDS; k++) {
		if (!used[k])
			continue;
		if (coloured)
			fprintf(to, "  \033[48;5;%dm  \033[0m %s", row_styles[k].ansi,
				row_styles[k].meaning);
		else
			fprintf(to, "  %c %s", row_styles[k].letter, row_styles[k].meaning);
	}
	fputs("\n  a bar grows by one for each doubling, from 4K\n", to);
}

void picture_print(const struct picture *p, FILE *to, const bool *colours)
{
	bool coloured = colours && *colours;
	char size[16];

	size_text(p->bytes, size);
	fprintf(to, "%s: %lu mappings, %s\n\n", p->title, p->mappings, size);
	for (size_t i = 0; i < p->nr; i++) {
		const struct row *row = &p->rows[i];

		size_text(row->end - row->start, size);
		if (row->kind == ROW_GAP) {
			fprintf(to, "%16s  ~ %s empty ~\n", "", size);
			continue;
		}
		fprintf(to, "%016lx  ", row->start);
		print_bar(row, to, coloured);
		fprintf(to, " %6s  %s%s%s\n", size, row->perms, *row->name ? "  " : "", row->name);
	}
	print_legend(p, to, coloured);
}
