/* SPDX-License-Identifier: MIT */
/*
 * The replay: events in, a checked machine out.
 */
#ifndef CLI_REPLAY_ENGINE_H
#define CLI_REPLAY_ENGINE_H

#include <stdio.h>

#include "replay/compare.h"
#include "replay/perform.h"
#include "replay/tally.h"

struct replay_stats {
	unsigned long lines, events, malformed;
	unsigned long calls;      /* performed */
	unsigned long call_diffs; /* answered differently */
	unsigned long refused;    /* by the recording only, for a reason outside the map */
	unsigned long injected;   /* answered by strace in the kernel's place: not made */
	unsigned long moved;      /* --place=own: other addresses than the kernel's */
	unsigned long assumed;    /* areas put in where a beginning was not recorded */
	unsigned long maps, map_diffs;
	unsigned long processes;
};

#define MAX_TOLD 20 /* differences and malformed lines shown in full; all are counted */

struct replay {
	/* What is asked. The caller sets it before replay_begin(). */
	struct {
		enum placing place;
		enum arch arch; /* of processes of which no map was recorded */
		bool unordered; /* several files without time stamps: threads' order is not known */
	} how;
	/* Called after a step of a process, with its map as it is now. The caller sets it. */
	struct {
		void (*step)(void *ctx, struct process *p, unsigned long line); /* may be NULL */
		void *ctx;
	} watch;
	struct world world;
	struct trace_parser *parser;
	struct snapshots *snapshots;
	/* What is told in full. The caller sets the files. */
	struct {
		FILE *out;                          /* differences; NULL: nowhere */
		FILE *malformed;                    /* bad lines; NULL: nowhere */
		unsigned long told, told_malformed; /* how many have been */
		char early[MAX_TOLD][520];          /* malformed lines before the first good one */
	} tell;
	struct replay_stats stats;
	struct tally left_out; /* calls about memory that are not made here, or not wholly */
	struct tally unread;   /* memory calls in lines that could not be read */
};

/* maps_path: the recorded maps, or NULL. 0, or -errno and why. */
int replay_begin(struct replay *r, const char *maps_path, char why[160]);
void replay_end(struct replay *r);

/*
 * Feed one line of the trace. tid as trace_parse() has it. 0; -ENOMEM; or an
 * error of the maps file with a sentence in why; -EBADMSG: so many malformed
 * lines and none that is good, it is no trace. Another malformed line is counted
 * and is no error.
 */
int replay_line(struct replay *r, const char *path, unsigned long line, const char *text, int tid,
		char why[160]);
/* The arguments of a call were not understood. */
void replay_bad_call(struct replay *r, const char *path, unsigned long line,
		     const struct trace_event *ev, const char *reason);
/* What of a call that the kernel has made is not done here. */
void replay_left_out(struct replay *r, const char *name, size_t len);
void replay_bad_line(struct replay *r, const char *path, unsigned long line, const char *reason);

/* The input has ended: what still waits is done now, and every process ends. */
int replay_finish(struct replay *r);

/* Several files: may the next line of tid be fed? replay_force() when none may. */
bool replay_ready(struct replay *r, int tid);
int replay_force(struct replay *r);

/* install.c: the map that execve left. 0 or -errno. */
int install_exec(struct world *w, struct process *p, const struct snapshot *s);

#endif
