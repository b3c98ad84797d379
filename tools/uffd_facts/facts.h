/* SPDX-License-Identifier: MIT */
/*
 * What the running kernel's userfaultfd does, asked question by question. Each group runs in a
 * child of its own, prints lines "question | answer", and is ended after a few seconds.
 *
 *   cc -Wall -Wno-override-init -Iinclude -pthread -o /tmp/uffd_facts tools/uffd_facts/[a-z]*.c
 *   /tmp/uffd_facts [--swap=FILE] [group ...]
 *
 * Needs root (or vm.unprivileged_userfaultfd=1). It changes no setting of the host; the group
 * "swap" switches on the area that --swap=FILE names, for its own duration.
 */
#ifndef UFFD_FACTS_H
#define UFFD_FACTS_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/uffd_abi.h>

#define PAGE 4096UL
#define ALL_EVENTS \
	(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | \
	 UFFD_FEATURE_EVENT_UNMAP)
#define MISSING UFFDIO_REGISTER_MODE_MISSING
#define WP UFFDIO_REGISTER_MODE_WP
#define MINOR UFFDIO_REGISTER_MODE_MINOR
#define PM_WP (1ULL << 57)

/*
 * A row. The parts of its answer are worked out from left to right, which arguments of a function
 * are not.
 */
#define FACT(question, ...) (fact_begin(question), __VA_ARGS__, fact_end())
#define P(...) ((void)printf(__VA_ARGS__))
void fact_begin(const char *question);
void fact_end(void);
void fact(const char *question, const char *answer);
const char *err(long ret); /* "0", a number, or the name of -ret */

/* A userfaultfd after its handshake; ends the group where the host refuses. */
int uffd(uint64_t features);
int uffd_raw(int flags);
int api(int fd, uint64_t features, struct uffdio_api *out); /* 0 or -errno, as all below */

enum mem { ANON, ANON_SHARED, MEMFD, MEMFD_PRIVATE, FILE_PRIVATE, FILE_SHARED };
char *mem(enum mem kind, unsigned long pages); /* with a page without a mapping on each side */
char *free_place(unsigned long pages);         /* an address for MREMAP_FIXED */
int reg(int fd, const void *at, unsigned long pages, uint64_t mode);
int reg_out(int fd, const void *at, unsigned long pages, uint64_t mode, uint64_t *ioctls);
int unreg(int fd, const void *at, unsigned long pages);
int copy(int fd, void *dst, const void *src, unsigned long pages, uint64_t mode, long *done);
int zeropage(int fd, void *at, unsigned long pages, uint64_t mode, long *done);
int cont(int fd, void *at, unsigned long pages, uint64_t mode, long *done);
int poison(int fd, void *at, unsigned long pages, uint64_t mode, long *done);
int move(int fd, void *dst, void *src, unsigned long pages, uint64_t mode, long *done);
int wp(int fd, void *at, unsigned long pages, uint64_t mode);
int wake(int fd, void *at, unsigned long pages);

/* The messages that wait, "fault+3 w", "remap+0>+8 4", in pages from base; read without waiting. */
char *messages(int fd, const void *base);
char *message_text(const struct uffd_msg *msg, const void *base, char *to, size_t size);
int next_message(int fd, struct uffd_msg *msg, int ms); /* 1, 0: none within ms */

uint64_t pagemap(const void *at);
char *pm(const void *at);      /* "present wp", "swap wp guard", ... */
char *vmflags(const void *at); /* of smaps: um uw ui only, and the VMA's pages */

/* A thread that does one thing. */
struct doer {
	pthread_t thread;
	long (*what)(struct doer *);
	char *at;
	long arg, ret;
	int state; /* 0 running, 1 done, else the signal */
	int code;
};
long do_read(struct doer *d);
long do_write(struct doer *d);
void doer_start(struct doer *d, long (*what)(struct doer *), void *at);
void doer_calls(struct doer *d, long (*make)(void));
/* "asleep" after ms, "done", or the signal. */
const char *doer_state(struct doer *d, int ms);
/* What a touch in this thread gives: "ok", "SIGBUS 2", ... */
const char *touch(void *at, bool write);
void nap(int ms);
/* Row what: the events of a call that a thread makes, addresses from base on, and its answer. */
void told(const char *what, int fd, const void *base, long (*make)(void));

/* A write by a thread, and the message that it gives; then it is let go. */
void writes(const char *what, int fd, char *base, char *at);

extern const char *swap_file;

void group_api(void);
void group_register(void);
void group_ioctls(void);
void group_partial(void);
void group_events(void);
void group_sleepers(void);
void group_fork(void);
void group_move(void);
void group_poison(void);
void group_marks(void);
void group_scan(void);
void group_modes(void);
void group_swap(void);
void group_more(void);
void group_bits(void);
void group_told(void);

#endif
