/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int listen_for_fds(void)
{
	struct sock_filter insn[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AGENT_CALL_FD, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { sizeof(insn) / sizeof(insn[0]), insn };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &prog);
}

static void guest(int to)
{
	const int listener = listen_for_fds();

	if (write(to, &listener, sizeof(listener)) != sizeof(listener))
		_exit(1);
	raise(SIGSTOP);
	execl("/proc/self/exe", "guest", NULL);
	_exit(1);
}

/* Waits for a notification, a stop, or a millisecond. */
static void serve(void *priv)
{
	struct bench_guest *g = priv;
	struct pollfd fds[2] = { { .fd = g->listener, .events = POLLIN },
				 { .fd = g->children, .events = POLLIN } };
	struct seccomp_notif asked = { 0 };
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	poll(fds, 2, 1);
	if (fds[1].revents && read(g->children, &info, sizeof(info)) < 0)
		return;
	if (fds[0].revents && !ioctl(g->listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) &&
	    !birth_notify(&g->birth, g->listener, &asked))
		agent_notify(&g->agent, g->listener, &asked);
	/* The agent's first stop may come in front of its maker's event. */
	if (g->agent.pid && (pid = waitpid(g->agent.pid, &status, __WALL | WNOHANG)) > 0 &&
	    WIFSTOPPED(status))
		agent_stopped(pid, status);
}

static const char *bear(struct bench_guest *g)
{
	const struct agent_serve how = { epoll_create1(EPOLL_CLOEXEC), serve, g };
	struct epoll_event in = { .events = EPOLLIN };
	int status, ret = 1;

	if (epoll_ctl(how.fd, EPOLL_CTL_ADD, g->listener, &in) ||
	    epoll_ctl(how.fd, EPOLL_CTL_ADD, g->children, &in))
		return "no epoll";
	g->birth = (struct birth){ .agent = &g->agent, .tid = g->pid, .how = BIRTH_AT_EXEC };
	g->born = now();
	if (birth_begin(&g->birth))
		return "the agent's birth did not begin";
	while (ret == 1) {
		while (ret == 1 && waitpid(g->pid, &status, WNOHANG) == g->pid)
			ret = birth_stop(&g->birth, status);
		if (ret == 1)
			serve(g);
	}
	if (ret || agent_open(&g->agent, &how))
		return "the agent was not born";
	g->born = now() - g->born;
	close(how.fd);
	ptrace(PTRACE_CONT, g->pid, 0, 0);
	return NULL;
}

static const char *trace(struct bench_guest *g, int listener)
{
	const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
			     PTRACE_O_TRACESYSGOOD;
	int status, pidfd = (int)syscall(SYS_pidfd_open, g->pid, 0);

	waitpid(g->pid, &status, WUNTRACED);
	if (ptrace(PTRACE_SEIZE, g->pid, 0, options))
		return "ptrace(2) is refused";
	g->listener = (int)syscall(SYS_pidfd_getfd, pidfd, listener, 0);
	close(pidfd);
	if (g->listener < 0)
		return "seccomp(2) gives no listener";
	kill(g->pid, SIGCONT);
	while (waitpid(g->pid, &status, 0) == g->pid && WIFSTOPPED(status)) {
		if (status >> 16 == PTRACE_EVENT_EXEC)
			return bear(g);
		ptrace(PTRACE_CONT, g->pid, 0, 0);
	}
	return "the guest ended";
}

const char *guest_start(struct bench_guest *g, unsigned long ram_bytes)
{
	int fds[2], listener = -1;
	const char *why;
	sigset_t child;

	memset(g, 0, sizeof(*g));
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	g->children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	g->agents.ram = memfd_create("bench-ram", MFD_CLOEXEC);
	g->agents.empty = memfd_create("bench-empty", MFD_CLOEXEC);
	g->agents.ask = memfd_create("bench-ask", MFD_CLOEXEC);
	g->agents.dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	g->agents.features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_MINOR_SHMEM |
			     UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
	if (ftruncate(g->agents.ram, (off_t)ram_bytes) || pipe(fds) || agents_init(&g->agents) ||
	    agent_init(&g->agent, &g->agents, agent_windows[0]))
		return "no files or no memory";
	g->pid = fork();
	if (!g->pid)
		guest(fds[1]);
	if (read(fds[0], &listener, sizeof(listener)) != sizeof(listener))
		return "the guest did not start";
	close(fds[0]);
	close(fds[1]);
	why = trace(g, listener);
	if (why)
		kill(g->pid, SIGKILL);
	return why;
}

void guest_end(struct bench_guest *g)
{
	int status;

	agent_kill(&g->agent);
	kill(g->pid, SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0)
		;
	agent_free(&g->agent);
	agents_destroy(&g->agents);
}
