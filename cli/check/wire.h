/* SPDX-License-Identifier: MIT */
/*
 * What the check and its child on the host have in common: an arena of shared
 * memory that holds the calls of one sequence, the answers, and the child's
 * stacks.
 *
 *   WIRE_ARENA                                                     + arena size
 *   | head | stacks, one a process | ops | answers | texts ...          |
 *
 * The child has no C library and nothing mapped but its text and the arena, so
 * that what a sequence maps is all there is. One sequence is one fork of it: it
 * runs all calls in one go, and the check compares afterwards. Processes that the
 * sequence forks live until its end; one at a time has its turn.
 *
 * In a sequence with userfaultfds each process has WIRE_LANES threads, and a call may sleep in one
 * of them while others make the calls that follow (child/lanes.h): another program, of the same
 * parts. A call names its lane.
 */
#ifndef CLI_CHECK_WIRE_H
#define CLI_CHECK_WIRE_H

#include <stdint.h>

#define WIRE_ARENA 0x10000000UL
#define WIRE_BRK 0x30000000UL /* where the heap begins */
#define WIRE_LOW 0x2fff0000UL /* what sequences map begins here, the child's own ends below */
#define WIRE_TEXT 0x400000UL  /* the child's program */
#define WIRE_TEXT_SIZE 0x2000UL
#define WIRE_LANES_TEXT_SIZE 0x3000UL /* with lanes */
#define WIRE_WINDOW 0x400000000000UL
#define WIRE_CROWD 0x480000000000UL /* mappings that are many and not shown */
#define WIRE_CROWD_END 0x490000000000UL
#define WIRE_GATE 0xffffffffff600000UL /* the vsyscall page */
#define WIRE_STACK 0x6000UL            /* bytes of each stack, */
#define WIRE_BUFFER 0x2000UL           /* of which these are no stack but its owner's buffer */
#define WIRE_FORKS 16U                 /* forks in one sequence, at most */
#define WIRE_LANES 3U                  /* threads of a process, where there are several */
#define WIRE_LANE_FORKS 5U             /* forks in a sequence with lanes, at most */
#define WIRE_CELLS ((WIRE_LANE_FORKS + 1) * WIRE_LANES) /* lanes of all processes */
#define WIRE_STACKS (WIRE_CELLS + 2)
#define WIRE_UFFDS 6U      /* userfaultfds at a time */
#define WIRE_MSGS 16U      /* messages that are read at once, at most */
#define WIRE_REGIONS 256UL /* that PAGEMAP_SCAN may tell of at once, at most */
#define WIRE_COPY 0x8000UL /* what UFFDIO_COPY copies from, at most */
#define WIRE_STACKS_AT 0x1000UL
#define WIRE_OPS_AT (WIRE_STACKS_AT + WIRE_STACKS * WIRE_STACK)
#define WIRE_SCRATCH 0x10000UL /* for reading smaps, status, and mincore's vector */
#define WIRE_WORK 0x18000UL    /* behind it: a page, entries of pagemap, and a map */
#define WIRE_SOURCE WIRE_WORK  /* behind that: what is copied from */
#define WIRE_WORK_ENTRIES 0x2000UL
#define WIRE_WORK_MAP 0x6000UL
#define WIRE_RUN 2048UL /* pages: of longer mappings only contents that are accessed are compared */
#define WIRE_SAME 0xffffffffU /* len of a map: it is the one before */

/* Where the vsyscall page has a call: fetch reads there. */
static inline int is_gate_call(uint64_t at)
{
	return at == WIRE_GATE || at == WIRE_GATE + 0x400 || at == WIRE_GATE + 0x800;
}

/* Descriptors that the child inherits. */
enum {
	WIRE_FD_ARENA = 9,
	WIRE_FD_FROM = 10,
	WIRE_FD_TO = 11,
	WIRE_FD_ZERO = 12,
	WIRE_FD_FILE = 14, /* and some more */
	WIRE_FD_LOCK = 24, /* of swap areas; only held open */
	WIRE_FD_END = 32   /* none of them is as high */
};

