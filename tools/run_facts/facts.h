/* SPDX-License-Identifier: MIT */
/*
 * What decision 12 (docs/decisions/0012-run.md) asks the running kernel: how a process into which
 * another one's frames are mapped behaves, and what it costs. Each group runs in a child of its
 * own, prints lines "question | answer", and is ended after some seconds.
 *
 *   cc -O2 -Wall -pthread -o /tmp/run_facts tools/run_facts/[a-z]*.c
 *   /tmp/run_facts [--pin] [group ...]
 *
 * Needs root (or vm.unprivileged_userfaultfd=1). It changes no setting of the host.
 *
 * A guest is a child that shares nothing with the supervisor (this program) but the frames, a
 * control page, and its userfaultfd. Times are microseconds; best() says which of many.
 */
#ifndef RUN_FACTS_H
#define RUN_FACTS_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#ifndef UFFDIO_CONTINUE_MODE_WP
#define UFFDIO_CONTINUE_MODE_WP (1ULL << 1)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define PAGE 4096UL
#define BLOCK (512 * PAGE)
#define MISSING UFFDIO_REGISTER_MODE_MISSING
#define WP UFFDIO_REGISTER_MODE_WP
#define MINOR UFFDIO_REGISTER_MODE_MINOR
#define ALL_MODES (MISSING | MINOR | WP)

/*
 * A row. The parts of its answer are worked out from left to right, which arguments of a function
 * are not.
 */
#define FACT(question, ...) (fact_begin(question), __VA_ARGS__, fact_end())
#define P(...) ((void)printf(__VA_ARGS__))
void fact_begin(const char *question);
void fact_end(void);
const char *err(long ret); /* "0", a number, or the name of -ret */
void must(bool ok, const char *what);

/* time ------------------------------------------------------------------------------ */

double now(void); /* microseconds */
/*
 * Of `samples` samples of n calls of what(arg, i), i counting on, the twentieth part from the
 * quickest: the host is busy, and its quiet moments are looked for. A call's share.
 */
double best(int samples, int n, void (*what)(void *arg, int i), void *arg);
double twentieth(double *samples, int n);
void pin(void); /* this thread to the first core, where --pin was given */

/* frames ---------------------------------------------------------------------------- */

struct frames {
	int fd;
	char *base;
	unsigned long bytes;
};
struct frames frames_make(unsigned long bytes);

/* userfaultfd: 0 or -errno ---------------------------------------------------------- */

int uffd_make(uint64_t features);
int reg(int fd, const void *at, unsigned long pages, uint64_t mode);
int cont(int fd, const void *at, unsigned long pages, uint64_t mode);
int zero(int fd, const void *at, unsigned long pages);
int protect(int fd, const void *at, unsigned long pages, bool on);
int wake(int fd, const void *at, unsigned long pages);
int poison(int fd, const void *at);
bool next_message(int fd, struct uffd_msg *msg, int ms); /* false: none within ms */

/*
 * What the filter answers (SECCOMP_RET_*) when this process makes call nr, from now on; all else
 * passes. The listener of RET_USER_NOTIF, or 0.
 */
int filter(unsigned int nr, unsigned int answer);

/* The number behind key in a file of /proc. */
long proc_number(const char *path, const char *key);

/* fork, exit and wait by this process, n times. */
double forks(int n);

/* guests ---------------------------------------------------------------------------- */

/* The control page: words that guest and supervisor wait for. */
struct control {
	unsigned int go, done; /* futex words */
	long arg[4], ret;
	int sig, code;
	void *sigaddr;
	double took;
};
void word_wait(unsigned int *word, unsigned int until); /* sleeps until *word is that, or more */
void word_set(unsigned int *word, unsigned int to);

struct guest {
	pid_t pid;
	int pidfd, uffd; /* uffd: of the guest's memory, or -1 */
	struct control *c;
	char *at; /* a window of the frames, the same address in both */
	struct frames ram;
};
/*
 * A guest with the first `pages` frames mapped at at, registered with modes (0: not). It runs
 * body(), and ends when that returns. bytes: of all frames.
 */
struct guest guest_start(void (*body)(struct guest *), unsigned long pages, uint64_t modes,
			 uint64_t features);
void guest_end(struct guest *g);
int fd_of(struct guest *g, int fd); /* pidfd_getfd(2) */

/* A touch that may fault for good: 0, or the signal; code and address in c. */
int touch(struct guest *g, volatile char *at, bool write);

void group_notify(void);
void group_fault(void);
void group_agent(void);
void group_fork(void);
void group_truth(void);
void group_ends(void);
void group_life(void);
void group_span(void);
void group_stops(void);

#endif
