/* SPDX-License-Identifier: MIT */
/*
 * Whether the host's userfaultfds can be the referee: this process may have one, it has all the
 * features, a thread that waits for its handler is told from others, and goes on when it is
 * answered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <samara/uffd_abi.h>

#include "check/check.h"

#define NAP 500    /* microseconds */
#define NAPS 10000 /* of them, at most */
#define FEATURES 0x1ffffUL

struct toucher {
	volatile char *page;
	int tid, done;
};

static void *touch(void *arg)
{
	struct toucher *const t = arg;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_RELEASE);
	(void)*t->page;
	__atomic_store_n(&t->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* What the kernel says of where it sleeps. */
static bool waits(const struct toucher *t)
{
	const int tid = __atomic_load_n(&t->tid, __ATOMIC_ACQUIRE);
	char path[64], text[64] = "";
	int fd;

	if (!tid)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/wchan", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	return !strcmp(text, "handle_userfault");
}

static bool is_done(const struct toucher *t)
{
	return __atomic_load_n(&t->done, __ATOMIC_ACQUIRE);
}

/* NULL, or what is wrong. */
static const char *try_a_fault(int fd)
{
	struct toucher t = { .page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
	struct uffdio_register reg = { .range = { (uintptr_t)t.page, PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { .range = reg.range };
	const char *why = NULL;
	pthread_t thread;

	if (t.page == MAP_FAILED || ioctl(fd, UFFDIO_REGISTER, &reg))
		return "memory cannot be registered";
	if (pthread_create(&thread, NULL, touch, &t))
		return "no thread";
	for (int i = 0; i < NAPS && !waits(&t) && !is_done(&t); i++)
		usleep(NAP);
	if (!waits(&t))
		why = "which threads wait for it is not told (/proc/PID/wchan)";
	if (ioctl(fd, UFFDIO_ZEROPAGE, &zero) && !why)
		why = "a fault cannot be answered";
	for (int i = 0; i < NAPS && !is_done(&t); i++)
		usleep(NAP);
	if (!is_done(&t))
		return why ? why : "an answer ends no wait";
	pthread_join(thread, NULL);
	return why;
}

void probe_uffd(struct host_facts *facts)
{
	const long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API };
	const char *why = NULL;

	if (fd < 0)
		why = strerror(errno);
	else if (ioctl((int)fd, UFFDIO_API, &api) || (api.features & FEATURES) != FEATURES)
		why = "it has not all features of Linux 6.18";
	else
		why = try_a_fault((int)fd);
	if (why)
		snprintf(facts->uffd.why, sizeof(facts->uffd.why),
			 "userfaultfd(2) cannot be asked here: %s", why);
	if (fd >= 0)
		close((int)fd);
}
