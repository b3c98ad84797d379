/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "run/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/stub/stub.h"

#define PAGE 4096UL
#define ALL_SIGNALS (~0UL)

#ifndef PTRACE_SETSIGMASK
#define PTRACE_SETSIGMASK 0x420b
#endif

/*
 * None is in the way of a program as Linux lays it out; the first is below where a position
 * independent program begins, and is application memory to ASan, MSan and TSan.
 */
const unsigned long agent_windows[AGENT_WINDOWS] = {
	0x550051a00000UL,
	0x3a7751a00000UL,
	0x11a751a00000UL,
	0x00a751a00000UL,
};

/* what the agents share ------------------------------------------------------------------ */

static int code_file(const struct stub *stub)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	const int fd = memfd_create("samara-stub", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	errno = EIO; /* of a short write */
	if (!ftruncate(fd, PAGE) && pwrite(fd, stub->code, stub->bytes, 0) == (long)stub->bytes &&
	    !fcntl(fd, F_ADD_SEALS, seals))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int agents_init(struct agents *agents)
{
	const struct stub stub = stub_get();
	int err;

	if (!stub.bytes)
		return -ENOSYS;
	agents->code = code_file(&stub);
	if (agents->code < 0)
		return agents->code;
	err = rings_init(&agents->rings, RINGS_MOST);
	if (err)
		close(agents->code);
	return err;
}

void agents_destroy(struct agents *agents)
{
	rings_destroy(&agents->rings);
	close(agents->code);
}

/* one of them ---------------------------------------------------------------------------- */

static unsigned long ask_at(const struct agent *a)
{
	return a->at + (1 + 2 * a->slot) * PAGE;
}

static void set_slot(struct agent *a, unsigned int slot)
{
	struct ring_ask *ask = ring_ask(&a->all->rings, (unsigned int)a->ring);

	a->slot = slot;
	ask->here = ask_at(a);
	ask->wait = a->at + stub_get().wait;
}

int agent_init(struct agent *a, struct agents *all, unsigned long at)
{
	int ring;

	*a = (struct agent){ .all = all, .pidfd = -1, .uffd = -1, .file = -1, .at = at };
	a->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->bell < 0)
		return -errno;
	ring = ring_take(&all->rings);
	if (ring < 0) {
		close(a->bell);
		return ring;
	}
	a->ring = ring;
	set_slot(a, 0);
	pthread_mutex_init(&a->turn.lock, NULL);
	return 0;
}

void agent_free(struct agent *a)
{
	const int fds[] = { a->pidfd, a->uffd, a->bell };

	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	ring_give(&a->all->rings, (unsigned int)a->ring);
	pthread_mutex_destroy(&a->turn.lock);
}

void agent_stopped(pid_t pid, int status)
{
	unsigned long all = ALL_SIGNALS;

	if (status >> 16 == PTRACE_EVENT_STOP)
		ptrace(PTRACE_SETSIGMASK, pid, sizeof(all), &all);
	ptrace(PTRACE_CONT, pid, 0, 0);
}

void agent_kill(struct agent *a)
{
	if (a->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, a->pidfd, SIGKILL, NULL, 0);
}

/* descriptors ---------------------------------------------------------------------------- */

static int fd_asked(const struct agent *a, uint64_t which)
{
	const int fds[AGENT_FDS] = {
		[AGENT_FD_RAM] = a->all->ram,     [AGENT_FD_UFFD] = a->uffd,
		[AGENT_FD_EMPTY] = a->all->empty, [AGENT_FD_ASK] = a->all->ask,
		[AGENT_FD_FILE] = a->file,        [AGENT_FD_BELL] = a->bell,
		[AGENT_FD_CODE] = a->all->code,   [AGENT_FD_RINGS] = a->all->rings.fd,
		[AGENT_FD_DEV] = a->all->dev,
	};

	return which < AGENT_FDS ? fds[which] : -1;
}

int agent_give_fd(const struct agent *a, int listener, const struct seccomp_notif *asked,
		  enum agent_gives how)
{
	struct seccomp_notif_resp answer = { .id = asked->id, .error = -EBADF };
	struct seccomp_notif_addfd give = {
		.id = asked->id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.newfd_flags = O_CLOEXEC,
	};
	const int fd = fd_asked(a, asked->data.args[0]);

	if (how == AGENT_GIVES_AT) {
		give.flags |= SECCOMP_ADDFD_FLAG_SETFD;
		give.newfd = (unsigned int)asked->data.args[0];
	}
	if (fd >= 0) {
		give.srcfd = (unsigned int)fd;
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &give) >= 0)
			return 1;
		answer.error = -errno;
	}
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	return 1;
}

int agent_notify(struct agent *a, int listener, const struct seccomp_notif *asked)
{
	if ((pid_t)asked->pid != __atomic_load_n(&a->pid, __ATOMIC_ACQUIRE) ||
	    asked->data.nr != (int)AGENT_CALL_FD)
		return 0;
	return agent_give_fd(a, listener, asked, AGENT_GIVES_AT);
}

/* opening -------------------------------------------------------------------------------- */

static void call(struct batch *b, long nr, unsigned long x, unsigned long y, unsigned long z)
{
	const unsigned long arg[6] = { x, y, z };

	batch_call(b, nr, arg);
}

