/* SPDX-License-Identifier: MIT */
/*
 * The calls that sequences are made of.
 */
#ifndef CLI_CHECK_CALLS_H
#define CLI_CHECK_CALLS_H

#include <stdint.h>
#include <sys/syscall.h>

#include "check/wire.h"

#ifndef SYS_mseal
#define SYS_mseal 462 /* newer than the C library's headers */
#endif

#define PAGE 4096UL
#define CALL_TEXT 512
#define DETAIL 320
#define MAX_OPS 4000
#define MAX_WINDOW 65536UL
#define NONE (~0UL)

enum call_id {
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MPROTECT,
	CALL_MREMAP,
	CALL_MADVISE,
	CALL_TOUCH,
	CALL_READ,
	CALL_MLOCK,
	CALL_MLOCK2,
	CALL_MUNLOCK,
	CALL_MLOCKALL,
	CALL_MUNLOCKALL,
	CALL_MSEAL,
	CALL_MSYNC,
	CALL_MINCORE,
	CALL_REMAP_FILE_PAGES,
	CALL_BRK,
	CALL_RLIMIT,
	CALL_FORK,
	CALL_DROP_CAPS,
	CALL_CROWD,
	/* only where pages are compared */
	CALL_STORE,
	CALL_LOAD,
	CALL_SURVEY,
	CALL_FETCH,
	CALL_FORK_STAY,
	CALL_SWITCH,
	CALL_TRUNCATE,
	CALL_FILE_WRITE,
	CALL_FILE_READ,
	/* only where pages leave memory and come back */
	CALL_SWAPON,
	CALL_SWAPOFF,
	/* only where there are userfaultfds */
	CALL_PEEK,
	CALL_RESULT,
	CALL_UFFD_CREATE,
	CALL_UFFD_CLOSE,
	CALL_UFFD_API,
	CALL_UFFD_REGISTER,
	CALL_UFFD_UNREGISTER,
	CALL_UFFD_COPY,
	CALL_UFFD_ZEROPAGE,
	CALL_UFFD_CONTINUE,
	CALL_UFFD_POISON,
	CALL_UFFD_MOVE,
	CALL_UFFD_WRITEPROTECT,
	CALL_UFFD_WAKE,
	CALL_UFFD_READ,
	CALL_SCAN,
	CALL_PIN,
	CALL_POKE,
	CALLS,
	MIX_STACK = CALLS, /* no call: several around a stack */
	MIXES
};

/* How an argument is written. */
enum arg_kind {
	ARG_ADDR,
	ARG_NUM,
	ARG_PROT,
	ARG_MAP,
	ARG_FD,
	ARG_REMAP,
	ARG_ADVICE,
	ARG_RESOURCE,
	ARG_FEATURES, /* of UFFDIO_API */
	ARG_REGISTER, /* modes */
	ARG_NONE
};

struct call_info {
	const char *name;
	int32_t nr;
	int args;
	enum arg_kind kind[6];
	int weight; /* in the default mix */
};
extern const struct call_info calls[CALLS];
enum call_id call_of(int32_t nr);

/* Files that calls may name; the number is WIRE_FD_FILE + the index. */
enum { FILE_MEMFD, FILE_DISK, FILE_READONLY, FILE_ZERO, FILES };
extern const char *const file_names[FILES];

struct seq {
	unsigned int n;
	struct wire_op op[MAX_OPS];
};

#endif
