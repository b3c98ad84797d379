/* SPDX-License-Identifier: MIT */
/*
 * An agent is made: the calls that a stopped task of the program makes for it.
 *
 *   BIRTH_AT_EXEC            at                       stops
 *   execve returns                                    exit
 *   AGENT_CALL_FD(code)      the vdso's gate          entry, exit
 *   mmap of the code         the vdso's gate          entry, exit
 *   stub_boot                the code                 PTRACE_EVENT_CLONE, exit of clone(2)
 *
 *   BIRTH_AT_FORK
 *   stub_fork                the code                 PTRACE_EVENT_CLONE, exit of clone(2)
 *
 * The stops are those of system calls and events. A trap would be a signal, and the kernel unblocks
 * one that is forced and forgets its handler.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/agent.h"
#include "run/stub/stub.h"

#define PAGE 4096UL
#define VDSO_MOST (4 * PAGE)
#define ALL_SIGNALS (~0UL)
#define MANY_FILES 65536UL

#ifndef PTRACE_GETSIGMASK
#define PTRACE_GETSIGMASK 0x420a
#define PTRACE_SETSIGMASK 0x420b
#endif

static int ptrace_err(enum __ptrace_request request, pid_t tid, unsigned long addr, void *data)
{
	return ptrace(request, tid, addr, data) < 0 ? -errno : 0;
}

/* the gate ------------------------------------------------------------------------------- */

static unsigned long auxv_value(pid_t tid, unsigned long key)
{
	unsigned long pair[64][2], value = 0;
	char path[40];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, pair, sizeof(pair));
	close(fd);
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(pair[0]); i++)
		if (pair[i][0] == key)
			value = pair[i][1];
	return value;
}

/* Where the bytes of a system call's instruction are in the vdso, or 0. */
static unsigned long find_gate(pid_t tid)
{
	const unsigned long vdso = auxv_value(tid, AT_SYSINFO_EHDR);
	static const unsigned char insn[2] = { 0x0f, 0x05 };
	unsigned char code[VDSO_MOST];
	const struct iovec to = { code, sizeof(code) };
	struct iovec from[VDSO_MOST / PAGE];
	const unsigned char *at;
	ssize_t n;

	if (!vdso)
		return 0;
	/* The pages one by one: how many there are is not known. */
	for (unsigned long i = 0; i < VDSO_MOST / PAGE; i++)
		from[i] = (struct iovec){ (void *)(vdso + i * PAGE), PAGE }; // NOLINT
	n = process_vm_readv(tid, &to, 1, from, VDSO_MOST / PAGE, 0);
	at = n > 0 ? memmem(code, (size_t)n, insn, sizeof(insn)) : NULL;
	return at ? vdso + (unsigned long)(at - code) : 0;
}

/* steps ---------------------------------------------------------------------------------- */

/* The tracer's; birth_notify() reads it, and all that was written before. */
static void set_state(struct birth *b, enum birth_state state)
{
	__atomic_store_n(&b->state, state, __ATOMIC_RELEASE);
}

static void go(const struct birth *b)
{
	const enum __ptrace_request how = b->state == BIRTH_CLONES ? PTRACE_CONT : PTRACE_SYSCALL;

	ptrace(how, b->tid, 0, 0);
}

/* The task's next call, made at the gate. */
static int call_next(struct birth *b, unsigned long nr, const unsigned long arg[6])
{
	struct user_regs_struct *r = &b->regs;

	r->rip = b->gate;
	r->rax = nr;
	r->orig_rax = ~0UL; /* no call is to be restarted */
	r->rdi = arg[0];
	r->rsi = arg[1];
	r->rdx = arg[2];
	r->r10 = arg[3];
	r->r8 = arg[4];
	r->r9 = arg[5];
	return ptrace_err(PTRACE_SETREGS, b->tid, 0, r);
}

static int ask_code(struct birth *b)
{
	const unsigned long arg[6] = { AGENT_FD_CODE };

	return call_next(b, AGENT_CALL_FD, arg);
}

static int map_code(struct birth *b)
{
	const unsigned long arg[6] = { b->agent->at, PAGE, PROT_READ | PROT_EXEC,
				       MAP_SHARED | MAP_FIXED_NOREPLACE, b->regs.rbx };

	return call_next(b, SYS_mmap, arg);
}

static int run_stub(struct birth *b, unsigned long offset)
{
	struct user_regs_struct *r = &b->regs;

	r->rip = b->agent->at + offset;
	r->orig_rax = ~0UL;
	r->r12 = b->agent->at + (1 + 2 * b->agent->slot) * PAGE;
	r->r13 = 2 * PAGE * (unsigned long)b->agent->ring;
	r->r14 = (unsigned long)b->reap;
	return ptrace_err(PTRACE_SETREGS, b->tid, 0, r);
}

/* What the call that is over has returned, into regs. */
static int result(struct birth *b)
{
	const int err = ptrace_err(PTRACE_GETREGS, b->tid, 0, &b->regs);
	const long ret = (long)b->regs.rax;

	if (err)
		return err;
	return ret < 0 && ret > -(long)PAGE ? (int)ret : 0;
}

/*
 * A call that slept was woken by what makes a stop: SIGCONT, say. These numbers of the kernel's are
 * seen by a tracer only; the call is not made again by itself, since orig_rax is gone.
 */
