/* SPDX-License-Identifier: MIT */
/*
 * Random memory calls, and carrying them out on an mm of the library.
 */
#ifndef SAMARA_TEST_MM_CALLS_H
#define SAMARA_TEST_MM_CALLS_H

#include <sys/syscall.h>

#include <samara/mm.h>

#include "support/random.h"

#ifndef SYS_mseal
#define SYS_mseal 462 /* newer than the C library's headers */
#endif

#define MM_PAGE 4096UL
/* Nobody else is there, sanitizers included. */
#define MM_WINDOW 0x400000000000UL
#define MM_WINDOW_PAGES 64UL
#define MM_CHOSEN_MAX 8
#define MM_FILES 2
#define MM_CALL_TEXT 160

struct mm_call {
	long nr; /* SYS_*, or one of the below */
	unsigned long arg[6];
};

enum {
	MM_TOUCH = -1, /* arg[0]: write one byte there */
	MM_READ = -2,  /* arg[0]: read one */
	MM_FORK = -3,  /* fork, and go on as the child: 0 */
};

struct mm_range {
	unsigned long start, end;
};

struct mm_gen {
	struct rng rng;
	int fd[MM_FILES]; /* a memfd, and a file on disk */
	struct samara_file *file[MM_FILES];
	struct mm_range chosen[MM_CHOSEN_MAX]; /* what was placed without being told where */
	unsigned int n_chosen;
	bool fresh;        /* nothing was called yet */
	unsigned long brk; /* where the heap began */
};

/* 0 or -errno. */
int mm_gen_open(struct mm_gen *gen, struct samara_machine *machine);
void mm_gen_close(struct mm_gen *gen);

/* A new sequence. */
void mm_gen_start(struct mm_gen *gen, uint64_t seed);
/* One random call; arguments are those of the system call. */
void mm_gen_next(struct mm_gen *gen, struct mm_call *call);
/* What came of it. */
void mm_gen_learn(struct mm_gen *gen, const struct mm_call *call, long ret);

/* The same call here: the return value or -errno. A fork leaves the child in *mm. */
long mm_call_do(const struct mm_gen *gen, struct samara_mm **mm, const struct mm_call *call);

/* Which call this is, below MM_CALL_KINDS, and what a kind is called. */
#define MM_CALL_KINDS 18
int mm_call_kind(long nr);
const char *mm_call_name(int kind);

void mm_call_text(const struct mm_call *call, char *buf, size_t size);

#endif
