/* SPDX-License-Identifier: MIT */
/*
 * A guest for the tests of cli/run: this program once more, started under the tracer, with an
 * agent in its address space.
 *
 *   test's thread   asks the guest, reads the listener and userfaultfds: serve()
 *   tracer thread   makes the guest, and births when it calls execve or fork
 *   guest           does what it is asked: struct control, which both have mapped
 */
#ifndef TESTS_RUN_GUEST_H
#define TESTS_RUN_GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/areas.h"
#include "support/cmocka_all.h"

#define PAGE 4096UL
#define RAM_PAGES 4096UL

/* guest ---------------------------------------------------------------------------------- */

enum ask { ASK_LOAD, ASK_STORE, ASK_CALL, ASK_FORK, ASK_EXEC, ASK_EXIT };

struct control {
	uint32_t go, done; /* futex words */
	enum ask ask;
	long arg[7], ret;
	int sig, code; /* of an access that failed */
	void *addr;
};

#define GUESTS 3 /* controls: the first guest, its child, and what it calls by execve */

static inline void word_set(uint32_t *word, uint32_t to)
{
	__atomic_store_n(word, to, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static inline void word_wait(uint32_t *word, uint32_t not )
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == not )
		syscall(SYS_futex, word, FUTEX_WAIT, not, NULL, NULL, 0);
}

static struct control *guest_control;
static sigjmp_buf guest_out;

static inline void guest_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	guest_control->sig = sig;
	guest_control->code = info->si_code;
	guest_control->addr = info->si_addr;
	siglongjmp(guest_out, 1);
}

static inline long guest_access(struct control *c, bool store)
{
	volatile long *at = (volatile long *)c->arg[0];

	c->sig = 0;
	if (sigsetjmp(guest_out, 1))
		return -EFAULT;
	if (store)
		*at = c->arg[1];
	return store ? 0 : *at;
}

static inline void guest_loop(struct control *all, int which);

static inline long guest_does(struct control *all, struct control *c)
{
	char which[12], fd[12];
	long ret;

	switch (c->ask) {
	case ASK_LOAD:
	case ASK_STORE:
		return guest_access(c, c->ask == ASK_STORE);
	case ASK_FORK:
		ret = syscall(SYS_fork);
		if (!ret)
			guest_loop(all, 1);
		return ret < 0 ? -errno : ret;
	case ASK_EXEC:
		snprintf(fd, sizeof(fd), "%ld", c->arg[0]);
		snprintf(which, sizeof(which), "%ld", c->arg[1]);
		execl("/proc/self/exe", "guest", fd, which, NULL);
		return -errno;
	case ASK_CALL:
		ret = syscall(c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5],
			      c->arg[6]);
		return ret < 0 ? -errno : ret;
	default:
		_exit((int)c->arg[0]);
	}
}

static inline void guest_loop(struct control *all, int which)
{
	const struct sigaction act = { .sa_sigaction = guest_signal, .sa_flags = SA_SIGINFO };
	struct control *c = all + which;

	guest_control = c;
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	word_set(&c->done, 1);
	for (uint32_t n = 1;; n++) {
		word_wait(&c->go, n - 1);
		c->ret = guest_does(all, c);
		word_set(&c->done, n + 1);
	}
}

/* In main(), before all else: does not return in a guest. */
static inline void guest_main(int argc, char **argv)
{
	struct control *all;

	if (argc != 3 || strcmp(argv[0], "guest") != 0)
		return;
	all = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)strtol(argv[1], NULL, 10),
		   0);
	if (all == MAP_FAILED)
		_exit(9);
	guest_loop(all, (int)strtol(argv[2], NULL, 10));
}

/* world ---------------------------------------------------------------------------------- */

struct world {
	struct agents agents;
	struct agent agent[GUESTS];
	struct areas areas;
	struct birth birth[GUESTS];
	struct control *control;
	int control_fd, exec_nr; /* whose birth the next execve(2) is */
	atomic_int listener;     /* -errno: the guest could not be traced */
	char *ram;
	pid_t pid[GUESTS];
	pthread_t tracer;
	pthread_mutex_t lock; /* the tracer's, but where the other thread makes or frees an agent */
	atomic_int born[GUESTS];       /* 1: it goes on; else what birth_stop() said, and 2 for 0 */
	atomic_int go[GUESTS], ended;  /* the task of a birth that is over may go on */
	atomic_int agents_dead, stops; /* of agents */
	pid_t early;                   /* stopped before its maker's event was seen */
	void (*fault)(struct world *w, int uffd, const struct uffd_msg *msg);
	unsigned long notified; /* calls that were made to go on */
};

