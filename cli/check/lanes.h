/* SPDX-License-Identifier: MIT */
/*
 * The library's side of sequences with userfaultfds: what ours_lanes.c and ours_uffd.c share.
 */
#ifndef CLI_CHECK_LANES_H
#define CLI_CHECK_LANES_H

#include <pthread.h>
#include <samara/uffd.h>

#include "check/check.h"

enum lane_state { LANE_IDLE, LANE_CALLED, LANE_BUSY, LANE_DONE, LANE_OVER };

/* What a lane works with while it is busy; the others look at it when it is done. */
struct lane_call {
	struct wire_op op;
	struct ours view; /* as the whole was when it was called */
	struct samara_mm *child;
	long ret;
	int64_t vec, out[2];
	struct uffd_msg msgs[WIRE_MSGS];
};

/* One lane of one process: a thread of this one. */
struct lane {
	/* Both (m) of struct lanes' lock. */
	enum lane_state state;
	pthread_cond_t called;

	pthread_t thread;
	bool runs; /* the thread */
	int tid;
	struct {
		int stat, syscall, times; /* of /proc/self/task/TID; -1: cannot be read */
		unsigned long low, high;  /* its stack */
		char ran[96];             /* what times showed when it was last seen asleep */
	} look;

	bool asleep; /* its call was answered so */
	/* Others that ran when this one did, while one call was made, and sleep since: bits. */
	uint32_t together;
	struct lane_call call;
};

struct lanes {
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct lane lane[WIRE_CELLS];
	/* Userfaultfds by number. */
	struct samara_uffd *uffd[WIRE_UFFDS];
	unsigned int of[WIRE_UFFDS]; /* processes */
	bool forking;
};

/* In its thread: which stack is its own. */
void lane_find_stack(struct lane *lane);
void lane_look_open(struct lane *lane);
void lane_look_close(struct lane *lane);
/* It sleeps for a handler, and has done nothing else for a moment. */
bool lane_is_asleep(const struct lane *lane, const struct lanes *all);
/* It has done something since this was asked last, or may have: the kernel does not tell. */
bool lane_has_run(struct lane *lane);

/* The call, by the thread of lane: no request. */
long ours_lane_perform(struct lane *lane);
/* The request, by the thread of lane. */
long ours_uffd_call(struct lane *lane, struct lanes *all, unsigned int process);
/* Whether there is one of that number. */
bool ours_uffd_open(const struct lanes *all, uint64_t number);
/* What was read stands behind o->text; n messages. 0 or -ENOMEM. */
int ours_uffd_messages(struct ours *o, const struct lane *lane, size_t n, struct seen *seen);
uint32_t ours_uffd_readable(const struct lanes *all);
void ours_uffd_close_all(struct lanes *all);

#endif
