/* SPDX-License-Identifier: MIT */
/*
 * A guest with an agent beside it, for what is measured of agents: this program once more, which
 * sleeps. One thread is tracer, worker and reader of the listener.
 */
#ifndef BENCH_RUN_GUEST_H
#define BENCH_RUN_GUEST_H

#include "run/agent.h"

struct bench_guest {
	struct agents agents;
	struct agent agent;
	struct birth birth;
	pid_t pid;
	int listener, children; /* of SIGCHLD */
	double born; /* ns from execve's stop to the agent's first round, that included */
};

/* NULL, or why there is none. */
const char *guest_start(struct bench_guest *g, unsigned long ram_bytes);
void guest_end(struct bench_guest *g);

#endif
