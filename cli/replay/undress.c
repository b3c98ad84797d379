/* SPDX-License-Identifier: MIT */
/*
 * What a line has on when it did not come straight from strace: colours of a
 * terminal or of grep, the quote marks of mail and Markdown, line ends of
 * other systems.
 *
 *	"> > \033[1m7  brk(NULL)\033[0m = 0x1000 \r"   becomes   "7  brk(NULL) = 0x1000"
 *
 * strace escapes what is not printable, so that an ESC in a line is never its
 * own. A `>` in the first column is not strace's either: the frames of a stack
 * (-k) have a space before it.
 */
#include <stdbool.h>
#include <string.h>

#include "replay/input.h"

/* Behind the escape sequence at s (ECMA-48); s stands on the ESC. */
static const char *behind_escape(const char *s)
{
	s++;
	if (*s == '[') { /* CSI: parameters, intermediates, a final byte */
		s++;
		while (*s >= 0x20 && *s <= 0x3f)
			s++;
		return *s >= 0x40 && *s <= 0x7e ? s + 1 : s;
	}
	if (*s == ']' || *s == 'P' || *s == '_' || *s == '^') { /* up to BEL or ESC \ */
		const char *end = s + strcspn(s, "\a\033");

		if (*end == '\a')
			return end + 1;
		return *end && end[1] == '\\' ? end + 2 : s + 1; /* no end: nothing is hidden */
	}
	while (*s >= 0x20 && *s <= 0x2f)
		s++;
	return *s >= 0x30 && *s <= 0x7e ? s + 1 : s;
}

char *line_undress(char *line)
{
	const char *from = strchr(line, '\033');
	char *to = line + (from ? from - line : (long)strlen(line));

	while (from && *from) {
		if (*from == '\033')
			from = behind_escape(from);
		else
			*to++ = *from++;
	}
	while (to > line && strchr("\r \t", to[-1]))
		to--;
	*to = '\0';
	while (*line == '>') {
		line++;
		if (*line == ' ')
			line++;
	}
	return line;
}
