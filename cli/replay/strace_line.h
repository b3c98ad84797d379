/* SPDX-License-Identifier: MIT */
/*
 * The parts of one strace line; private to the parser (strace.c).
 *
 *	[pid  7] 12:00:01.5 mmap(NULL, 4096, ...) = 0x7f0000000000 <0.000012>
 *	'------' '--------' '--' '-------------'   '-------------'
 *	 prefix:tid  time   call      args             result
 */
#ifndef CLI_REPLAY_STRACE_LINE_H
#define CLI_REPLAY_STRACE_LINE_H

#include "replay/strace.h"

enum call_end {
	CALL_COMPLETE,
	CALL_UNFINISHED, /* <unfinished ...>, and <detached ...> */
	CALL_MOVED,      /* <pid changed to N ...>: execve by a thread that is not the first */
};

/*
 * strace_prefix.c: take thread and time off the front of the line, and what a
 * logger put before them; the rest of it is returned.
 */
const char *line_prefix(const char *line, struct trace_event *ev);

/* A frame of a stack (-k): ` > /usr/lib/libc.so.6(mmap+0x8) [0x20ca3]`. A quoted call is none. */
bool line_is_frame(const char *line);

/*
 * strace_line.c: read NAME(args) = result, or what there is of it, into ev. 0 and in *end how
 * it ends (with CALL_MOVED the thread in ev->number), or -EINVAL and why.
 * *open is the length of the text up to the end mark.
 */
int line_call(const char *text, struct trace_event *ev, enum call_end *end, size_t *open,
	      char why[120]);

/* strace_result.c: what follows the closing bracket. 0, or -EINVAL and why. */
int line_result(const char *text, struct trace_event *ev, char why[120]);

/* Behind the thing at s, which stands on its first character; NULL: it does not end. */
const char *line_skip_note(const char *s);    /* <...>, as -y puts at a descriptor */
const char *line_skip_string(const char *s);  /* "..." */
const char *line_skip_comment(const char *s); /* slash, star, ... */

#endif