static bool is_interrupted(int err)
{
	return err <= -512 && err >= -516; /* ERESTARTSYS to ERESTART_RESTARTBLOCK */
}

static int cloned(struct birth *b)
{
	unsigned long pid = 0;
	const int err = ptrace_err(PTRACE_GETEVENTMSG, b->tid, 0, &pid);

	if (err)
		return err;
	b->agent->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (b->agent->pidfd < 0)
		return -errno;
	__atomic_store_n(&b->agent->pid, (pid_t)pid, __ATOMIC_RELEASE);
	return 0;
}

/* begin and end -------------------------------------------------------------------------- */

/*
 * A program may have used up its descriptors. The agent is made with the raised limit. Where the
 * hard limit is reached too, and cannot be raised, the birth fails with -EMFILE.
 */
static void raise_files(struct birth *b)
{
	struct rlimit more = { MANY_FILES, MANY_FILES };

	if (prlimit(b->tid, RLIMIT_NOFILE, NULL, &b->was.files))
		return;
	if (more.rlim_max < b->was.files.rlim_max)
		more.rlim_cur = more.rlim_max = b->was.files.rlim_max;
	if (!prlimit(b->tid, RLIMIT_NOFILE, &more, NULL))
		return;
	more.rlim_cur = more.rlim_max = b->was.files.rlim_max;
	prlimit(b->tid, RLIMIT_NOFILE, &more, NULL);
}

static int as_it_was(struct birth *b)
{
	const int err = ptrace_err(PTRACE_SETREGS, b->tid, 0, &b->was.regs);

	prlimit(b->tid, RLIMIT_NOFILE, &b->was.files, NULL);
	ptrace(PTRACE_SETSIGMASK, b->tid, sizeof(b->was.mask), &b->was.mask);
	if (b->was.stop)
		syscall(SYS_tgkill, b->tid, b->tid, SIGSTOP);
	set_state(b, BIRTH_IS_OVER);
	return err;
}

int birth_begin(struct birth *b)
{
	unsigned long all = ALL_SIGNALS;
	int err;

	b->was.stop = false;
	if (b->how == BIRTH_AT_EXEC) {
		b->gate = find_gate(b->tid);
		if (!b->gate)
			return -ENOEXEC;
	}
	err = ptrace_err(PTRACE_GETREGS, b->tid, 0, &b->was.regs);
	if (!err)
		err = ptrace_err(PTRACE_GETSIGMASK, b->tid, sizeof(b->was.mask), &b->was.mask);
	if (!err)
		err = ptrace_err(PTRACE_SETSIGMASK, b->tid, sizeof(all), &all);
	if (err)
		return err;
	raise_files(b);
	b->regs = b->was.regs;
	set_state(b, b->how == BIRTH_AT_EXEC ? BIRTH_LEAVES : BIRTH_CLONES);
	if (b->how == BIRTH_AT_FORK)
		err = run_stub(b, stub_get().fork);
	if (err)
		return as_it_was(b), err;
	go(b);
	return 0;
}

/* In the stop that its state leads to: what is next. 0 or -errno. */
static int next_step(struct birth *b)
{
	int err = 0;

	switch (b->state) {
	case BIRTH_LEAVES: /* now the registers are those that the program begins with */
		err = ptrace_err(PTRACE_GETREGS, b->tid, 0, &b->was.regs);
		b->regs = b->was.regs;
		return err ? err : ask_code(b);
	case BIRTH_ASKED:
		err = result(b);
		if (is_interrupted(err)) {
			set_state(b, BIRTH_LEAVES); /* its call is the next stop's */
			return ask_code(b);
		}
		b->regs.rbx = b->regs.rax;
		return err ? err : map_code(b);
	case BIRTH_MAPPED:
		err = result(b);
		if (!err && b->regs.rax != b->agent->at)
			err = -EEXIST;
		return err ? err : run_stub(b, stub_get().boot);
	case BIRTH_CLONES:
		return cloned(b);
	case BIRTH_CLONED:
		return as_it_was(b);
	default:
		return 0;
	}
}

static bool is_stop_of(enum birth_state state, int status)
{
	if (state == BIRTH_CLONES)
		return status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8);
	return WSTOPSIG(status) == (SIGTRAP | 0x80);
}

static bool is_group_stop(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

int birth_stop(struct birth *b, int status)
{
	int err;

	if (!WIFSTOPPED(status))
		return -ESRCH;
	if (is_stop_of(b->state, status)) {
		err = next_step(b);
		if (err || b->state == BIRTH_IS_OVER)
			return err;
		set_state(b, b->state + 1);
	} else if (is_group_stop(WSTOPSIG(status))) { /* the signal, or what came of it */
		b->was.stop = true;
	} else if (status >> 16 != PTRACE_EVENT_STOP) {
		return -EFAULT; /* the stub's trap, or a fault in it */
	}
	go(b);
	return 1;
}

int birth_notify(struct birth *b, int listener, const struct seccomp_notif *asked)
{
	struct seccomp_notif_resp answer = {
		.id = asked->id,
		.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE,
	};

	if (__atomic_load_n(&b->state, __ATOMIC_ACQUIRE) == BIRTH_IS_OVER ||
	    (pid_t)asked->pid != b->tid)
		return 0;
	if (asked->data.nr == (int)AGENT_CALL_FD)
		return agent_give_fd(b->agent, listener, asked, AGENT_GIVES_ANY);
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	return 1;
}
