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

#include "replay/begun.h"
#include "replay/strace_line.h"

struct trace_parser {
	struct begun_table begun;
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
	begun_free(&p->begun);
	free(p->joined);
	free(p->broken);
	free(p->mended);
	free(p);
}

/*
 * What a resumed call has begun with. strace writes no thread while there is
 * only one, so the two halves of a call may be with and without.
 */
static struct begun *take_begun(struct trace_parser *p, struct trace_event *ev)
{
	struct begun *found = begun_take(&p->begun, ev->tid);

	if (found)
		return found;
	if (ev->tid)
		return begun_take(&p->begun, 0);
	if (p->begun.nr != 1)
		return NULL;
	ev->tid = p->begun.oldest->tid;
	return begun_take(&p->begun, ev->tid);
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
	return begun_keep(&p->begun, end == CALL_MOVED ? ev->number : ev->tid, text, open);
}

/* <... NAME resumed>rest */
static int parse_resumed(struct trace_parser *p, const char *text, struct trace_event *ev,
			 char why[120])
{
	const char *name = text + strlen("<... "), *mark = strstr(name, " resumed>"), *rest;
	struct begun *begun = take_begun(p, ev);
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
		free(begun_take(&p->begun, ev->tid));
	} else if (strncmp(text, killed, sizeof(killed) - 1) == 0) {
		ev->kind = TRACE_KILLED;
		free(begun_take(&p->begun, ev->tid));
	} else if (strncmp(text, superseded, sizeof(superseded) - 1) == 0) {
		struct begun *execve;
		int err = 0;

		ev->kind = TRACE_SUPERSEDED;
		ev->number = (int)strtol(text + sizeof(superseded) - 1, NULL, 10);
		/* What that thread has begun goes on under this number. */
		execve = begun_take(&p->begun, ev->number);
		if (execve)
			err = begun_keep(&p->begun, ev->tid, execve->text, execve->len);
		free(execve);
		return err;
	} else {
		snprintf(why, 120, "unknown ending `%.40s`", text);
		return -EINVAL;
	}
	return 0;
}

/*
 * strace's own messages begin with the name that it was called by: `strace: `,
 * `/usr/bin/strace: `. What the message says; NULL: it is none.
 */
static const char *own_message(const char *line)
{
	static const char name[] = "strace: ";
	const char *end = line + strcspn(line, ": \"(<");

	if (strncmp(end, ": ", 2) != 0 || end - line < 6 || memcmp(end - 6, name, 6) != 0)
		return NULL;
	return end - line == 6 || end[-7] == '/' ? end + 2 : NULL;
}

/* strace: Process 7 attached, and what else strace says of itself. */
static void parse_message(const char *text, struct trace_event *ev)
{
	static const char process[] = "Process ";
	char *end;

	ev->kind = TRACE_OTHER;
	if (strncmp(text, process, sizeof(process) - 1) == 0) {
		ev->number = (int)strtol(text + sizeof(process) - 1, &end, 10);
		end += strcspn(end, " "); /* -Y: 7<prog> */
		if (strncmp(end, " attached", 9) == 0)
			ev->kind = TRACE_ATTACHED;
	}
}

/* [ Process PID=7 runs in 32 bit mode. ] */
static int parse_mode(const char *text, struct trace_event *ev, char why[120])
{
	static const struct {
		const char *name;
		enum trace_mode mode;
	} modes[] = { { "64 bit", MODE_64 }, { "32 bit", MODE_32 }, { "x32", MODE_X32 } };
	char name[16] = "";
	int pid;

	if (sscanf(text, "[ Process PID=%d runs in %15[^m]mode. ]", &pid, name) == 2) {
		for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
			if (strncmp(name, modes[i].name, strlen(modes[i].name)) != 0)
				continue;
			ev->kind = TRACE_MODE;
			ev->mode = modes[i].mode;
			if (!ev->tid)
				ev->tid = pid;
			return 0;
		}
	}
	snprintf(why, 120, "unknown mode of a process `%.60s`", text);
	return -EINVAL;
}

/* The table that -c and -C write at the end: a head, a rule, rows of numbers. */
static bool is_count_table(const char *line)
{
	const char *s = line + strspn(line, " ");
	double share, seconds;
	int used = 0;

	if (strncmp(s, "% time ", 7) == 0 || strncmp(s, "------ ---", 10) == 0)
		return true;
	if (sscanf(s, "%lf %lf %n", &share, &seconds, &used) < 2 || !used || !strchr(s, '.'))
		return false;
	s += used;
	s += strspn(s, "0123456789 ");
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
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
	parse_message(message + strlen("strace: "), ev);
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

	const char *message;

	*ev = (struct trace_event){ .kind = TRACE_OTHER, .tid = tid, .stamp.time = -1 };
	if (*line == '\0' || line_is_frame(line))
		return 0;
	message = own_message(line);
	if (message && strncmp(message, "[ Process PID=", 14) == 0)
		return parse_mode(message, ev, why);
	if (message)
		parse_message(message, ev);
	if (message || cut_by_message(p, line, ev))
		return 0;
	line = mend(p, line);
	if (!line)
		return -ENOMEM;
	if (strncmp(line, " > ", 3) == 0) /* quoted */
		line += 1 + strspn(line + 1, "> ");
	text = line_prefix(line, ev);
	if (strncmp(text, "--- ", 4) == 0) {
		ev->kind = TRACE_SIGNAL;
		return 0;
	}
	if (strncmp(text, "+++ ", 4) == 0)
		return parse_ending(p, text, ev, why);
	if (strncmp(text, "<... ", 5) == 0)
		return parse_resumed(p, text, ev, why);
	if (strncmp(text, "[ Process PID=", 14) == 0)
		return parse_mode(text, ev, why);
	message = own_message(text);
	if (message)
		parse_message(message, ev);
	if (message || line_is_frame(text) || is_count_table(line))
		return 0;
	return parse_call(p, text, ev, why);
}
