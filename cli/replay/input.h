/* SPDX-License-Identifier: MIT */
/*
 * Lines of a file that may be compressed: plain text, gzip or zstd, told apart
 * by their first bytes. Memory does not grow with the file.
 */
#ifndef CLI_REPLAY_INPUT_H
#define CLI_REPLAY_INPUT_H

#include <stddef.h>

#define INPUT_LINE_MAX (1UL << 20) /* a longer line is cut, and said to be */

struct input;

/*
 * 0, or -errno with one sentence in why: not readable, empty, or binary (a NUL
 * within the first bytes of the text).
 */
int input_open(const char *path, struct input **out, char why[160]);
void input_close(struct input *in);

/*
 * The next line, terminated, without its newline and undressed; it lives until the next call.
 * 1: a line. 0: the end. -EFBIG: a line above INPUT_LINE_MAX, skipped; the next
 * call goes on behind it. Anything else negative: the file ends within its
 * compressed data or is damaged, with a sentence in why.
 */
int input_line(struct input *in, const char **line, char why[160]);

/*
 * undress.c: take off in place what does not come from the program that wrote
 * the line: escape sequences, blanks and carriage returns at the end, quote
 * marks (`> `) at the front. Where the line begins now.
 */
char *line_undress(char *line);

/* What has been read of the text and not been given out as lines; not terminated. */
const char *input_ahead(const struct input *in, size_t *len);

const char *input_path(const struct input *in);
unsigned long input_number(const struct input *in); /* of the last line, from 1 */

/* How far the file has been read, 0..1; negative when that is not known. */
double input_progress(const struct input *in);

#endif
