/* SPDX-License-Identifier: MIT */
/*
 * A traced call with its arguments read out of the text.
 */
#ifndef CLI_REPLAY_CALL_H
#define CLI_REPLAY_CALL_H

#include "replay/strace.h"
#include "replay/tally.h"

enum call_kind {
	CALL_OTHER, /* neither changes a map nor makes or ends a process */
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MPROTECT, /* pkey_mprotect too; with a key of its own it is told as left out */
	CALL_MREMAP,
	CALL_BRK,
	CALL_MADVISE,
	CALL_MLOCK,
	CALL_MLOCK2,
	CALL_MUNLOCK,
	CALL_MLOCKALL,
	CALL_MUNLOCKALL,
	CALL_MSEAL,
	CALL_REMAP_FILE_PAGES,
	CALL_SHMGET,
	CALL_SHMAT,
	CALL_SHMDT,
	CALL_RLIMIT,  /* setrlimit, and prlimit64 that sets */
	CALL_FOREIGN, /* about memory, and not made again here; what says its name */
	CALL_CLONE,   /* fork and vfork too */
	CALL_EXEC,
	CALL_EXIT, /* exit_group too: what ends is told by +++ lines */
};

#define CALL_NAME 32

struct call {
	enum call_kind kind;
	unsigned long addr, len;
	int prot;
	unsigned long flags; /* of mmap, mremap, mlock*, shm*; CLONE_VM and CLONE_THREAD */
	int advice;
	/* What is mapped. */
	struct {
		struct trace_fd file; /* mmap */
		unsigned long offset; /* of mmap, bytes; of remap_file_pages, pages */
		bool page_offset;     /* mmap2, mmap_pgoff: it may be in pages; see arch.h */
	} source;
	/* Where mremap moves the area, and how long it becomes. */
	struct {
		unsigned long addr, len;
	} to;
	int id; /* shmat: the segment; shmget: the key; rlimit: the pid */
	struct {
		int resource;
		unsigned long cur, max;
	} limit;
	bool partial; /* read from an entry: later arguments may be missing */
	/* What of it is not done here, as a name for the summary; empty: nothing. */
	char left_out[CALL_NAME];
};

/*
 * Read ev (TRACE_CALL or TRACE_ENTRY) into out. 0, or -EINVAL and a sentence
 * in why: an argument that should be there is missing or cannot be read. Calls
 * that do not matter here are CALL_OTHER whatever their arguments look like.
 */
int call_decode(const struct trace_event *ev, struct call *out, char why[120]);

/* The names of calls about memory that stand before a bracket in the text. */
void call_mentions(const char *text, struct tally *names);

/* Does the kernel choose where the area lies, and can the choice be taken back? */
bool call_chooses(const struct call *c);

#endif
