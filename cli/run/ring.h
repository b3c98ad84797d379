/* SPDX-License-Identifier: MIT */
/*
 * Calls that an agent makes for the supervisor: two pages in the program's address space, and how
 * a batch of calls is written there.
 *
 *           the program may       the supervisor
 *   code    run it                sealed memfd, one for all spaces
 *   ask     only read it          word, count, step[], here
 *   said    write to it           the last step's result; what ioctl(2) reads and writes
 *
 *   supervisor  step[0..n-1], count = n, word + 1, FUTEX_WAKE
 *   agent       FUTEX_WAIT(word); runs the steps in order, and stops behind the first that fails;
 *               writes tally[done] to its bell, an eventfd, where done is how many succeeded
 *   supervisor  ppoll(bell, the agent's pidfd), read(bell)
 *
 * The program shares the agent's memory, so nothing that comes back through memory is believed.
 * How many steps succeeded comes through the bell, a descriptor that the program has not, from a
 * page that it cannot write to. The agent keeps nothing else in memory, not even a stack. Of said
 * only the failed step's errno is used; -EUCLEAN stands for one that is none. A program that jumps
 * into the code page can make calls of its own and so undo all this; it harms its own space.
 *
 * A batch is of any length. It runs in rounds of RING_STEPS, so each prefix of it has to be safe
 * by itself; other threads' batches may come between two rounds.
 */
#ifndef CLI_RUN_RING_H
#define CLI_RUN_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_STEPS 32
#define RING_DATA 64 /* bytes of an ioctl's argument, at most */
#define RING_SHOWN 16

struct ring_step {
	uint64_t nr;
	uint64_t arg[6];
};

/* Offsets are known to stub/stub.c. */
struct ring_ask {
	uint32_t word;  /* the round's number */
	uint32_t count; /* steps of this round */
	uint64_t here;  /* this page, and the code that waits, from the next round on */
	uint64_t wait;
	struct ring_step step[RING_STEPS];
	uint64_t tally[RING_STEPS + 1]; /* tally[i] == i + 1 */
	uint64_t shown[RING_SHOWN];     /* for ring_show() */
	char root[8];                   /* "/" */
};

struct ring_said {
	int64_t result; /* of the last step that ran */
	unsigned char data[RING_STEPS]
			  [RING_DATA]; /* of step i, if it is an ioctl that needs some */
};

/* All rings of the run: one file, ring n at page 2n; a ring that no agent has is a hole. */
struct rings {
	int fd;
	char *base;
	unsigned int most;
	pthread_mutex_t lock;
	uint64_t *used; /* a bit a ring */
};

#define RINGS_MOST 16384

int rings_init(struct rings *rings, unsigned int most); /* 0 or -errno */
void rings_destroy(struct rings *rings);

/* A ring of zeros: its number, or -ENOSPC, -errno. */
int ring_take(struct rings *rings);
void ring_give(struct rings *rings, unsigned int nr);
struct ring_ask *ring_ask(const struct rings *rings, unsigned int nr);
struct ring_said *ring_said(const struct rings *rings, unsigned int nr);

#endif