/* Calls that are no system calls of that number. */
enum {
	OP_TOUCH = -1,     /* write a byte to arg[0], through the kernel: 1 or -EFAULT */
	OP_DROP_CAPS = -2, /* no capability from now on */
	OP_FORK = -3,      /* fork, and go on as the child: 0 */
	OP_RLIMIT = -4,    /* resource, soft limit */
	OP_READ = -5,      /* read a byte of arg[0], through the kernel: 1 or -EFAULT */
	OP_CROWD = -6, /* map arg[1] single pages from arg[0] on that cannot merge: 0 or -errno */
	OP_STORE =
		-7, /* write arg[1] bytes of pattern arg[2] to arg[0] (pattern.h): bytes written */
	OP_LOAD = -8,       /* read arg[1] bytes: their sum */
	OP_SURVEY = -9,     /* read pages, faults and all: the sum of what came of each */
	OP_FORK_STAY = -10, /* fork, and go on as the parent: 0 */
	OP_SWITCH = -11,    /* go on as process arg[0]: 0 is the first, 1 its first child ... */
	OP_FILE_WRITE =
		-12,    /* file, offset, length, pattern, by pwrite(2) of pages: bytes written */
	OP_FETCH = -14, /* run arg[0], or read a byte where that would succeed: 0 */
	OP_FILE_READ = -13, /* file, offset, length: the sum of what pread(2) gave */
	OP_PEEK = -15,      /* read the byte at arg[0], which is not told: 0 */
	OP_RESULT = -16,    /* what the last call of lane arg[0] came to: ASLEEP while it sleeps */
	/* Userfaultfds have numbers from 0 on, in place of descriptors. */
	OP_UFFD_CREATE = -17,           /* flags; O_NONBLOCK is added: its number */
	OP_UFFD_CLOSE = -18,            /* number */
	OP_UFFD_API = -19,              /* number, api, features */
	OP_UFFD_REGISTER = -20,         /* number, start, len, mode */
	OP_UFFD_UNREGISTER = -21,       /* number, start, len */
	OP_UFFD_COPY = -22,             /* number, dst, len, source (wire_source()), mode */
	OP_UFFD_ZEROPAGE = -23,         /* number, start, len, mode */
	OP_UFFD_CONTINUE = -24,         /* number, start, len, mode */
	OP_UFFD_POISON = -25,           /* number, start, len, mode */
	OP_UFFD_MOVE = -26,             /* number, dst, len, src, mode */
	OP_UFFD_WRITEPROTECT = -27,     /* number, start, len, mode */
	OP_UFFD_WAKE = -28,             /* number, start, len */
	OP_UFFD_READ = -29,             /* number, messages: bytes */
	OP_FIRST_UFFD = OP_UFFD_CREATE, /* numbers fall */
	OP_LAST_UFFD = OP_UFFD_READ,
	/* More that only sequences with userfaultfds have. */
	/* PAGEMAP_SCAN: start, end, flags, masks (wire_mask()), regions, pages */
	OP_SCAN = -30,
	/* A word at arg[0], by process_vm_readv(2); if arg[1], by writev, of pattern arg[2]. */
	OP_PIN = -31,
	OP_POKE = -32, /* the same by /proc/self/mem, as a debugger; numbers fall */
};

/* Of OP_SCAN's arg[3]: category_inverted, category_mask, category_anyof_mask, return_mask. */
enum { MASK_INVERTED, MASK_ALL, MASK_ANY, MASK_RETURN };
static inline uint64_t wire_mask(uint64_t masks, int which)
{
	return masks >> 16 * which & 0xffff;
}

static inline int is_uffd(int32_t nr)
{
	return nr <= OP_FIRST_UFFD && nr >= OP_LAST_UFFD;
}

/* Answers that no call gives. */
#define WIRE_ASLEEP (1L << 61) /* it sleeps for a userfaultfd's handler */
#define WIRE_BUSY (-16)        /* its lane sleeps: it was not made */
#define WIRE_NO_UFFD (-9)      /* there is none of that number */
#define WIRE_NO_ROOM (-24)     /* nor room for another */

/* A source of UFFDIO_COPY that is below this is a pattern; else an address. */
#define WIRE_PATTERNS 0x100000UL

enum {
	LOOK_FLAGS = 1,       /* VmFlags and totals too */
	LOOK_VEC = 2,         /* mincore's vector */
	LOOK_PAGES = 4,       /* pagemap and contents of what is mapped, in all processes */
	LOOK_RSS = 8,         /* anonymous memory, there or in swap */
	LOOK_LANE_SHIFT = 16, /* from this bit on: the lane that makes the call */
};

struct wire_op {
	int32_t nr;
	uint32_t look;
	uint64_t arg[6];
};

enum { TOTAL_SIZE, TOTAL_LCK, TOTAL_DATA, TOTAL_STK, TOTAL_EXEC, TOTALS }; /* kB */

