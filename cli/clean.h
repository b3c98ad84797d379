/* SPDX-License-Identifier: MIT */
/*
 * The one way of foreign text to a terminal: lines of a trace, and names of
 * files and programs. A trace may hold anything, escape sequences too.
 *
 * Printable ASCII and valid UTF-8 stay. A control character (C0, DEL and C1), a
 * mark that turns the direction of writing, and a byte that is no UTF-8 become
 * \ooo, three octal digits a byte. The result holds no newline and is valid
 * UTF-8.
 */
#ifndef CLI_CLEAN_H
#define CLI_CLEAN_H

#include <stddef.h>
#include <stdio.h>

/*
 * The clean form of text[0..len), terminated, and cut at a whole character
 * before size. The bytes used are returned, without the terminator.
 */
size_t clean_text(const char *text, size_t len, char *out, size_t size);

/* The same of a terminated string; out is returned. */
const char *clean(const char *text, char *out, size_t size);

/* The same in memory of its own; NULL: none. */
char *clean_copy(const char *text);

/* Write the clean form to the stream. */
void clean_put(const char *text, size_t len, FILE *to);

#endif
