/* SPDX-License-Identifier: MIT */
/*
 * One line of strace: its prefix, and the call with arguments and result.
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

/* 12:34:56[.frac], 1700000000[.frac], 0.000012: where it ends, or NULL. */
static const char *time_stamp(const char *s, double *out)
{
	double sum = 0, part;
	char *end;
	int parts = 0;

	if (*s < '0' || *s > '9')
		return NULL;
	do {
		const char *from = s + (parts && *s == ':');

		if (*from < '0' || *from > '9')
			return NULL;
		part = strtod(from, &end);
		sum = sum * 60 + part;
		s = end;
		parts++;
	} while (*s == ':' && parts < 3);
	if (parts == 2 || (*s != ' ' && *s != '\t'))
		return NULL;
	*out = sum;
	return s;
}

static const char *thread_id(const char *s, int *out)
{
	const char *from = s;
	char *end;
	long id;

	if (strncmp(s, "[pid", 4) == 0)
		from = skip_spaces(s + 4);
	if (*from < '0' || *from > '9')
		return s;
	errno = 0;
	id = strtol(from, &end, 10);
	if (errno || id <= 0 || id > PID_LIMIT)
		return s;
	if (from != s) {
		if (*end != ']')
			return s;
		end++;
	} else if (*end != ' ' && *end != '\t') {
		return s;
	}
	*out = (int)id;
	return end;
}

const char *line_prefix(const char *line, struct trace_event *ev)
{
	const char *s = skip_spaces(line), *next;

	ev->time = -1;
	ev->relative = false;
	s = skip_spaces(thread_id(s, &ev->tid));
	/* -r and -t together write two stamps; the first is the one that counts up */
	for (int i = 0; i < 2; i++) {
		double t;

		next = time_stamp(s, &t);
		if (!next && *s == '(' && (next = strchr(s, '+')) && time_stamp(next + 1, &t))
			next = strchr(next, ')') ? strchr(next, ')') + 1 : NULL;
		if (!next)
			break;
		if (ev->time < 0) {
			ev->time = t;
			ev->relative = t < 1e8 && strcspn(s, ":") > (size_t)(next - s);
		}
		s = skip_spaces(next);
	}
	/* -i [00007f0000000000] and -n [  9] */
	while (*s == '[') {
		const char *in = skip_spaces(s + 1);

		in += strspn(in, "0123456789abcdef?");
		if (*in != ']')
			break;
		s = skip_spaces(in + 1);
	}
	return s;
}

/*
 * Behind the note that -y puts at a descriptor; s stands on its `<`. Paths have
 * their own angle brackets escaped, but TCP:[a->b] has an arrow and -yy nests.
 */
static const char *skip_note(const char *s)
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

static const char *skip_string(const char *s)
{
	for (s++; *s && *s != '"'; s++)
		if (*s == '\\' && s[1])
			s++;
	return *s ? s + 1 : NULL;
}

static const char *skip_comment(const char *s)
{
	const char *end = strstr(s + 2, "*/");

	return end ? end + 2 : NULL;
}

/* The mark of a call that has no end in this line; s stands on a `<`. */
static bool end_mark(const char *s, struct trace_event *ev, enum call_end *end)
{
	static const char moved[] = "<pid changed to ";

	if (strncmp(s, "<unfinished ...>", 16) == 0 || strncmp(s, "<detached ...>", 14) == 0) {
		*end = CALL_UNFINISHED;
		return true;
	}
	if (strncmp(s, moved, sizeof(moved) - 1) == 0) {
		long to = strtol(s + sizeof(moved) - 1, NULL, 10);

		if (to <= 0 || to > PID_LIMIT)
			return false;
		ev->number = (int)to;
		*end = CALL_MOVED;
		return true;
	}
	return false;
}

static int add_arg(struct trace_event *ev, const char *from, const char *to)
{
	from = skip_spaces(from);
	while (to > from && to[-1] == ' ')
		to--;
	if (to == from)
		return 0;
	if (ev->nr_args == TRACE_MAX_ARGS)
		return -EINVAL;
	ev->args[ev->nr_args++] = (struct slice){ from, (size_t)(to - from) };
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
			s = skip_string(s);
			continue;
		}
		if (c == '/' && s[1] == '*') {
			s = skip_comment(s);
			continue;
		}
		if (c == '<' && end_mark(s, ev, end))
			return add_arg(ev, from, s) ? NULL : s;
		if (c == '<' && s[1] == '<') {
			s += 2;
			continue;
		}
		if (c == '<') {
			s = skip_note(s);
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

/* ENOMEM -> 12; 0 when it is no errno's name. */
static int errno_of(const char *s)
{
	size_t len = strcspn(s, " (\t");

	for (int e = 1; e < 134; e++) {
		const char *name = strerrorname_np(e);

		if (name && strlen(name) == len && memcmp(name, s, len) == 0)
			return e;
	}
	return 0;
}

static int read_result(const char *s, struct trace_event *ev, char why[120])
{
	char *end;

	s = skip_spaces(s);
	if (*s != '=' || (s[1] != ' ' && s[1] != '\t')) {
		snprintf(why, 120, "no result after the arguments");
		return -EINVAL;
	}
	s = skip_spaces(s + 1);
	if (*s == '?') {
		s = skip_spaces(s + 1);
		ev->result = strncmp(s, "ERESTART", 8) == 0 ? RESULT_RESTART : RESULT_NONE;
		return 0;
	}
	if (strncmp(s, "-1 ", 3) == 0) {
		s = skip_spaces(s + 3);
		ev->err =
			strncmp(s, "(errno ", 7) == 0 ? (int)strtol(s + 7, NULL, 10) : errno_of(s);
		if (ev->err <= 0) {
			snprintf(why, 120, "unknown error `%.40s`", s);
			return -EINVAL;
		}
		ev->result = RESULT_ERROR;
		return 0;
	}
	errno = 0;
	ev->value = *s == '-' ? (unsigned long)strtol(s, &end, 0) : strtoul(s, &end, 0);
	if (end == s || errno || !strchr(" \t<(", *end)) {
		snprintf(why, 120, "the result `%.40s` is no number", s);
		return -EINVAL;
	}
	ev->result = RESULT_VALUE;
	return 0;
}

int line_call(const char *text, struct trace_event *ev, enum call_end *end, size_t *open,
	      char why[120])
{
	const char *s = text, *stop;

	while ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' || *s == '?' ||
	       (*s >= '0' && *s <= '9'))
		s++;
	ev->call = (struct slice){ text, (size_t)(s - text) };
	if (s == text || (*s != '(' && !(*s == ' ' && s[1] == '('))) {
		snprintf(why, 120, "neither a call nor an event");
		return -EINVAL;
	}
	stop = split_args(s + 1 + (*s == ' '), ev, end);
	if (!stop) {
		snprintf(why, 120, "the arguments of %.*s do not end",
			 (int)(ev->call.len > 40 ? 40 : ev->call.len), text);
		return -EINVAL;
	}
	*open = (size_t)(stop - text);
	return *end == CALL_COMPLETE ? read_result(stop, ev, why) : 0;
}
