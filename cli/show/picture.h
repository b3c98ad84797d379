/* SPDX-License-Identifier: MIT */
/*
 * An address space as rows of a picture, the same for terminal and SVG.
 *
 * One mapping is one row. Its bar grows with the logarithm of its size, as a
 * map holds pages and terabytes side by side; gaps are rows of their own when
 * they are wide enough to separate groups.
 */
#ifndef CLI_SHOW_PICTURE_H
#define CLI_SHOW_PICTURE_H

#include <stddef.h>
#include <stdio.h>

#include <samara/mm.h>

enum row_kind {
	ROW_CODE,
	ROW_CONST,
	ROW_DATA,
	ROW_ANON,
	ROW_HEAP,
	ROW_STACK,
	ROW_SHARED,
	ROW_RESERVED,
	ROW_KERNEL,
	ROW_KINDS,
	ROW_GAP = ROW_KINDS,
};

struct row_style {
	const char *meaning; /* for the legend */
	char letter;         /* the bar without colours */
	int ansi;            /* background, ESC [ 48;5;N m */
	const char *svg;
};

extern const struct row_style row_styles[ROW_KINDS];

struct row {
	enum row_kind kind;
	unsigned long start, end;
	char perms[5];
	char *name;
};

struct picture {
	struct row *rows;
	size_t nr;
	unsigned long mappings, bytes;
	char title[160];
};

#define BAR_MAX 32 /* of BAR_MAX characters: 8 TiB and more */

/* 0 or -ENOMEM. */
int picture_of(struct samara_mm *mm, const char *title, struct picture *out);
void picture_free(struct picture *p);

/* 4 KiB is 1, each doubling 1 more, BAR_MAX at most. */
unsigned int bar_length(unsigned long bytes);
/* "328K", "1.5G": at most 7 characters */
void size_text(unsigned long bytes, char out[16]);

void picture_print(const struct picture *p, FILE *to, const bool *colours); /* NULL: none */
int picture_svg(const struct picture *p, FILE *to);                         /* 0 or -EIO */

#endif
