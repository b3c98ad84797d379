/* SPDX-License-Identifier: MIT */
/*
 * The child that acts out memory calls on the running kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/host_mm.h"

struct answer {
	long ret;
	unsigned long len;
};

/* The child's; static, so that it needs no memory while it is compared. */
static char child_text[HOST_TEXT];

void host_no_randomisation(char **argv)
{
	const int now = personality(0xffffffff);

	if (now & ADDR_NO_RANDOMIZE)
		return;
	if (personality((unsigned long)now | ADDR_NO_RANDOMIZE) >= 0)
		execv("/proc/self/exe", argv);
	fprintf(stderr, "cannot switch address randomisation off: %s\n", strerror(errno));
}

static bool read_all(int fd, void *buf, size_t len)
{
	char *at = buf;

	while (len) {
		const ssize_t n = read(fd, at, len);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_all(int fd, const void *buf, size_t len)
{
	const char *at = buf;

	while (len) {
		const ssize_t n = write(fd, at, len);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static unsigned long child_show(const char *name)
{
	unsigned long len = 0;
	const int fd = open(name, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return 0;
	while (len < HOST_TEXT - 1 && (n = read(fd, child_text + len, HOST_TEXT - 1 - len)) > 0)
		len += (unsigned long)n;
	close(fd);
	return len;
}

static long child_drop_caps(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	return syscall(SYS_capset, &head, none);
}

/* The child's child goes on; the child only waits for its end. */
static long child_fork(void)
{
	const long pid = syscall(SYS_fork);

	if (pid <= 0)
		return pid;
	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(0);
}

static long child_call(const struct host_call *call, int zero)
{
	const unsigned long *a = call->arg;

	if (call->nr == HOST_TOUCH)
		return syscall(SYS_pread64, zero, a[0], 1, 0); /* not pread(): sanitizers look */
	if (call->nr == HOST_DROP_CAPS)
		return child_drop_caps();
	if (call->nr == HOST_FORK)
		return child_fork();
	if (call->nr == HOST_RLIMIT)
		return setrlimit((__rlimit_resource_t)a[0], &(struct rlimit){ a[1], a[2] });
	return syscall(call->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static __attribute__((noreturn)) void child_main(int from, int to)
{
	const int zero = open("/dev/zero", O_RDONLY);
	struct host_call call;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read_all(from, &call, sizeof(call))) {
		struct answer answer = { .ret = child_call(&call, zero) };

		if (answer.ret == -1)
			answer.ret = -errno;
		if (call.show)
			answer.len = child_show(call.show);
		if (!write_all(to, &answer, sizeof(answer)) ||
		    !write_all(to, child_text, answer.len))
			break;
	}
	_exit(0);
}

int host_start(struct host_mm *host)
{
	int down[2], up[2];

	if (pipe2(down, O_CLOEXEC))
		return -errno;
	if (pipe2(up, O_CLOEXEC)) {
		close(down[0]);
		close(down[1]);
		return -errno;
	}
	host->to = down[1];
	host->from = up[0];
	host->pid = fork();
	if (!host->pid) {
		close(down[1]);
		close(up[0]);
		child_main(down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	return host->pid < 0 ? -errno : 0;
}

void host_stop(struct host_mm *host)
{
	close(host->to);
	close(host->from);
	if (host->pid > 0)
		waitpid(host->pid, NULL, 0);
}

long host_do(struct host_mm *host, const struct host_call *call)
{
	struct answer answer;

	if (!write_all(host->to, call, sizeof(*call)) ||
	    !read_all(host->from, &answer, sizeof(answer)) || answer.len >= HOST_TEXT ||
	    !read_all(host->from, host->text, answer.len))
		return -EPIPE;
	if (call->show)
		host->text[answer.len] = '\0';
	return answer.ret;
}
