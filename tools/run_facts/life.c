/* SPDX-License-Identifier: MIT */
/* Who is left when the supervisor is killed; forks, stops, leases, pins. */
#include "facts.h"

#include <linux/falloc.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static struct control *shared;

static void *faults(void *arg)
{
	*(volatile char *)arg = 1;
	return NULL;
}

static void *asks(void *arg)
{
	syscall(SYS_getppid);
	return arg;
}

static int agent(void *arg)
{
	(void)arg;
	setsid();
	for (;;) {
		__atomic_fetch_add(&shared->arg[1], 1, __ATOMIC_RELAXED);
		usleep(1000);
	}
	return 0;
}

static void program(void)
{
	struct guest g = { .ram = frames_make(BLOCK) };
	pthread_t thread;

	g.at = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, g.ram.fd, 0);
	reg(uffd_make(0), g.at, 512, ALL_MODES);
	clone(agent, malloc(65536) + 65536, CLONE_VM | CLONE_FILES, NULL);
	filter(SYS_getppid, SECCOMP_RET_USER_NOTIF);
	pthread_create(&thread, NULL, faults, g.at);
	pthread_create(&thread, NULL, asks, NULL);
	if (!fork())
		for (;;)
			pause();
	word_set(&shared->done, 1);
	for (;;)
		pause();
}

/* Traces pid and all that come from it, until it is killed. */
static void supervise(pid_t pid)
{
	const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK;
	int status;

	must(!ptrace(PTRACE_SEIZE, pid, 0, options), "seize");
	word_set(&shared->go, 1);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status))
			continue;
		__atomic_fetch_add(&shared->arg[2], 1, __ATOMIC_RELAXED);
		/* A new task's first stop, or the event of its maker; a stop by a signal stays. */
		if (status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) == SIGSTOP)
			ptrace(PTRACE_LISTEN, pid, 0, 0);
		else
			ptrace(PTRACE_CONT, pid, 0, 0);
	}
	_exit(0);
}

static void killed(void)
{
	pid_t watched, front;
	int left = 0;
	long agent_ran;
	bool none;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	front = fork();
	if (!front) {
		watched = fork();
		if (!watched) {
			word_wait(&shared->go, 1);
			program();
		}
		shared->arg[0] = watched;
		supervise(watched);
	}
	word_wait(&shared->done, 1);
	usleep(100000);
	watched = (pid_t)shared->arg[0];
	kill(watched, SIGSTOP);
	usleep(50000);
	agent_ran = __atomic_load_n(&shared->arg[1], __ATOMIC_RELAXED);
	usleep(50000);
	FACT("a program is stopped (SIGSTOP); its agent, a process that shares its memory, of a "
	     "session of its own",
	     P("%s", shared->arg[1] > agent_ran ? "runs" : "stops"));
	kill(front, SIGKILL);
	usleep(300000);
	while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
		left++;
	none = waitpid(-1, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD;
	FACT("supervisor killed; threads wait in userfaultfd and in seccomp, the program is "
	     "stopped, it has a child and an agent, all seized with EXITKILL",
	     P("%d processes are dead, %s", left, none ? "none is left" : "some are left"));
}

/* Each side of a fork stores to a page that was write-protected. */
static void forker(struct guest *g)
{
	pid_t pid;

	g->at[0] = 'p'; /* mapped by the supervisor */
	word_set(&g->c->done, 2);
	word_wait(&g->c->go, 2);
	pid = fork();
	if (!pid) {
		g->at[0] = 'c';
		_exit(0);
	}
	g->at[0] = 'q';
	waitpid(pid, NULL, 0);
	pause();
}

static void fork_told(void)
{
	struct guest g = guest_start(forker, 8, ALL_MODES, UFFD_FEATURE_EVENT_FORK);
	struct uffd_msg msg;
	int child = -1;

	next_message(g.uffd, &msg, 1000);
	zero(g.uffd, g.at, 1);
	word_wait(&g.c->done, 2);
	protect(g.uffd, g.at, 8, true);
	word_set(&g.c->go, 2);
	FACT("fork with EVENT_FORK after WRITEPROTECT: first message",
	     P("%s", next_message(g.uffd, &msg, 1000) && msg.event == UFFD_EVENT_FORK ? "fork" :
											"other"));
	child = (int)msg.arg.fork.ufd;
	FACT("... then the parent's store and the child's",
	     P("%s, ", next_message(g.uffd, &msg, 1000) &&
				       (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) ?
			       "stopped by its bit" :
			       "not stopped"),
	     P("%s", next_message(child, &msg, 1000) &&
				     (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) ?
			     "stopped by its bit, told through the child's descriptor" :
			     "not stopped"));
	close(child);
	guest_end(&g);
}

static void unprivileged(void)
{
	int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	pid_t pid = fork();

	if (!pid) {
		struct uffdio_api api = { .api = UFFD_API };
		int fd;

		must(!setgid(65534) && !setuid(65534), "setuid");
		FACT("uid 65534: userfaultfd(2), USERFAULTFD_IOC_NEW of a descriptor of root's",
		     P("%s, ", err(syscall(SYS_userfaultfd, O_CLOEXEC) < 0 ? -errno : 0)),
		     fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC),
		     P("%s", fd < 0                      ? err(-errno) :
			     ioctl(fd, UFFDIO_API, &api) ? "no API" :
							   "works"));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static volatile sig_atomic_t broken;

static void lease_broken(int sig)
{
	(void)sig;
	broken++;
}

static void leases(void)
{
	char path[] = "/var/tmp/run_facts.XXXXXX";
	int fd = mkstemp(path), ro = open(path, O_RDONLY), w;

	signal(SIGIO, lease_broken);
	FACT("read lease while a descriptor for writing is open",
	     P("%s", fcntl(ro, F_SETLEASE, F_RDLCK) ? err(-errno) : "granted"));
	close(fd);
	FACT("read lease of a file without a writer",
	     P("%s", fcntl(ro, F_SETLEASE, F_RDLCK) ? err(-errno) : "granted"));
	w = open(path, O_WRONLY | O_NONBLOCK);
	FACT("... another open for writing, O_NONBLOCK", P("%s, ", w < 0 ? err(-errno) : "goes on"),
	     P("%s", broken ? "the holder is told" : "the holder is not told"));
	fcntl(ro, F_SETLEASE, F_UNLCK);
	w = open(path, O_WRONLY | O_NONBLOCK);
	FACT("... after the lease was given back", P("%s", w < 0 ? err(-errno) : "goes on"));
	unlink(path);
}

static void pins(void)
{
	struct frames f = frames_make(BLOCK);
	struct iovec iov = { f.base, PAGE };
	int pipes[2];
	char got;

	f.base[0] = 'o';
	must(!pipe(pipes) && vmsplice(pipes[1], &iov, 1, 0) == (long)PAGE, "vmsplice");
	FACT("a frame is pinned (vmsplice), a hole is punched, the frame is used again",
	     P("punch %s, ",
	       err(fallocate(f.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) ? -errno :
											  0)),
	     P("new bytes %d, ", f.base[0]), f.base[0] = 'n',
	     P("the pin reads '%c'", read(pipes[0], &got, 1) == 1 ? got : '?'));
}

void group_life(void)
{
	fork_told();
	unprivileged();
	leases();
	pins();
	killed();
}