static void first_round(struct batch *b, struct agent *a)
{
	static const enum agent_fd given[] = { AGENT_FD_BELL, AGENT_FD_RAM,  AGENT_FD_EMPTY,
					       AGENT_FD_ASK,  AGENT_FD_CODE, AGENT_FD_RINGS };
	const unsigned long at = ask_at(a), root = at + offsetof(struct ring_ask, root);

	batch_begin(b, a);
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		call(b, AGENT_CALL_FD, given[i], 0, 0);
	call(b, SYS_setsid, 0, 0, 0);
	call(b, SYS_chdir, root, 0, 0);
	/* Huge pages of the frames' file would be more than was given. It holds for the mm. */
	call(b, SYS_prctl, PR_SET_THP_DISABLE, 1, 0);
	batch_madvise(b, at, at + 2 * PAGE, MADV_DONTFORK);
	if (a->uffd >= 0) {
		call(b, AGENT_CALL_FD, AGENT_FD_UFFD, 0, 0);
	} else if (a->all->dev >= 0) {
		call(b, AGENT_CALL_FD, AGENT_FD_DEV, 0, 0);
		/* The lowest free number: AGENT_FD_UFFD. */
		call(b, SYS_ioctl, AGENT_FD_DEV, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		call(b, SYS_close, AGENT_FD_DEV, 0, 0);
	} else {
		call(b, SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK, 0, 0);
	}
}

int agent_open(struct agent *a, const struct agent_serve *serve)
{
	struct uffdio_api api = { .api = UFFD_API, .features = a->all->features };
	struct batch b;
	int err, fd;

	first_round(&b, a);
	err = batch_round(&b, serve);
	if (err || a->uffd >= 0)
		return err;
	fd = (int)syscall(SYS_pidfd_getfd, a->pidfd, AGENT_FD_UFFD, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		err = -errno;
		close(fd);
		return err;
	}
	a->uffd = fd;
	return 0;
}

int agent_give_file(struct agent *a, int fd, const struct agent_serve *serve)
{
	struct batch b;

	a->file = fd;
	batch_begin(&b, a);
	call(&b, AGENT_CALL_FD, AGENT_FD_FILE, 0, 0);
	return batch_round(&b, serve);
}

/* fork and move -------------------------------------------------------------------------- */

/* Two steps: a ring's pages at `at`, where nothing is. */
static void map_ring(struct batch *b, unsigned long at, int ring)
{
	struct batch_map map = {
		.start = at,
		.end = at + PAGE,
		.prot = PROT_READ,
		.flags = MAP_SHARED | MAP_FIXED_NOREPLACE,
		.fd = AGENT_FD_RINGS,
		.first = 2 * (unsigned long)ring,
	};

	batch_mmap(b, &map);
	map.start += PAGE;
	map.end += PAGE;
	map.prot |= PROT_WRITE;
	map.first++;
	batch_mmap(b, &map);
}

/* The first `pages` of a ring's, which have been mapped before a step failed. */
static void take_back(struct agent *a, unsigned long at, unsigned long pages)
{
	struct batch b;

	if (!pages)
		return;
	batch_begin(&b, a);
	batch_munmap(&b, at, at + pages * PAGE);
	batch_end(&b);
}

int agent_fork(struct agent *parent, struct agent *child)
{
	struct batch b;

	set_slot(child, !parent->slot);
	batch_begin(&b, parent);
	map_ring(&b, ask_at(child), child->ring);
	if (batch_end(&b))
		take_back(parent, ask_at(child), b.ran);
	return b.err;
}

int agent_forked(struct agent *parent, const struct agent *child)
{
	const unsigned long at = ask_at(child);
	struct batch b;

	batch_begin(&b, parent);
	batch_munmap(&b, at, at + 2 * PAGE);
	return batch_end(&b);
}

static int map_there(struct agent *a, unsigned long to)
{
	const unsigned long ring = to + (1 + 2 * a->slot) * PAGE;
	const struct batch_map code = {
		.start = to,
		.end = to + PAGE,
		.prot = PROT_READ | PROT_EXEC,
		.flags = MAP_SHARED | MAP_FIXED_NOREPLACE,
		.fd = AGENT_FD_CODE,
	};
	struct batch b;

	batch_begin(&b, a);
	batch_mmap(&b, &code);
	map_ring(&b, ring, a->ring);
	batch_madvise(&b, ring, ring + 2 * PAGE, MADV_DONTFORK);
	if (batch_end(&b)) {
		take_back(a, to, b.ran > 0);
		take_back(a, ring, b.ran > 0 ? b.ran - 1 : 0);
	}
	return b.err;
}

int agent_move(struct agent *a, unsigned long to)
{
	const unsigned long from = a->at, ring = ask_at(a);
	struct batch b;
	int err = map_there(a, to);

	if (err)
		return err;
	a->at = to;
	set_slot(a, a->slot);
	/* A round in the old place, whose end leads to the new one; the next is made there. */
	batch_begin(&b, a);
	call(&b, SYS_getppid, 0, 0, 0);
	batch_end(&b);
	batch_munmap(&b, from, from + PAGE);
	batch_munmap(&b, ring, ring + 2 * PAGE);
	return batch_end(&b);
}

unsigned long agent_show(struct agent *a, const void *bytes, size_t size)
{
	struct ring_ask *ask = ring_ask(&a->all->rings, (unsigned int)a->ring);

	if (size > sizeof(ask->shown))
		return 0;
	memcpy(ask->shown, bytes, size);
	return ask_at(a) + offsetof(struct ring_ask, shown);
}
