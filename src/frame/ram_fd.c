/* SPDX-License-Identifier: MIT */
/*
 * The descriptor of a RAM's memfd, for what maps frames into other processes (ram_fd()).
 *
 *   ram_create()                          ram_fd()
 *   the host would open it again          opens it, and keeps it
 *   it would not, descriptors are many    gives the one that was kept
 *   it would not, descriptors are few     -EMFILE
 *
 * So ten thousand machines have no descriptor, wherever that can be. What the host is asked for is
 * the file behind the mapping: /proc/self/map_files, which needs CAP_CHECKPOINT_RESTORE or
 * CAP_SYS_ADMIN. A process that gives up its rights asks for the descriptor before.
 *
 * A child of fork(2) would keep the memory of a machine that it cannot use, so it closes what was
 * kept. A descriptor that ram_fd() has given stays open there, for the child may want to map it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/host.h"
#include "frame/ram.h"

/* A descriptor is kept below this part of the limit. */
#define FD_SHARE 4

static int open_again(const struct ram *ram)
{
	const unsigned long start = (unsigned long)ram->view.base;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start,
		 start + ram->memory.bytes);
	fd = host_open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_one_of_many(int fd)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_NOFILE, &limit) && (rlim_t)fd < limit.rlim_cur / FD_SHARE;
}

void ram_fd_begin(struct ram *ram, int fd)
{
	const int again = open_again(ram);

	ram->fd = -1;
	if (again >= 0)
		host_close(again);
	else if (is_one_of_many(fd))
		ram->fd = fd;
	if (ram->fd < 0)
		host_close(fd);
}

void ram_fd_end(struct ram *ram)
{
	if (ram->fd >= 0)
		host_close(ram->fd);
}

void ram_fd_in_child(struct ram *ram)
{
	if (!ram->fd_given)
		ram_fd_end(ram);
	ram->fd = ram->fd_given ? ram->fd : -1;
}

int ram_fd(struct ram *ram)
{
	int none = -1, fd = smp_load_acquire(&ram->fd);

	if (fd < 0) {
		fd = open_again(ram);
		if (fd < 0)
			return fd == -ENFILE || fd == -ENOMEM ? fd : -EMFILE;
		if (!try_cmpxchg_acq_rel(&ram->fd, &none, fd)) {
			host_close(fd);
			fd = none;
		}
	}
	WRITE_ONCE(ram->fd_given, true);
	return fd;
}
