/* SPDX-License-Identifier: MIT */
/*
 * The agent's code, as bytes.
 */
#ifndef CLI_RUN_STUB_H
#define CLI_RUN_STUB_H

struct stub {
	const char *code;
	unsigned long bytes; /* 0: there is none for this machine */
	unsigned long boot;  /* offsets: where a task of the program begins behind execve(2) ... */
	unsigned long fork;  /* ... and as a child of fork */
	unsigned long wait;  /* where the agent waits for a round */
};

struct stub stub_get(void);

#endif
