/* SPDX-License-Identifier: MIT */
/*
 * The call in one line of strace: its name and arguments.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/strace_line.h"

#define PID_LIMIT 4194304 /* the kernel's PID_MAX_LIMIT; more is a time */

static const char *skip_spaces(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* Paths have their own angle brackets escaped, but TCP:[a->b] has an arrow and -yy nests. */
const char *line_skip_note(const char *s)
{
	int depth = 0, square = 0;

	for (; *s; s++) {
		if (*s == '\\' && s[1])
			s++;
		else if (*s == '<')
			depth++;
		else if (*s == '[' && s[-1] == ':')
			square++;
		else if (*s == ']' && square)
			square--;
		else if (*s == '>' && !(square && s[-1] == '-') && --depth == 0)
			return s + 1;
	}
	return NULL;
}

const char *line_skip_string(const char *s)
{
	for (s++; *s && *s != '"'; s++)
		if (*s == '\\' && s[1])
			s++;
	return *s ? s + 1 : NULL;
}

const char *line_skip_comment(const char *s)
{
	const char *end = strstr(s + 2, "*/");

	return end ? end + 2 : NULL;
}

/* Behind the mark of a call that has no end in this line, or NULL; s stands on a `<`. */
static const char *end_mark(const char *s, struct trace_event *ev, enum call_end *end)
{
	static const char moved[] = "<pid changed to ";

	if (strncmp(s, "<unfinished ...>", 16) == 0 || strncmp(s, "<detached ...>", 14) == 0) {
		*end = CALL_UNFINISHED;
		return strchr(s, '>') + 1;
	}
	if (strncmp(s, moved, sizeof(moved) - 1) == 0) {
		long to = strtol(s + sizeof(moved) - 1, NULL, 10);

		if (to <= 0 || to > PID_LIMIT)
			return NULL;
		s = strstr(s, "...>");
		if (!s)
			return NULL;
		ev->number = (int)to;
		*end = CALL_MOVED;
		return s + strlen("...>");
	}
	return NULL;
}

static int add_arg(struct trace_event *ev, const char *from, const char *to)
{
	from = skip_spaces(from);
	while (to > from && to[-1] == ' ')
		to--;
	if (to == from)
		return 0;
	if (ev->call.nr_args == TRACE_MAX_ARGS)
		return -EINVAL;
	ev->call.args[ev->call.nr_args++] = (struct slice){ from, (size_t)(to - from) };
	return 0;
}

/*
 * Split the arguments; s stands behind the opening bracket. Where the call ends:
 * behind its closing bracket, or on the end mark; NULL when neither is there.
 */
static const char *split_args(const char *s, struct trace_event *ev, enum call_end *end)
{
	const char *from = s;
	int depth = 0;

	*end = CALL_COMPLETE;
	while (s && *s) {
		char c = *s;

		if (c == '"') {
			s = line_skip_string(s);
			continue;
		}
		if (c == '/' && s[1] == '*') {
			s = line_skip_comment(s);
			continue;
		}
		if (c == '<' && end_mark(s, ev, end))
			return add_arg(ev, from, s) ? NULL : s;
		if (c == '<' && s[1] == '<') {
			s += 2;
			continue;
		}
		if (c == '<') {
			s = line_skip_note(s);
			continue;
		}
		if (c == '(' || c == '[' || c == '{') {
			depth++;
		} else if (c == ')' && depth == 0) {
			return add_arg(ev, from, s) ? NULL : s + 1;
		} else if (c == ')' || c == ']' || c == '}') {
			depth--;
		} else if (c == ',' && depth == 0) {
			if (add_arg(ev, from, s))
				return NULL;
			from = s + 1;
		}
		s++;
	}
	return NULL;
}

int line_call(const char *text, struct trace_event *ev, enum call_end *end, size_t *open,
	      char why[120])
{
	const char *s = text, *stop;

	while ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' || *s == '?' ||
	       (*s >= '0' && *s <= '9'))
		s++;
	ev->call.name = (struct slice){ text, (size_t)(s - text) };
	if (s == text || (*s != '(' && !(*s == ' ' && s[1] == '('))) {
		snprintf(why, 120, "neither a call nor an event");
		return -EINVAL;
	}
	stop = split_args(s + 1 + (*s == ' '), ev, end);
	if (!stop) {
		snprintf(why, 120, "the arguments of %.*s do not end",
			 (int)(ev->call.name.len > 40 ? 40 : ev->call.name.len), text);
		return -EINVAL;
	}
	*open = (size_t)(stop - text);
	if (*end == CALL_COMPLETE)
		return line_result(stop, ev, why);
	/* `read(3,  <unfinished ...>) = ?`: its thread was killed in it */
	stop = skip_spaces(end_mark(stop, ev, end));
	if (*stop == ')')
		return line_result(stop + 1, ev, why);
	ev->rest = *stop ? stop : NULL;
	return 0;
}
