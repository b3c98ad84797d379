/* SPDX-License-Identifier: MIT */
/*
 * Lines to events, and the calls that strace tore apart put together.
 *
 * What is kept between lines: for each thread the text of a call that has begun
 * and not ended. A thread has one such call at most, so the memory needed grows
 * with the number of threads, not with the trace.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/strace_line.h"

#define BUCKETS 256

struct pending {
	struct pending *next;
	int tid;
	size_t len;
	char text[];
};

struct trace_parser {
	struct pending *bucket[BUCKETS];
	char *joined; /* the last call that was put together; events point into it */
	char *broken; /* a line that one of strace's own messages cut in two, or NULL */
	char *mended;
};

struct trace_parser *trace_parser_new(void)
{
	return calloc(1, sizeof(struct trace_parser));
}

void trace_parser_free(struct trace_parser *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (p->bucket[i]) {
			struct pending *next = p->bucket[i]->next;

			free(p->bucket[i]);
			p->bucket[i] = next;
		}
	}
	free(p->joined);
	free(p->broken);
	free(p->mended);
	free(p);
}

/* Take out what tid has begun; NULL when nothing. The caller frees it. */
static struct pending *take_pending(struct trace_parser *p, int tid)
{
	struct pending **at = &p->bucket[(unsigned int)tid % BUCKETS], *found;

	while (*at && (*at)->tid != tid)
		at = &(*at)->next;
	found = *at;
	if (found)
		*at = found->next;
	return found;
}

/*
 * What a resumed call has begun with. strace writes no thread while there is
 * only one, so the two halves of a call may be with and without.
 */
static struct pending *take_begun(struct trace_parser *p, struct trace_event *ev)
{
	struct pending *found = take_pending(p, ev->tid), *only = NULL;

	if (found)
		return found;
	if (ev->tid)
		return take_pending(p, 0);
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct pending *at = p->bucket[i]; at; at = at->next) {
			if (only)
				return NULL;
			only = at;
		}
	}
	if (!only)
		return NULL;
	ev->tid = only->tid;
	return take_pending(p, only->tid);
}

static int keep_pending(struct trace_parser *p, int tid, const char *text, size_t len)
{
	struct pending *new = malloc(sizeof(*new) + len + 1);
	struct pending **head = &p->bucket[(unsigned int)tid % BUCKETS];

	free(take_pending(p, tid));
	if (!new)
		return -ENOMEM;
	new->tid = tid;
	new->len = len;
	memcpy(new->text, text, len);
	new->text[len] = '\0';
	new->next = *head;
	*head = new;
	return 0;
}

/* NAME(... in whatever state it is. */
static int parse_call(struct trace_parser *p, const char *text, struct trace_event *ev,
		      char why[120])
{
	enum call_end end;
	size_t open;
	int err = line_call(text, ev, &end, &open, why);

	if (err)
		return err;
	if (end == CALL_COMPLETE) {
		ev->kind = TRACE_CALL;
		return 0;
	}
	ev->kind = TRACE_ENTRY;
	while (open && text[open - 1] == ' ')
		open--;
	return keep_pending(p, end == CALL_MOVED ? ev->number : ev->tid, text, open);
}

/* <... NAME resumed>rest */
static int parse_resumed(struct trace_parser *p, const char *text, struct trace_event *ev,
			 char why[120])
{
	const char *name = text + strlen("<... "), *mark = strstr(name, " resumed>"), *rest;
	struct pending *begun = take_begun(p, ev);
	size_t len, rest_len;

	if (!mark || mark == name) {
		snprintf(why, 120, "`<...` without `resumed>`");
		goto malformed;
	}
	len = (size_t)(mark - name);
	rest = mark + strlen(" resumed>");
	if (!begun) {
		snprintf(why, 120, "%.*s resumed, but it has not begun", len > 40 ? 40 : (int)len,
			 name);
		goto malformed;
	}
	if (strncmp(begun->text, name, len) != 0 || begun->text[len] != '(') {
		snprintf(why, 120, "%.*s resumed, but another call has begun",
			 len > 40 ? 40 : (int)len, name);
		goto malformed;
	}
	/* `<... mprotect resumed>) = 0`; before strace 5.4 ` resumed> )`. */
	rest_len = strlen(rest);
	free(p->joined);
	p->joined = malloc(begun->len + rest_len + 1);
	if (!p->joined) {
		free(begun);
		return -ENOMEM;
	}
	memcpy(p->joined, begun->text, begun->len);
	memcpy(p->joined + begun->len, rest, rest_len + 1);
	free(begun);
	return parse_call(p, p->joined, ev, why);

malformed:
	free(begun);
	return -EINVAL;
}