/* A piece of text: its offset in the arena, and bytes. */
struct wire_text {
	uint32_t at, len;
};

/* An access that was stopped: by which signal (0: none was), and at which address. */
struct wire_fault {
	int32_t signo, code;
	uint64_t at;
};

/* A call that slept is done. */
struct wire_late {
	uint32_t cell;
	uint32_t pad;
	int64_t ret;
	struct wire_fault fault;
};

/*
 * A message, without what differs: a page fault's address, flags, and the cell of its thread + 1
 * (0: none); a child's number; from, to, length; or start, end.
 */
struct wire_msg {
	uint64_t event, arg[3];
};

/* What there is to tell of userfaultfds. */
struct wire_uffd {
	int64_t out[2];    /* what a request wrote */
	uint32_t readable; /* those with a message: bits */
	uint32_t pad;
	struct wire_text msgs; /* those that were read, of struct wire_msg; len: how many */
	struct wire_text late; /* of struct wire_late; len: how many */
};

struct wire_answer {
	int64_t ret;
	struct wire_text map;   /* /proc/self/maps; len may be WIRE_SAME */
	struct wire_text flags; /* the VmFlags lines of smaps, without their name */
	int64_t total[TOTALS];
	int64_t vec; /* the sum of what mincore said of pages */
	int64_t rss; /* RssAnon + VmSwap, kB */
	struct wire_fault fault;
	struct {
		uint32_t at, n;          /* struct wire_page */
		uint32_t unseen, unread; /* processes whose pages, or memory, are not shown: bits */
	} pages;
	struct wire_uffd uffd;
};

/*
 * A page that pagemap tells something of. Pages of the file `disk' are left out, and the marks of
 * those that are protected and may be there: what the host has read is not known.
 */
static inline int is_of_disk(uint64_t entry)
{
	return (entry >> 61 & 1) || (!(entry >> 63) && (entry >> 57 & 1));
}

struct wire_page {
	uint64_t at;    /* its address, and in the low bits the process */
	uint64_t entry; /* of pagemap */
	uint64_t sum;   /* of its bytes, if it is present and its mapping can be accessed */
};

/* A lane of one process. */
enum { CELL_IDLE, CELL_CALLED, CELL_DONE };
struct wire_cell {
	uint32_t state; /* futex */
	uint32_t ready;
	int32_t tid;
	uint32_t op;     /* its number */
	uint32_t asleep; /* the director has seen it sleep */
	uint32_t again;  /* and has told that of this call */
	int64_t ret, out[2];
	struct wire_fault fault;
};

struct wire_head {
	uint64_t size; /* of the arena; the child's first instructions map it by this */
	/* What the check asks. The child only reads it. */
	struct {
		uint32_t n_ops;
		uint32_t no_huge;                /* PR_SET_THP_DISABLE */
		uint32_t answers_at, scratch_at; /* offsets */
		char swap[64];                   /* the path that swapon(2) gets */
	} asked;
	/* How far the child has come. */
	struct {
		uint32_t broken; /* its set-up failed: the step; 0: it did not */
		uint32_t done;   /* answers that are there */
		uint32_t full;   /* no room for more text: done is less than n_ops */
		int32_t status;  /* of the process that ran the sequence, as wait4(2) gives it */
	} result;
	/* The text of the answers. */
	struct {
		uint32_t at;                /* offset of the next */
		uint32_t last_at, last_len; /* the map before */
		uint32_t crowd;             /* mappings from WIRE_CROWD on are not shown */
	} text;
	/* The sequence's processes. */
	struct {
		uint32_t now;     /* whose turn it is; the others wait for a change (futex) */
		uint32_t over;    /* all end */
		uint32_t carried; /* the call of the process before is done, and to be answered */
		uint32_t forks;
		int32_t pid[WIRE_FORKS + 1], parent[WIRE_FORKS + 1];
	} procs;
	/* The access under way, of the owner of each stack. */
	struct {
		uint64_t recover; /* where to go on after a fault; 0: none is expected */
		struct wire_fault fault;
	} access[WIRE_STACKS];
	struct wire_cell cell[WIRE_CELLS];
	struct {
		uint32_t open;           /* bits */
		int32_t fd[WIRE_UFFDS];  /* descriptors, */
		uint32_t of[WIRE_UFFDS]; /* and the processes that they are about */
		uint32_t forking;        /* a cell + 1: a fork is under way */
	} uffd;
};

#endif
