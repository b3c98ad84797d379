/* SPDX-License-Identifier: MIT */
/*
 * The result of a call, and what strace says of it.
 *
 *	result := `=` value remark*
 *	value  := `?` [ERESTART..] | `-1` error | number
 *	error  := ENAME | `(errno` N `)` | `errno=` N
 *	remark := `<0.000012>` | `</path>` | `<prog>` | `<unavailable>`
 *	        | `(text)` | `[label_t]` | comment
 *
 * Whatever follows is no part of the call: ev->rest.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/strace_line.h"

#define ERESTART_FIRST 512 /* ERESTARTSYS .. ERESTART_RESTARTBLOCK: never seen by a program */
#define ERESTART_LAST 516

static const char *skip_spaces(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* ENOMEM -> 12; 0 when it is no errno's name. */
static int errno_of(const char *s, size_t len)
{
	static const struct {
		const char *name;
		int err;
	} others[] = {
		{ "EWOULDBLOCK", EAGAIN },
		{ "EDEADLOCK", EDEADLK },
		{ "ENOTSUP", EOPNOTSUPP },
		{ "ENOTSUPP", 524 },
	};

	for (int e = 1; e < 134; e++) {
		const char *name = strerrorname_np(e);

		if (name && strlen(name) == len && memcmp(name, s, len) == 0)
			return e;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strlen(others[i].name) == len && memcmp(others[i].name, s, len) == 0)
			return others[i].err;
	return 0;
}

/* Behind what stands in round brackets; NULL: they do not close. */
static const char *behind_brackets(const char *s)
{
	int depth = 0;

	while (s && *s) {
		if (*s == '"') {
			s = line_skip_string(s);
			continue;
		}
		if (*s == '(')
			depth++;
		else if (*s == ')' && --depth == 0)
			return s + 1;
		s++;
	}
	return NULL;
}

/* (INJECTED), (INJECTED: retval), (DELAYED), (DELAYED) (INJECTED): was the call made at all? */
static void note_injection(const char *s, const char *end, struct trace_event *ev)
{
	static const char injected[] = "(INJECTED", args[] = "(INJECTED: args)";
	size_t len = (size_t)(end - s);

	if (len < sizeof(injected) - 1 || memcmp(s, injected, sizeof(injected) - 1) != 0)
		return;
	if (len == sizeof(args) - 1 && memcmp(s, args, len) == 0)
		return; /* made, with other arguments: the ones that are shown */
	ev->result.injected = true;
}

/* 1 (a comment: 4827 in strace's PID NS): the number that the other lines have. */
static void note_namespace(const char *s, const char *end, struct trace_event *ev)
{
	const char *mark = strstr(s, " in strace's PID NS");
	char *stop;
	long id;

	if (!mark || mark >= end)
		return;
	id = strtol(skip_spaces(s + 2), &stop, 10);
	if (stop == mark && id > 0)
		ev->result.value = (unsigned long)id;
}

/* Take the remarks; what stands behind them. */
static const char *behind_remarks(const char *s, struct trace_event *ev)
{
	for (;;) {
		const char *next = NULL;

		s = skip_spaces(s);
		if (*s == '<' && strncmp(s, "<... ", 5) != 0) {
			next = line_skip_note(s);
		} else if (*s == '(') {
			next = behind_brackets(s);
			if (next)
				note_injection(s, next, ev);
		} else if (*s == '[' && strncmp(s, "[pid", 4) != 0 && strncmp(s, "[ ", 2) != 0) {
			next = strchr(s, ']');
			next = next ? next + 1 : NULL;
		} else if (s[0] == '/' && s[1] == '*') {
			next = line_skip_comment(s);
			if (next)
				note_namespace(s, next, ev);
		}
		if (!next)
			return s;
		s = next;
	}
}

/* s stands behind `-1 `. */
static const char *read_error(const char *s, struct trace_event *ev)
{
	size_t len = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (strncmp(s, "(errno ", 7) == 0) {
		ev->result.err = (int)strtol(s + 7, NULL, 10);
	} else if (strncmp(s, "errno=", 6) == 0) { /* as qemu -strace has it */
		ev->result.err = (int)strtol(s + 6, NULL, 10);
		s += 6 + strspn(s + 6, "0123456789");
	} else if (strncmp(s, "ERESTART", 8) == 0) {
		ev->result.err = ERESTART_FIRST;
		s += len;
	} else {
		ev->result.err = errno_of(s, len);
		s += len;
	}
	if (ev->result.err <= 0 || ev->result.err >= 4096)
		return NULL;
	ev->result.kind = RESULT_ERROR;
	if (ev->result.err >= ERESTART_FIRST && ev->result.err <= ERESTART_LAST)
		ev->result.kind = RESULT_RESTART;
	return s;
}

/* A call may follow at once; a hexadecimal number may then have eaten its first letters. */
static bool is_end_of_number(const char *end)
{
	if (*end == '\0' || strchr(" \t<([/", *end))
		return true;
	return (isalpha((unsigned char)*end) || *end == '_') && isdigit((unsigned char)end[-1]);
}

static const char *read_value(const char *s, struct trace_event *ev)
{
	char *end;

	if (*s == '?') {
		s = skip_spaces(s + 1);
		ev->result.kind = strncmp(s, "ERESTART", 8) == 0 ? RESULT_RESTART : RESULT_NONE;
		return s + strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	}
	if (strncmp(s, "-1 ", 3) == 0) {
		const char *next = read_error(skip_spaces(s + 3), ev);

		if (next)
			return next;
		/* a call may well return -1 */
		if (isalpha((unsigned char)*skip_spaces(s + 3)))
			return NULL;
	}
	errno = 0;
	ev->result.value = *s == '-' ? (unsigned long)strtol(s, &end, 0) : strtoul(s, &end, 0);
	if (end == s || errno || !is_end_of_number(end))
		return NULL;
	ev->result.kind = RESULT_VALUE;
	return end;
}

int line_result(const char *text, struct trace_event *ev, char why[120])
{
	const char *s = skip_spaces(text), *end;

	if (*s != '=' || (s[1] != ' ' && s[1] != '\t')) {
		snprintf(why, 120, "no result after the arguments");
		return -EINVAL;
	}
	s = skip_spaces(s + 1);
	end = read_value(s, ev);
	if (!end) {
		snprintf(why, 120,
			 strncmp(s, "-1 ", 3) == 0 ? "unknown error `%.40s`" :
						     "the result `%.40s` is no number",
			 strncmp(s, "-1 ", 3) == 0 ? s + 3 : s);
		return -EINVAL;
	}
	s = behind_remarks(end, ev);
	ev->rest = *s ? s : NULL;
	if (ev->result.injected)
		ev->result.kind = RESULT_NONE; /* the kernel has not seen this call */
	return 0;
}
