/* SPDX-License-Identifier: MIT */
/*
 * The traced machine: its address spaces, processes and threads.
 *
 *	thread --> process --> space --> struct samara_mm
 *	  |           `-- CLONE_VM and vfork share one space
 *	  `-- steps that wait: for the thread's parent to be known, or for another
 *	      thread's call that overlapped in time
 *
 * Everything here is used by one thread; there are no locks.
 */
#ifndef CLI_REPLAY_WORLD_H
#define CLI_REPLAY_WORLD_H

#include <samara/mm.h>

#include "replay/arch.h"
#include "replay/call.h"
#include "replay/snapshot.h"

/* Where a recorded area lies here, --place=own only; see own.c. */
struct moved_area {
	unsigned long start, end; /* recorded */
	unsigned long to;         /* ours, for start */
};

/* lists.c */
enum list_kind {
	LIST_ALL,
	LIST_CLONING,
	LIST_ORPHANS,
	LIST_WAITING,
	LIST_OPEN,
	LIST_SPACE_WAITING,
	LIST_NR,
};

struct thread_list {
	struct thread *head, *tail;
	size_t nr;
};

struct thread_link {
	struct thread *prev, *next;
	bool on;
};

struct space {
	struct samara_mm *mm;
	enum arch arch;
	unsigned int users; /* processes */
	/* What the trace has told. */
	struct {
		bool map; /* its starting map was recorded */
		bool brk; /* where its heap is */
	} known;
	bool lock_future; /* mlockall(MCL_FUTURE) */
	/* The owner's rights and limits. */
	struct {
		unsigned int caps;          /* enum samara_caps */
		struct map_limit limits[4]; /* as far as they are known; execve hands them on */
		size_t nr_limits;
	} owner;
	/* --place=own: what lies elsewhere than recorded, sorted; see own.c. */
	struct {
		struct moved_area *at;
		size_t nr, room;
	} moved;
	/* Its threads, by the calls that they are in. */
	struct {
		struct thread_list open;    /* as far as the trace has been read */
		struct thread_list waiting; /* for another thread's call */
		unsigned int busy;          /* in a memory call, as far as it has been replayed */
	} calls;
	/* Its place on the world's list of spaces that waiting calls must look at again. */
	struct {
		bool on;
		struct space *prev, *next;
	} dirty;
};

/* One event with everything that must happen at it. */
struct step {
	struct step *next;
	struct trace_event ev;
	unsigned long line;
	unsigned long order; /* of all lines, over all files */
	unsigned long began; /* the order of the call's entry; order itself if it was not torn */
	const char *path;    /* the trace's file */
	struct snapshot *snapshot; /* exec: the new map; TRACE_OTHER: compare with it */
	char text[];               /* what ev's slices point into, in a step that waits */
};

struct process {
	struct process *next; /* all that ever were, in order of birth */
	int pid;
	char command[64];
	struct space *space; /* NULL once it has ended */
	enum arch arch;      /* of its last space */
	unsigned int threads;
	/* For the summary. */
	struct {
		unsigned long calls, call_diffs;
		unsigned long maps, map_diffs; /* snapshots compared; differing ones */
	} count;
	bool own_moved; /* --place=own: that addresses differ has been told */
	bool end_compared, ended, killed;
};

enum thread_wait { THREAD_RUNS, THREAD_WAITS_PARENT, THREAD_WAITS_CALL };

struct thread {
	struct thread *hash_next;
	struct process *process; /* NULL: WAITS_PARENT */
	int tid;
	enum thread_wait wait;
	/* What waits, in order. */
	struct {
		struct step *first, **last;
	} steps;
	/* As far as the trace has been read. */
	struct {
		enum call_kind open; /* the call under way */
		unsigned long order; /* where it began */
		bool matters;        /* to the order of others' calls; see order.c */
	} read;
	/* As far as it has been replayed. */
	struct {
		enum call_kind in_call;    /* has begun and not ended */
		unsigned long clone_flags; /* of a clone that has begun */
		int child; /* already made for the clone that has not ended; 0: none */
		struct map_range writes; /* taken to be written before its next call; see touch.c */
	} replayed;
	int vfork_child; /* several files: shares our map until it executes; 0: none */
	struct thread_link link[LIST_NR];
};

#define WORLD_PATHS 1024

struct known_path; /* files.c */
struct shm_segment;

