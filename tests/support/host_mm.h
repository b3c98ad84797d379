/* SPDX-License-Identifier: MIT */
/*
 * The running kernel as referee for memory calls: a child process that carries
 * out one call after the other in its own address space and shows its map.
 *
 *   test --- struct host_call ---> child: raw system call, no allocation
 *        <-- return value, /proc/self/maps (or smaps, status) ---
 *
 * The child is a fork of the test, so that it has the test's map and
 * descriptors; without address randomisation (host_no_randomisation()), so that its layout is
 * known. It never allocates: what it maps is what it was told to map.
 */
#ifndef SAMARA_TEST_HOST_MM_H
#define SAMARA_TEST_HOST_MM_H

#include <samara/mm.h>

#define HOST_TEXT (1 << 20)

struct host_call {
	long nr; /* __NR_*, or one of the below */
	unsigned long arg[6];
	const char *show; /* file below /proc/self whose text comes back, or NULL */
};

enum {
	HOST_TOUCH = -1,     /* arg[0]: write one byte there, through the kernel */
	HOST_DROP_CAPS = -2, /* no capability from now on */
	HOST_FORK = -4,      /* fork, and go on as the child: 0 */
	HOST_RLIMIT = -3,    /* arg: resource, soft, hard */
};

struct host_mm {
	int pid;
	int to, from;
	char *text; /* HOST_TEXT bytes, terminated */
};

/*
 * Why this host cannot judge (another kernel, address randomisation, a
 * different configuration), or NULL when it can. Static storage.
 */
const char *host_cannot_judge(void);

/* Start this program again without address randomisation, unless it is. Returns when it is. */
void host_no_randomisation(char **argv);

/* 0, or -errno. */
int host_start(struct host_mm *host);
void host_stop(struct host_mm *host);

/* The return value or -errno; the text asked for is in host->text. */
long host_do(struct host_mm *host, const struct host_call *call);

/*
 * An mm that mirrors the child as it is now: layout, mappings, limits,
 * capabilities, and that its memory is inherited from a parent. 0 or -errno.
 */
int host_mirror(struct host_mm *host, struct samara_machine *machine, struct samara_mm **out);

/* A machine with this host's memory, limits and settings. */
int host_machine(struct samara_machine **out);

/* What print() prints, in buf of HOST_TEXT bytes. 0 or -errno. */
int mm_text(struct samara_mm *mm, int (*print)(struct samara_mm *mm, int fd), char *buf);

/* The number behind name in a text of /proc/PID/status or smaps; -1: not there. */
long text_kb(const char *text, const char *name);

#endif
