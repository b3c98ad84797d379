/* SPDX-License-Identifier: MIT */
/* A system call that is answered by another process: seccomp's user notification. */
#include "facts.h"

#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

#define CALLS 8000

static struct control *c;

static void nothing(void *arg, int i)
{
	(void)arg, (void)i;
	syscall(SYS_getppid);
}

static void nothing_free(void *arg, int i)
{
	(void)arg, (void)i;
	syscall(SYS_getuid);
}

static void asker(void)
{
	double native = best(100, 50, nothing, NULL);

	c->arg[0] = filter(SYS_getppid, SECCOMP_RET_USER_NOTIF);
	FACT("a call natively; one that the filter lets through", P("%.2f, ", native),
	     P("%.2f", best(100, 50, nothing_free, NULL)));
	word_set(&c->done, 1);
	for (unsigned int round = 1; round <= 4; round++) {
		word_wait(&c->go, round);
		c->took = best(CALLS / 4, 4, nothing, NULL);
		word_set(&c->done, round + 1);
	}
	_exit(0);
}

static int listener;
static bool by_epoll, goes_on;
static unsigned int round_now;

static void *answers(void *arg)
{
	struct seccomp_notif req;
	struct seccomp_notif_resp resp;
	struct epoll_event event = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	pin();
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event);
	for (int i = 0; i < CALLS; i++) {
		memset(&req, 0, sizeof(req));
		if (by_epoll)
			epoll_wait(ep, &event, 1, -1);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req))
			break;
		memset(&resp, 0, sizeof(resp));
		resp.id = req.id;
		resp.flags = goes_on ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
	close(ep);
	return arg;
}

static double one_round(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, answers, NULL);
	word_set(&c->go, ++round_now);
	word_wait(&c->done, round_now + 1);
	pthread_join(thread, NULL);
	return c->took;
}

void group_notify(void)
{
	pid_t pid;
	int pidfd;

	c = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin();
		asker();
	}
	word_wait(&c->done, 1);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, (int)c->arg[0], 0);
	must(listener >= 0, "listener");
	FACT("answered; received by epoll first", P("%.2f, ", one_round()), by_epoll = true,
	     P("%.2f", one_round()));
	by_epoll = false;
	FACT("with SYNC_WAKE_UP: answered; made by the caller after all (CONTINUE)",
	     P("%s", ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1UL) ? "(refused) " : ""),
	     P("%.2f, ", one_round()), goes_on = true, P("%.2f", one_round()));
	waitpid(pid, NULL, 0);
}
