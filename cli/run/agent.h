/* SPDX-License-Identifier: MIT */
/*
 * The agent of an address space: a process that shares the program's memory (CLONE_VM) and nothing
 * else with it, and makes the calls that change the host's map. Its code is stub/stub.c, the way
 * of a batch ring.h.
 *
 *   tracer    birth_begin(), birth_stop() for each stop of the task  -->  code, ring; the process
 *   worker    agent_notify() for each notification of the task or the agent
 *   worker    agent_open()                                           -->  descriptors, userfaultfd
 *   any       batch_begin() ... batch_end()
 *   worker    agent_kill(); the tracer reaps it; agent_free()
 *
 * A fork: the parent's agent_fork() before the kernel's fork maps the child's ring beside its own;
 * the child inherits code and ring. Its birth is BIRTH_AT_FORK, in its first stop. Behind the
 * kernel's fork, or where it failed, agent_forked() of the parent.
 *
 * Locks: birth_*() and agent_stopped() are the tracer's, make ptrace requests, and never wait.
 * batch_end() takes the agent's lock, which is the last in the command's order, and waits for the
 * agent only. All the others belong to the space's owner.
 */
#ifndef CLI_RUN_AGENT_H
#define CLI_RUN_AGENT_H

#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/user.h>

#include "run/ring.h"

/*
 * Where the code may lie: in the first page of one of these windows, 64 KiB each, aligned. Calls
 * made from a window pass the filter, but for AGENT_CALL_FD, which is notified wherever it is made.
 */
#define AGENT_WINDOWS 4
#define AGENT_WINDOW_BYTES 0x10000UL
extern const unsigned long agent_windows[AGENT_WINDOWS];

/* A call number that no kernel has: the descriptor arg[0] (enum agent_fd) is given by ADDFD. */
#define AGENT_CALL_FD 0x5a3afdU

/* Descriptors of an agent: these numbers, and no others. */
enum agent_fd {
	AGENT_FD_RAM,
	AGENT_FD_UFFD,
	AGENT_FD_EMPTY, /* a file without bytes; see area.h's AREA_EMPTY */
	AGENT_FD_ASK,   /* a file of 2^47 bytes, none written */
	AGENT_FD_FILE,  /* the current host file, agent_give_file() */
	AGENT_FD_BELL,
	AGENT_FD_CODE,
	AGENT_FD_RINGS,
	AGENT_FD_DEV, /* while it opens: a descriptor of /dev/userfaultfd */
	AGENT_FDS,
};

/* What the agents of a run have in common. Descriptors are the caller's, but for code and rings. */
struct agents {
	int ram, empty, ask, dev; /* dev: of /dev/userfaultfd, or -1: userfaultfd(2) */
	int code;                 /* sealed memfd of the stub */
	uint64_t features;        /* of UFFDIO_API */
	struct rings rings;
};

/* Fills code and rings. 0 or -errno; -ENOSYS: there is no stub for this machine. */
int agents_init(struct agents *agents);
void agents_destroy(struct agents *agents);

struct agent {
	struct agents *all;
	pid_t pid; /* 0: there is none yet */
	int pidfd, uffd, bell, file;
	unsigned long at;  /* of the code page; a window's first page */
	unsigned int slot; /* its ring's pages are at + (1 + 2 slot) pages */
	int ring;
	struct {
		pthread_mutex_t lock; /* a round */
		uint32_t round;
		bool dead;
	} turn;
};

/* 0 or -errno: nothing is left. at: of agent_windows. */
int agent_init(struct agent *a, struct agents *all, unsigned long at);
/* Of an agent that is dead, or was never made. Closes pidfd, uffd and bell. */
void agent_free(struct agent *a);

/* birth --------------------------------------------------------------------------------- */

enum birth_how {
	BIRTH_AT_EXEC, /* in PTRACE_EVENT_EXEC's stop: maps code and ring, makes the agent */
	BIRTH_AT_FORK, /* in a child's first stop: they are there */
};

/* What the task does, until its next stop. */
enum birth_state {
	BIRTH_IS_OVER, /* nothing: it is stopped, or has not begun */
	BIRTH_LEAVES,  /* execve(2) returns */
	BIRTH_ASKS,    /* begins to ask for the code's descriptor, */
	BIRTH_ASKED,   /* and has it */
	BIRTH_MAPS,    /* begins to map the code, */
	BIRTH_MAPPED,  /* and has it */
	BIRTH_CLONES,  /* runs the stub's beginning, to PTRACE_EVENT_CLONE */
	BIRTH_CLONED,  /* clone(2) returns */
};

struct birth {
	struct agent *agent;
	pid_t tid;
	pid_t reap; /* an agent of a former space that is dead: waited for by the task; or 0 */
	enum birth_how how;
	enum birth_state state;
	unsigned long gate; /* a system call's instruction in the vdso */
	struct {
		struct user_regs_struct regs;
		uint64_t mask; /* of signals */
		struct rlimit files;
		bool stop;            /* a SIGSTOP came */
	} was;                        /* and will be */
	struct user_regs_struct regs; /* for the next call */
};

/*
 * The task is in the stop that how names, seized with PTRACE_O_TRACECLONE and _TRACESYSGOOD, and
 * alone in its address space; no other thread lets it go on until the birth is over. 0: it runs,
 * and each of its stops goes to birth_stop(). -errno: it is as it was.
 */