static inline int filter_for_tests(void)
{
	const unsigned int nr = offsetof(struct seccomp_data, nr);
	const unsigned int ip = offsetof(struct seccomp_data, instruction_pointer);
	struct sock_filter insn[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AGENT_CALL_FD, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)(agent_windows[0] >> 32), 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (unsigned int)agent_windows[0], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	const struct sock_fprog prog = { sizeof(insn) / sizeof(insn[0]), insn };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &prog);
}

/* tracer --------------------------------------------------------------------------------- */

static inline int birth_of(struct world *w, pid_t tid)
{
	for (int i = 0; i < GUESTS; i++)
		if (w->birth[i].tid == tid && atomic_load(&w->born[i]) == 1)
			return i;
	return -1;
}

static inline bool is_agent(struct world *w, pid_t pid)
{
	for (int i = 0; i < GUESTS; i++)
		if (w->agent[i].all && __atomic_load_n(&w->agent[i].pid, __ATOMIC_ACQUIRE) == pid)
			return true;
	return false;
}

static inline void birth_goes_on(struct world *w, int i, int ret)
{
	const pid_t agent = w->agent[i].pid;

	if (ret != 1)
		atomic_store(&w->born[i], ret ? ret : 2);
	if (agent && agent == w->early) {
		agent_stopped(w->early, SIGTRAP << 8 | 0x7f | PTRACE_EVENT_STOP << 16);
		w->early = 0;
	}
}

static inline void begin_birth(struct world *w, int i, pid_t tid, enum birth_how how)
{
	int err;

	w->birth[i].agent = &w->agent[i];
	w->birth[i].tid = w->pid[i] = tid;
	w->birth[i].how = how;
	atomic_store(&w->born[i], 1);
	err = birth_begin(&w->birth[i]);
	if (err)
		atomic_store(&w->born[i], err);
}

static inline void stopped(struct world *w, pid_t pid, int status)
{
	const int event = status >> 16, i = birth_of(w, pid);

	if (i >= 0) {
		birth_goes_on(w, i, birth_stop(&w->birth[i], status));
	} else if (is_agent(w, pid)) {
		agent_stopped(pid, status);
		atomic_fetch_add(&w->stops, 1);
	} else if (event == PTRACE_EVENT_EXEC) {
		begin_birth(w, w->exec_nr, pid, BIRTH_AT_EXEC);
	} else if (event == PTRACE_EVENT_STOP && WSTOPSIG(status) == SIGTRAP && pid != w->pid[0]) {
		if (w->agent[1].all && w->exec_nr != 2 && !w->pid[1] && w->agent[0].pid &&
		    atomic_load(&w->born[0]) == 2)
			begin_birth(w, 1, pid, BIRTH_AT_FORK);
		else
			w->early = pid;
	} else {
		ptrace(PTRACE_CONT, pid, 0, event ? 0 : WSTOPSIG(status));
	}
}

static inline void let_go(struct world *w)
{
	for (int i = 0; i < GUESTS; i++)
		if (atomic_exchange(&w->go[i], 0))
			ptrace(PTRACE_CONT, w->pid[i], 0, 0);
}

static inline void ended(struct world *w, pid_t pid)
{
	const int i = birth_of(w, pid);

	if (i >= 0)
		atomic_store(&w->born[i], -ESRCH);
	if (is_agent(w, pid))
		atomic_fetch_add(&w->agents_dead, 1);
}

static inline void *trace(void *arg)
{
	const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD;
	struct world *w = arg;
	int status, ready[2], listener;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		listener = filter_for_tests();
		if (write(ready[1], &listener, sizeof(listener)) < 0)
			_exit(8);
		raise(SIGSTOP);
		w->control[0].arg[0] = w->control_fd;
		w->control[0].arg[1] = 0;
		w->control[0].ask = ASK_EXEC;
		guest_does(w->control, w->control);
		_exit(9);
	}
	w->pid[0] = pid;
	assert_int_equal(read(ready[0], &listener, sizeof(listener)), sizeof(listener));
	waitpid(pid, &status, WUNTRACED);
	if (!ptrace(PTRACE_SEIZE, pid, 0, options)) {
		status = (int)syscall(SYS_pidfd_open, pid, 0);
		atomic_store(&w->listener, (int)syscall(SYS_pidfd_getfd, status, listener, 0));
		close(status);
	} else {
		kill(pid, SIGKILL);
		atomic_store(&w->listener, -errno);
	}
	kill(pid, SIGCONT);
	close(ready[0]);
	close(ready[1]);
	while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) >= 0) {
		pthread_mutex_lock(&w->lock);
		let_go(w);
		if (pid > 0 && WIFSTOPPED(status))
			stopped(w, pid, status);
		else if (pid > 0)
			ended(w, pid);
		pthread_mutex_unlock(&w->lock);
		if (!pid)
			usleep(200);
	}
	atomic_store(&w->ended, 1);
	return NULL;
}

#endif
