/* SPDX-License-Identifier: MIT */
/*
 * What stands before the call in a line of strace, and before strace's own line
 * where a logger has added to it.
 *
 *	Nov 28 16:29:48 host strace[12]: 7<prog> 12:00:01.5 [00007f00] [label_t] mmap(...
 *	'------------------------------' '-----' '--------' '-----------------'
 *	          logger                  thread    time      -n, -i, --secontext
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/strace_line.h"

#define PID_LIMIT 4194304 /* the kernel's PID_MAX_LIMIT; more is a time */
#define COMM_MAX 80       /* -Y: 15 bytes, each at most \ooo, and some room */

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

/* (+     0.000131), of -r and -t together: where it ends, or NULL. */
static const char *difference(const char *s, double *out)
{
	char *end;

	if (strncmp(s, "(+", 2) != 0)
		return NULL;
	*out = strtod(s + 2, &end);
	return *end == ')' ? end + 1 : NULL;
}

/* 7, 7<prog> (-Y), [pid 7], [pid 7<prog>]; s itself when it is none of them. */
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
	if (*end == '<') { /* its own angle brackets are escaped */
		size_t len = strcspn(end, ">");

		if (end[len] != '>' || len > COMM_MAX)
			return s;
		end += len + 1;
	}
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

/*
 * A word in square brackets: [  9] (-n), [00007f0000000000] and [????????] (-i),
 * [unconfined_t] (--secontext), [   12.345678] of the kernel's log. NULL: none.
 */
static const char *bracketed(const char *s)
{
	const char *in;

	if (*s != '[')
		return NULL;
	in = skip_spaces(s + 1);
	in += strcspn(in, " \t[](\"");
	return *in == ']' ? in + 1 : NULL;
}

static const char *behind_strace(const char *line, struct trace_event *ev)
{
	const char *s = skip_spaces(line), *next;

	ev->stamp.time = -1;
	ev->stamp.relative = false;
	s = skip_spaces(thread_id(s, &ev->tid));
	/* -r and -t together write two stamps; the first is the one that counts up */
	for (int stamps = 0;;) {
		double t;

		next = bracketed(s);
		if (!next && stamps++ < 2) {
			next = time_stamp(s, &t);
			if (!next)
				next = difference(s, &t);
			if (next && ev->stamp.time < 0) {
				ev->stamp.time = t;
				ev->stamp.relative =
					t < 1e8 && strcspn(s, ":") > (size_t)(next - s);
			}
		}
		if (!next)
			return s;
		s = skip_spaces(next);
	}
}

bool line_is_frame(const char *s)
{
	const char *at;

	if (strncmp(s, " > ", 3) != 0)
		return false;
	for (at = strchr(s, ')'); at; at = strchr(at + 1, ')'))
		if (strncmp(skip_spaces(at + 1), "= ", 2) == 0)
			return false; /* a call has a result; it is quoted */
	at = strstr(s, " [0x");
	if (!at)
		return false;
	at += 4 + strspn(at + 4, "0123456789abcdef");
	return at[0] == ']' && (at[1] == '\0' || at[1] == ' ');
}

/* Can an event begin here? */
static bool is_event(const char *s)
{
	static const char *const marks[] = { "--- ", "+++ ", "<... ",
					     "strace: ", "[ Process PID=" };
	const char *word = s;

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (strncmp(s, marks[i], strlen(marks[i])) == 0)
			return true;
	while (isalnum((unsigned char)*word) || *word == '_' || *word == '?')
		word++;
	return word > s && *word == '(';
}

/*
 * Does a logger's line begin so? With a date (Nov 28 .., 2026-11-28..), a time
 * since boot ([   12.345678]), a name with a number (strace[12]:) or one before
 * a bar (web_1  | ..).
 */
static bool is_logged(const char *s)
{
	size_t word = strcspn(s, " \t[:");
	const char *bar = strstr(s, " | ");
	int digits = 0;

	if (isupper((unsigned char)s[0]) && word == 3 && s[3] == ' ' &&
	    isdigit((unsigned char)*skip_spaces(s + 3)))
		return true;
	while (isdigit((unsigned char)s[digits]))
		digits++;
	if (digits == 4 && s[4] == '-' && isdigit((unsigned char)s[5]))
		return true;
	if (word && s[word] == '[') {
		const char *in = s + word + 1;

		in += strspn(in, "0123456789");
		if (strncmp(in, "]: ", 3) == 0)
			return true;
	}
	if (bar) {
		const char *end = s + strcspn(s, " \t(\"");

		return skip_spaces(end) == bar + 1;
	}
	return false;
}

/* Nov 28 */
static const char *behind_day(const char *line)
{
	const char *s = skip_spaces(line + 3);

	return s + strspn(s, "0123456789");
}

const char *line_prefix(const char *line, struct trace_event *ev)
{
	const char *text = behind_strace(line, ev), *stop;
	int tid = ev->tid;

	if (is_event(text))
		return text;
	if (!is_logged(line) && !(*line == '[' && is_logged(text)))
		return text;
	/* strace's line begins at the first word from which it can be read; a day is no thread */
	stop = line + strcspn(line, "(\"");
	for (const char *s = isupper((unsigned char)*line) ? behind_day(line) : line; s < stop;
	     s++) {
		struct trace_event inner = { .tid = tid };
		const char *found;

		if (s > line && s[-1] != ' ' && s[-1] != '\t')
			continue;
		if (line_is_frame(s))
			return s;
		found = behind_strace(s, &inner);
		if (!is_event(found))
			continue;
		ev->tid = inner.tid;
		ev->stamp.time = inner.stamp.time;
		ev->stamp.relative = inner.stamp.relative;
		return found;
	}
	return text;
}