/* +++ what +++ */
static int parse_ending(struct trace_parser *p, const char *text, struct trace_event *ev,
			char why[120])
{
	static const char exited[] = "+++ exited with ", killed[] = "+++ killed by ",
			  superseded[] = "+++ superseded by execve in pid ";

	if (strncmp(text, exited, sizeof(exited) - 1) == 0) {
		ev->kind = TRACE_EXITED;
		ev->number = (int)strtol(text + sizeof(exited) - 1, NULL, 10);
		free(take_pending(p, ev->tid));
	} else if (strncmp(text, killed, sizeof(killed) - 1) == 0) {
		ev->kind = TRACE_KILLED;
		free(take_pending(p, ev->tid));
	} else if (strncmp(text, superseded, sizeof(superseded) - 1) == 0) {
		struct pending *execve;
		int err = 0;

		ev->kind = TRACE_SUPERSEDED;
		ev->number = (int)strtol(text + sizeof(superseded) - 1, NULL, 10);
		/* What that thread has begun goes on under this number. */
		execve = take_pending(p, ev->number);
		if (execve)
			err = keep_pending(p, ev->tid, execve->text, execve->len);
		free(execve);
		return err;
	} else {
		snprintf(why, 120, "unknown ending `%.40s`", text);
		return -EINVAL;
	}
	return 0;
}

/* strace: Process 7 attached, and what else strace says of itself. */
static int parse_note(const char *text, struct trace_event *ev)
{
	static const char process[] = "strace: Process ";
	char *end;

	ev->kind = TRACE_OTHER;
	if (strncmp(text, process, sizeof(process) - 1) == 0) {
		ev->number = (int)strtol(text + sizeof(process) - 1, &end, 10);
		if (strncmp(end, " attached", 9) == 0)
			ev->kind = TRACE_ATTACHED;
	}
	return 0;
}

/* Whether at stands inside a quoted string of the line. */
static bool is_quoted(const char *line, const char *at)
{
	bool quoted = false;

	for (; line < at; line++) {
		if (*line == '"')
			quoted = !quoted;
		else if (*line == '\\' && quoted)
			line++;
	}
	return quoted;
}

/*
 * Without -o strace's messages go where the trace goes, and cut a line in two:
 *
 *	clone(child_stack=NULL, flags=SIGCHLDstrace: Process 8 attached
 *	, child_tidptr=0x7f..) = 8
 *
 * Keep the first half. true when line is such a line.
 */
static bool cut_by_message(struct trace_parser *p, const char *line, struct trace_event *ev)
{
	const char *message = strstr(line, "strace: Process ");

	if (!message || message == line || !strstr(message, " attached"))
		return false;
	if (message[strlen(message) - 1] != 'd' || is_quoted(line, message))
		return false;
	free(p->broken);
	p->broken = strndup(line, (size_t)(message - line));
	parse_note(message, ev);
	return true;
}

/* The two halves of a line that was cut, or line itself; NULL: no memory. */
static const char *mend(struct trace_parser *p, const char *line)
{
	size_t first, second;

	if (!p->broken)
		return line;
	first = strlen(p->broken);
	second = strlen(line);
	free(p->mended);
	p->mended = malloc(first + second + 1);
	if (p->mended) {
		memcpy(p->mended, p->broken, first);
		memcpy(p->mended + first, line, second + 1);
	}
	free(p->broken);
	p->broken = NULL;
	return p->mended;
}

int trace_parse(struct trace_parser *p, const char *line, int tid, struct trace_event *ev,
		char why[120])
{
	const char *text;

	*ev = (struct trace_event){ .kind = TRACE_OTHER, .tid = tid };
	if (strncmp(line, " > ", 3) == 0 || *line == '\0') /* -k: a frame of the stack */
		return 0;
	if (strncmp(line, "strace: ", 8) == 0 || cut_by_message(p, line, ev))
		return strncmp(line, "strace: ", 8) == 0 ? parse_note(line, ev) : 0;
	line = mend(p, line);
	if (!line)
		return -ENOMEM;
	text = line_prefix(line, ev);
	if (strncmp(text, "--- ", 4) == 0) {
		ev->kind = TRACE_SIGNAL;
		return 0;
	}
	if (strncmp(text, "+++ ", 4) == 0)
		return parse_ending(p, text, ev, why);
	if (strncmp(text, "<... ", 5) == 0)
		return parse_resumed(p, text, ev, why);
	if (strncmp(text, "strace: ", 8) == 0 || strncmp(text, " > ", 3) == 0)
		return parse_note(text, ev);
	return parse_call(p, text, ev, why);
}
