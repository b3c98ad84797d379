/* SPDX-License-Identifier: MIT */
/*
 * A process that puts the host back as it was when the last process of a run has ended, in whatever
 * way: it waits for the end of a pipe that they all hold open.
 */
#ifndef CLI_CHECK_KEEPER_H
#define CLI_CHECK_KEEPER_H

struct keeper {
	int pipe; /* -1: there is none */
	int pid;
};
#define KEEPER_INIT \
	{ \
		.pipe = -1 \
	}

/*
 * put_back is called in the keeper, once, with the memory that this process has now. NULL, or why
 * there is no keeper.
 */
const char *keeper_start(struct keeper *keeper, void (*put_back)(void));
/* put_back has been called when this returns, if no other process of the run is left. */
void keeper_end(struct keeper *keeper);

#endif