struct world {
	struct {
		struct samara_machine *at[ARCH_NR]; /* made when the first space needs it */
		enum snapshot_gate gate;            /* what they are made with */
	} machines;
	struct {
		enum arch usual; /* of a process of which nothing is known */
		bool given;      /* by the user: what the trace says later is not asked */
		bool in_pages;   /* see arch_settle() */
	} arch;
	/* Threads by number. */
	struct {
		struct thread **bucket;
		size_t nr; /* buckets: a power of two, or 0 */
	} table;
	struct {
		struct process *first, **last;
	} processes;
	struct {
		struct known_path *paths[WORLD_PATHS];
		struct shm_segment *shm;
	} files;
	struct snapshots *snapshots;
	struct {
		struct thread_list all, cloning, orphans, waiting;
		size_t nr_waiting;       /* orphans too */
		unsigned long looked_at; /* passed in searches of lists, for the tests */
	} threads;
	struct space *dirty;
	/* Called before a process's map goes. */
	struct {
		void (*call)(void *ctx, struct process *p); /* may be NULL */
		void *ctx;
	} ending;
};

/* world.c */
int world_init(struct world *w, struct snapshots *snapshots, enum arch arch);
void world_end(struct world *w); /* everything that is left ends */
/* The machine for spaces of that kind, made when it is first asked for; NULL: no memory. */
struct samara_machine *world_machine(struct world *w, enum arch arch);

struct thread *world_thread(struct world *w, int tid);
struct process *world_process(struct world *w, int pid); /* alive, or NULL */
struct thread *world_only_thread(struct world *w);       /* the only one alive, or NULL */

/* A process that no process of the trace has made: its map is not known. NULL: no memory. */
struct thread *world_add_root(struct world *w, int tid);
/* A thread and process that had no number (0) has one now. Returns t. */
struct thread *world_rename(struct world *w, struct thread *t, int tid);
/* A thread whose parent is not known yet. */
struct thread *world_add_orphan(struct world *w, int tid);
/* No parent was found: a process of its own. 0 or -ENOMEM. */
int world_orphan_root(struct world *w, struct thread *t);
/*
 * What clone(flags) by parent makes; t is the orphan that it turns out to be,
 * or NULL. 0, -ENOMEM, or what samara_fork() said.
 */
int world_add_child(struct world *w, struct thread *parent, unsigned long flags, int tid,
		    struct thread *t);
/* t is gone; with its process's last thread the process ends. */
void world_thread_ends(struct world *w, struct thread *t);
/* A successful execve by t: a new, empty space of the same machine, and no other thread. */
int world_exec(struct world *w, struct thread *t);
/*
 * The process's space belongs to that machine: 0 or -ENOMEM. Only an empty space
 * changes; a program that makes a call of the other kind keeps its space.
 */
int world_set_arch(struct world *w, struct process *p, enum arch arch);

/*
 * lists.c. A thread's place on the lists follows from its state; these change
 * both. list_add() and list_del() do nothing when it is there, or is not.
 */
int table_add(struct world *w, struct thread *t); /* to all; 0 or -ENOMEM */
void table_del(struct world *w, struct thread *t);
void list_add(struct world *w, struct thread *t, enum list_kind kind);
void list_del(struct world *w, struct thread *t, enum list_kind kind);
void thread_in_call(struct world *w, struct thread *t, enum call_kind kind);
void thread_has_child(struct world *w, struct thread *t, int tid); /* before its clone ends */
void thread_waits(struct world *w, struct thread *t); /* its first step, for another call */
void thread_goes_on(struct world *w, struct thread *t);
void thread_closes(struct world *w, struct thread *t);    /* the call that it has open */
void thread_off_lists(struct world *w, struct thread *t); /* before it, or its space, goes */
/* Something has happened there that a waiting call may have waited for. */
void space_dirty(struct world *w, struct space *s);
void space_clean(struct world *w, struct space *s);

/* The owner's capabilities, and a limit; one of something else than memory is passed over. */
void space_caps(struct space *s, unsigned int caps);
void space_limit(struct space *s, int resource, unsigned long cur, unsigned long max);

/* files.c: the file that fd names, on that machine; the world keeps it. NULL: no memory */
struct samara_file *world_file(struct world *w, enum arch arch, const struct trace_fd *fd,
			       unsigned long line);
/* The file of a line in a recorded map: device and inode are in the line. */
struct samara_file *world_map_file(struct world *w, enum arch arch, const struct map_line *line);
int world_shm_add(struct world *w, int id, int key, unsigned long size);
struct samara_file *world_shm(struct world *w, enum arch arch, int id, unsigned long *size);
void world_files_end(struct world *w);

#endif
