/* SPDX-License-Identifier: MIT */
/*
 * The kernel's maps that tools/capture recorded beside a trace; the format is
 * in traces/README.md. Blocks are read as the replay comes to their line.
 */
#ifndef CLI_REPLAY_SNAPSHOT_H
#define CLI_REPLAY_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

enum snapshot_kind {
	SNAPSHOT_EXEC,
	SNAPSHOT_FORK,
	SNAPSHOT_MID,
	SNAPSHOT_EXIT,
	SNAPSHOT_TOUCH, /* no map; what was written to since the last block of the process */
};

/* One line of /proc/PID/maps. */
struct map_line {
	unsigned long start, end, offset, ino;
	unsigned int dev_major, dev_minor;
	char perms[5];
	const char *name; /* "" for none */
};

struct map_range {
	unsigned long start, end;
};

/* RLIMIT_*, soft and hard. */
struct map_limit {
	int resource;
	unsigned long cur, max;
};

struct snapshot {
	struct snapshot *next;
	unsigned long line; /* of the trace: the map is this after so many lines */
	int pid, tid;       /* tid: the thread that it was taken at, or 0 */
	enum snapshot_kind kind;
	/* The map. */
	struct {
		struct map_line *at;
		size_t nr;
	} lines;
	/* Mappings with anonymous pages; TOUCH: pages. */
	struct {
		struct map_range *at;
		size_t nr;
	} touched;
	/* Exec only; 0 is unknown. */
	struct {
		unsigned long mmap_base, start_brk, start_stack;
		unsigned long start_code, end_code, start_data, end_data;
		unsigned long legacy; /* vm.legacy_va_layout */
	} layout;
	/* The process's rights and limits, exec only. */
	struct {
		unsigned long personality, caps;
		bool has_caps; /* they were recorded */
		struct map_limit limits[8];
		size_t nr_limits;
	} owner;
};

void snapshot_free(struct snapshot *s);
const char *snapshot_kind_name(enum snapshot_kind kind);

struct snapshots;

/* Open the file; 0, or -errno and a sentence in why (bad header: -EBADMSG). */
int snapshots_open(const char *path, struct snapshots **out, char why[160]);
void snapshots_close(struct snapshots *all);

/*
 * Who the file of that path is that the mmap in that line maps: 0, or -ENOENT
 * when no snapshot has it. Several files may have had the path, one after the
 * other; then the line decides.
 */
struct file_identity {
	unsigned int dev_major, dev_minor;
	unsigned long ino;
};
int snapshots_file(const struct snapshots *all, const char *path, unsigned long line,
		   struct file_identity *out);

int snapshots_overcommit(const struct snapshots *all);              /* -1: not recorded */
unsigned long snapshots_max_map_count(const struct snapshots *all); /* 0: not recorded */

bool snapshots_all_touches(const struct snapshots *all); /* TOUCH blocks before every call */

/*
 * The next map of process pid that snapshots_at() has not given yet; it stays. NULL: none,
 * it cannot be read, or it is too far ahead.
 */
const struct snapshot *snapshots_next(struct snapshots *all, int pid);

/* The vsyscall page, as the map of a 64-bit x86 process shows it; other maps tell nothing. */
enum snapshot_gate { GATE_UNKNOWN, GATE_NONE, GATE_EXECUTE, GATE_READ };
enum snapshot_gate snapshot_gate(const struct snapshot *s); /* NULL: unknown */

/* The first block, before snapshots_at() has been called; NULL: there is none. */
const struct snapshot *snapshots_first(const struct snapshots *all);

/*
 * The blocks of that line of the trace, in the order of the file; those of
 * earlier lines that were never asked for are dropped. 0 (*out may be NULL),
 * or -errno and why.
 */
int snapshots_at(struct snapshots *all, unsigned long line, struct snapshot **out, char why[160]);

/* Read one line of /proc/PID/maps; name points into text. 0 or -EINVAL. */
int map_line_parse(char *text, struct map_line *out);

#endif
