/* SPDX-License-Identifier: MIT */
/* What a fork costs a program that is traced, stop by stop. */
#include "facts.h"

#include <elf.h>
#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

enum how { UNTRACED, SEIZED, SECCOMP, AGENT, HOWS };
static const char *const names[HOWS] = {
	"fork, exit, wait: not traced",
	"... seized, the child's first stop and the reports of death",
	"... a seccomp stop before it, and a stop at its exit",
	"... a process that shares its memory is made in the child's first stop, and killed",
};

static struct control *c;

static void program(enum how how)
{
	word_wait(&c->go, 1);
	if (how >= SECCOMP)
		filter(SYS_clone, SECCOMP_RET_TRACE);
	c->took = forks(200);
	_exit(0);
}

/* clone(CLONE_VM) by pid, which is in its first stop, behind a system call's instruction. */
static pid_t make_agent(pid_t pid)
{
	struct user_regs_struct was, regs;
	struct iovec all = { &was, sizeof(was) };
	unsigned long agent = 0;
	int status;

	ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all);
	regs = was;
	regs.rip -= 2;
	regs.rax = SYS_clone;
	regs.rdi = CLONE_VM;
	regs.rsi = regs.rdx = regs.r10 = regs.r8 = 0;
	all.iov_base = &regs;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
	ptrace(PTRACE_CONT, pid, 0, 0);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8)) {
			ptrace(PTRACE_GETEVENTMSG, pid, 0, &agent);
			break;
		}
		ptrace(PTRACE_CONT, pid, 0, 0); /* the filter's stop */
	}
	ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
	waitpid(pid, &status, __WALL);
	all.iov_base = &was;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
	return (pid_t)agent;
}

static void trace(pid_t first, enum how how)
{
	const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD;
	pid_t pid, agent = 0;
	int status;

	ptrace(PTRACE_SEIZE, first, 0, options);
	word_set(&c->go, 1);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status)) {
			if (pid == first)
				break;
			if (pid != agent && agent)
				kill(agent, SIGKILL);
			continue;
		}
		if (status >> 16 == PTRACE_EVENT_STOP && pid == agent)
			continue;
		if (status >> 16 == PTRACE_EVENT_STOP && how == AGENT)
			agent = make_agent(pid);
		if (status >> 16 == PTRACE_EVENT_SECCOMP && pid == first)
			ptrace(PTRACE_SYSCALL, pid, 0, 0);
		else if (status >> 16 == PTRACE_EVENT_FORK && how >= SECCOMP)
			ptrace(PTRACE_SYSCALL, pid, 0, 0);
		else
			ptrace(PTRACE_CONT, pid, 0, 0);
	}
}

void group_stops(void)
{
	for (enum how how = 0; how < HOWS; how++) {
		pid_t pid;

		c = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		pid = fork();
		if (!pid)
			program(how);
		if (how == UNTRACED) {
			word_set(&c->go, 1);
			waitpid(pid, NULL, 0);
		} else {
			trace(pid, how);
		}
		FACT(names[how], P("%.0f", c->took));
	}
}
