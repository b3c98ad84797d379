/* SPDX-License-Identifier: MIT */
/*
 * The picture as SVG: one row below the other, a legend under it. No script, no
 * font of its own; each bar has a tooltip with the range.
 */
#include <errno.h>
#include <string.h>

#include "show/picture.h"

#define ROW_HEIGHT 18
#define BAR_LEFT 150
#define BAR_UNIT 9
#define TEXT_LEFT (BAR_LEFT + BAR_MAX * BAR_UNIT + 12)
#define CHARACTER 7.5 /* of 12px monospace, the wider fonts included */

/* Text between tags: what XML reserves, and control characters, as entities. */
static void put_text(const char *s, FILE *to)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '&' || c == '<' || c == '>' || c == '"')
			fprintf(to, "&#%u;", c);
		else
			fputc(c < 0x20 || c == 0x7f ? '?' : c, to);
	}
}

static void put_row(const struct row *row, int y, FILE *to)
{
	char size[16];
	int text_y = y + ROW_HEIGHT - 5;

	size_text(row->end - row->start, size);
	if (row->kind == ROW_GAP) {
		fprintf(to, "<text class=\"gap\" x=\"%d\" y=\"%d\">~ %s empty ~</text>\n", BAR_LEFT,
			text_y, size);
		return;
	}
	fprintf(to, "<text x=\"8\" y=\"%d\">%016lx</text>\n", text_y, row->start);
	fprintf(to, "<rect x=\"%d\" y=\"%d\" width=\"%u\" height=\"%d\" fill=\"%s\"><title>",
		BAR_LEFT, y + 1, bar_length(row->end - row->start) * BAR_UNIT, ROW_HEIGHT - 3,
		row_styles[row->kind].svg);
	fprintf(to, "%lx-%lx %s ", row->start, row->end, row->perms);
	put_text(row->name, to);
	fprintf(to, "</title></rect>\n<text x=\"%d\" y=\"%d\" xml:space=\"preserve\">%6s  %s  ",
		TEXT_LEFT, text_y, size, row->perms);
	put_text(row->name, to);
	fputs("</text>\n", to);
}

static void put_legend(int y, FILE *to)
{
	int x = 8;

	for (size_t k = 0; k < ROW_KINDS; k++) {
		fprintf(to, "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" fill=\"%s\"/>\n", x,
			y, row_styles[k].svg);
		fprintf(to, "<text x=\"%d\" y=\"%d\">%s</text>\n", x + 18, y + 12,
			row_styles[k].meaning);
		x += 34 + (int)(strlen(row_styles[k].meaning) * CHARACTER);
	}
	fprintf(to,
		"<text x=\"8\" y=\"%d\">a bar grows one step a doubling, from 4K</text>\n",
		y + 34);
}

/* Room for the longest name, and for the legend. */
static int picture_width(const struct picture *p)
{
	size_t longest = 70;

	for (size_t i = 0; i < p->nr; i++) {
		size_t length;

		if (p->rows[i].kind == ROW_GAP)
			continue;
		length = strlen("999.9K  rwxp  ") + strlen(p->rows[i].name);
		longest = length > longest ? length : longest;
	}
	return TEXT_LEFT + (int)((double)longest * CHARACTER) + 8;
}

int picture_svg(const struct picture *p, FILE *to)
{
	int rows = (int)p->nr, height = 44 + rows * ROW_HEIGHT + 64, width = picture_width(p);
	char size[16];

	size_text(p->bytes, size);
	fprintf(to,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\">\n"
		"<style>text{font:12px monospace;fill:#222}.gap{fill:#777}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		width, height, width, height);
	fputs("<text x=\"8\" y=\"22\" style=\"font-weight:bold\">", to);
	put_text(p->title, to);
	fprintf(to, ": %lu mappings, %s</text>\n", p->mappings, size);
	for (int i = 0; i < rows; i++)
		put_row(&p->rows[i], 36 + i * ROW_HEIGHT, to);
	put_legend(44 + rows * ROW_HEIGHT, to);
	fputs("</svg>\n", to);
	return ferror(to) ? -EIO : 0;
}
