/* SPDX-License-Identifier: MIT */
/*
 * Reading strace's output.
 *
 *	bytes -> lines (input.h) -> events (here) -> processes and calls
 *
 * One line is one event. Calls that strace tore apart because another process
 * came in between are put together again:
 *
 *	7 mmap(NULL, 4096 <unfinished ...>            TRACE_ENTRY of mmap
 *	8 munmap(0x7f0000000000, 4096)        = 0     TRACE_CALL of munmap
 *	7 <... mmap resumed>, PROT_READ, ..)  = 0x..  TRACE_CALL of mmap, all arguments
 *
 * Lines may start with `7 `, `7<prog> ` (-Y), `[pid 7] ` or nothing, then a time
 * stamp in any of strace's forms (-t, -tt, -ttt, -r), an instruction pointer (-i),
 * a call number (-n) or a label (--secontext); they may end with the time spent
 * (-T). Both -y and -yy notes at descriptors are understood, and what a logger
 * puts before a line.
 */
#ifndef CLI_REPLAY_STRACE_H
#define CLI_REPLAY_STRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_MAX_ARGS 10

/* A piece of a line; not terminated. */
struct slice {
	const char *at;
	size_t len;
};

enum trace_kind {
	TRACE_CALL,       /* a call that has ended */
	TRACE_ENTRY,      /* a call that has begun; its end comes later, or never */
	TRACE_SIGNAL,     /* --- SIGCHLD {...} --- and stops */
	TRACE_EXITED,     /* +++ exited with N +++ */
	TRACE_KILLED,     /* +++ killed by SIGNAL +++ */
	TRACE_SUPERSEDED, /* +++ superseded by execve in pid N +++ */
	TRACE_ATTACHED,   /* strace: Process N attached */
	TRACE_MODE,       /* [ Process PID=7 runs in 32 bit mode. ] */
	TRACE_OTHER,      /* what says nothing about memory: detached, stack lines */
};

enum trace_mode { MODE_64, MODE_32, MODE_X32 };

enum trace_result {
	RESULT_NONE,    /* no result known: `= ?`, or an entry */
	RESULT_VALUE,   /* value */
	RESULT_ERROR,   /* err, a positive errno */
	RESULT_RESTART, /* = ? ERESTARTSYS: the call had no effect and comes again */
};

struct trace_event {
	enum trace_kind kind;
	int tid; /* 0: the line does not say */
	struct {
		double time;   /* seconds in strace's form; negative: no stamp */
		bool relative; /* -r: since the line before */
	} stamp;
	/* CALL and ENTRY. */
	struct {
		struct slice name;
		unsigned int nr_args;
		struct slice args[TRACE_MAX_ARGS];
	} call;
	struct {
		enum trace_result kind;
		unsigned long value;
		int err;
		bool injected; /* strace answered in the kernel's place: not made, RESULT_NONE */
	} result;
	int number;           /* exit status, or the thread of SUPERSEDED and ATTACHED */
	enum trace_mode mode; /* TRACE_MODE */
	const char *rest;     /* what follows the call in its line, an event or not; or NULL */
};

struct trace_parser;

struct trace_parser *trace_parser_new(void);
void trace_parser_free(struct trace_parser *p);

/*
 * Read one line (terminated; without its newline). 0 and the event, or -EINVAL
 * and a sentence in why, or -ENOMEM. The event's slices live until the next
 * call with this parser, and no longer than line. tid: the
 * thread when the line itself does not say (a file of strace -ff), or 0.
 */
int trace_parse(struct trace_parser *p, const char *line, int tid, struct trace_event *ev,
		char why[120]);

/* What strace_args.c reads out of an argument; all return 0 or -EINVAL. */

/* 4096, 0x1000, 010, NULL, 8192*1024, 21<<26, and sums of flags A|B|0x40. */
int trace_number(struct slice text, unsigned long *out);

/* The field of a struct argument, as stack in {flags=0, stack=0x7f.., ..}. */
int trace_field(struct slice text, const char *name, struct slice *out);

struct trace_fd {
	long fd;
	char path[4096]; /* from -y; empty without */
	bool deleted;
};

/* 3, -1, 3</usr/lib/libc.so.6>, 3</dev/null<char 1:3>>, 5</memfd:x>(deleted). */
int trace_fd(struct slice text, struct trace_fd *out);

/* The text of a quoted string, C escapes undone, cut at size - 1. */
int trace_string(struct slice text, char *out, size_t size);

bool slice_is(struct slice s, const char *word);

/* The named constants that memory calls have: 0, or -ENOENT. */
int trace_constant(struct slice name, unsigned long *out);

#endif
