/* SPDX-License-Identifier: MIT */
/*
 * Replaying one whole trace; `samara replay` and `samara show` use it.
 */
#ifndef CLI_REPLAY_RUN_H
#define CLI_REPLAY_RUN_H

#include "common.h"
#include "replay/engine.h"

struct run_options {
	const char *command; /* for messages */
	const char *maps;    /* the recorded maps' file; NULL: what lies beside the trace */
	enum placing place;
	int arch;   /* enum arch; -1: what the trace says */
	bool quiet; /* tell no difference */
	bool progress;
	unsigned long stop_line; /* go no further than this line; 0: to the end */
	/* see struct replay and struct world */
	void (*watch)(void *ctx, struct process *p, unsigned long line);
	void (*ending)(void *ctx, struct process *p);
	void *ctx;
};

/* --arch=NAME into *out: 0, or EXIT_USAGE after one line on stderr. */
int run_arch(const char *command, const char *name, int *out);

/*
 * Replay path into r, which the caller ends with replay_end() whatever is
 * returned. 0, or EXIT_USAGE after one line on stderr.
 */
int run_trace(struct replay *r, const char *path, const struct run_options *o);

#endif