int birth_begin(struct birth *b);

/*
 * The task has stopped with status of waitpid(2). 1: it goes on. 0: the agent is there
 * (agent->pid), the task is stopped where it was, with its registers. -errno: there is none; the
 * task can only be killed, and so can an agent that was made (agent->pid). Its signals are blocked
 * meanwhile, so that no handler runs; a SIGSTOP is sent again in the end.
 */
int birth_stop(struct birth *b, int status);

/* The agent itself has stopped: its signals are blocked the first time; it goes on. */
void agent_stopped(pid_t pid, int status);

/*
 * The task of a birth (zeros before it begins), or the agent while it runs agent_open(), was
 * notified. 1: it was answered. 0: it is none of ours, answer it. By any thread; listener: of the
 * filter.
 */
int birth_notify(struct birth *b, int listener, const struct seccomp_notif *asked);
int agent_notify(struct agent *a, int listener, const struct seccomp_notif *asked);

/*
 * What is done while an agent waits for an answer of this side: when fd is readable (the listener,
 * or an epoll), call(priv) reads what there is and does not wait; the agent's notifications go to
 * agent_notify(). NULL in its place: other threads do.
 */
struct agent_serve {
	int fd;
	void (*call)(void *priv);
	void *priv;
};

/*
 * The agent's first rounds: it leaves the program's session and working directory, and gets its
 * descriptors, by notifications. With uffd -1 it makes a userfaultfd of its memory, whose other end
 * becomes a->uffd; else it gets that one (EVENT_FORK's). 0 or -errno: kill it.
 */
int agent_open(struct agent *a, const struct agent_serve *serve);

/*
 * fd becomes its AGENT_FD_FILE, in the place of the one before. A batch closes it
 * (close(2) of AGENT_FD_FILE) when no later step needs it. 0 or -errno.
 */
int agent_give_file(struct agent *a, int fd, const struct agent_serve *serve);

/* Answers a notification of AGENT_CALL_FD; for birth_notify() and agent_notify(). 1. */
enum agent_gives { AGENT_GIVES_ANY, AGENT_GIVES_AT }; /* the lowest free number, or the same */
int agent_give_fd(const struct agent *a, int listener, const struct seccomp_notif *asked,
		  enum agent_gives how);

/* fork ---------------------------------------------------------------------------------- */

/*
 * child: agent_init() made it with the parent's at. Maps its ring in the parent. 0 or -errno.
 * EVENT_FORK comes only where something is registered: without it, uffd of the child stays -1.
 */
int agent_fork(struct agent *parent, struct agent *child);
/* The kernel's fork is over: that ring is unmapped in the parent. 0 or -errno. */
int agent_forked(struct agent *parent, const struct agent *child);

/* move ---------------------------------------------------------------------------------- */

/*
 * Code and ring go to another window, since the program wants the addresses of this one. 0 or
 * -errno: they are where they were (-EEXIST: something is in the way there).
 */
int agent_move(struct agent *a, unsigned long to);

/* end ----------------------------------------------------------------------------------- */

/* SIGKILL. Calls that wait for it return -ESRCH. */
void agent_kill(struct agent *a);

/* batches ------------------------------------------------------------------------------- */

struct batch {
	struct agent *agent;
	unsigned long ran;  /* steps that have succeeded */
	int err;            /* 0, or -errno of the first that failed: none behind it runs */
	unsigned int count; /* of the round that is being written */
	struct ring_step step[RING_STEPS];
	unsigned char data[RING_STEPS][RING_DATA];
	uint32_t has_data; /* a bit a step */
};

void batch_begin(struct batch *b, struct agent *a);

/*
 * 0; -errno of the step that failed, b->ran steps ran before it; -ESRCH: the agent is dead, or was
 * killed because it did not answer for ten seconds; how many steps ran is not known then. -EUCLEAN:
 * what came back is no answer. Behind either of these the space cannot go on.
 */
int batch_end(struct batch *b);

/* As batch_end(), for a batch with AGENT_CALL_FD; serve may be NULL. */
int batch_round(struct batch *b, const struct agent_serve *serve);

/* Each of these adds a step. A round that is full runs first. */
void batch_call(struct batch *b, long nr, const unsigned long arg[6]);
/* ioctl(uffd, cmd, arg): arg is copied, at most RING_DATA bytes; what it writes back is lost. */
void batch_uffd(struct batch *b, unsigned long cmd, const void *arg, size_t bytes);
void batch_register(struct batch *b, unsigned long start, unsigned long end, uint64_t modes);

struct batch_map {
	unsigned long start, end;
	int prot, flags; /* MAP_FIXED is added unless MAP_FIXED_NOREPLACE is there */
	enum agent_fd fd;
	unsigned long first; /* the page of the file at start */
};
void batch_mmap(struct batch *b, const struct batch_map *map);
void batch_munmap(struct batch *b, unsigned long start, unsigned long end);
void batch_mprotect(struct batch *b, unsigned long start, unsigned long end, int prot);
void batch_madvise(struct batch *b, unsigned long start, unsigned long end, int advice);

/* Bytes at an address of the program where it can only read them: clone3's struct. */
unsigned long agent_show(struct agent *a, const void *bytes, size_t size);

#endif
