/* SPDX-License-Identifier: MIT */
/*
 * A file of the host: everything a mapping needs to know of it is asked once,
 * through the descriptor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/host.h"
#include "store/file.h"
#include "store/host.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static unsigned int access_flags(int fd)
{
	const int how = fcntl(fd, F_GETFL);
	const unsigned int flags = how & O_APPEND ? SAMARA_FILE_O_APPEND : 0;

	switch (how & O_ACCMODE) {
	case O_RDONLY:
		return flags | SAMARA_FILE_READ;
	case O_WRONLY:
		return flags | SAMARA_FILE_WRITE;
	default:
		return flags | SAMARA_FILE_READ | SAMARA_FILE_WRITE;
	}
}

static unsigned int mount_flags(int fd, const struct stat *st)
{
	struct statfs fs;
	unsigned int flags;

	if (fstatfs(fd, &fs))
		return 0;
	flags = fs.f_flags & ST_NOEXEC ? SAMARA_FILE_NOEXEC : 0;
	/* The others only lie there. */
	if (!S_ISREG(st->st_mode))
		return flags;
	switch ((unsigned long)fs.f_type) {
	case TMPFS_MAGIC:
		return flags | SAMARA_FILE_SHMEM;
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
		return flags | SAMARA_FILE_HUGE_ALIGN | SAMARA_FILE_SYNC | SAMARA_FILE_NO_SYNC;
	case BTRFS_SUPER_MAGIC:
		return flags | SAMARA_FILE_HUGE_ALIGN;
	default:
		return flags;
	}
}

/* The largest offset: what the file system can address; anything goes where there is none. */
static unsigned long long max_length(int fd, const struct stat *st)
{
	struct statfs fs;

	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode) && !S_ISSOCK(st->st_mode))
		return ULLONG_MAX;
	if (!fstatfs(fd, &fs) && fs.f_type == EXT4_SUPER_MAGIC)
		return ((1ULL << 32) - 1) * (unsigned long long)fs.f_bsize;
	return LLONG_MAX;
}

static unsigned int kind_flags(int fd, const struct stat *st)
{
	int attributes;

	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		if (!ioctl(fd, FS_IOC_GETFLAGS, &attributes) && (attributes & FS_APPEND_FL))
			return SAMARA_FILE_APPEND;
		return 0;
	case S_IFCHR:
		if (st->st_rdev == makedev(1, 5))
			return SAMARA_FILE_ZERO;
		return SAMARA_FILE_NO_FALLOCATE;
	case S_IFBLK:
		return 0;
	case S_IFIFO:
	case S_IFDIR:
		return SAMARA_FILE_NOMAP;
	default:
		return SAMARA_FILE_NO_FALLOCATE;
	}
}

int host_name(int fd, char *name, size_t size)
{
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, name, size - 1);
	if (len < 0)
		return -errno;
	name[len] = '\0';
	return 0;
}

int host_dup(int fd, int flags)
{
	char link[64];
	int own = -1;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	/* To write a part of a page the rest is read. */
	if ((flags & O_ACCMODE) == O_WRONLY)
		own = host_open(link, O_RDWR | O_CLOEXEC);
	/* A duplicate would append, or want aligned buffers, like the original. */
	if (own < 0 && (flags & (O_APPEND | O_DIRECT)))
		own = host_open(link, (flags & O_ACCMODE) | O_CLOEXEC);
	else if (own < 0)
		own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return own < 0 ? -errno : own;
}

unsigned long long host_length(int fd, const struct stat *st)
{
	uint64_t bytes;

	if (S_ISBLK(st->st_mode))
		return ioctl(fd, BLKGETSIZE64, &bytes) ? 0 : bytes;
	return (unsigned long long)st->st_size;
}

/*
 * Not the C library's: guests may store to the bytes meanwhile, which ThreadSanitizer must not
 * see as a race.
 */
static ssize_t raw_pread(int fd, void *buf, size_t size, off_t offset)
{
	return syscall(SYS_pread64, fd, buf, size, offset);
}

static ssize_t raw_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
	struct host_call call;
	ssize_t n;

	host_begin_grow(&call);
	n = syscall(SYS_pwrite64, fd, buf, size, offset);
	host_end(&call);
	return n;
}

ssize_t host_read(int fd, void *buf, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		const ssize_t n =
			raw_pread(fd, (char *)buf + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !done)
			return -errno;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int host_read_pages(int fd, void **pages, unsigned int n, size_t size, off_t offset)
{
	struct iovec iov[16];
	ssize_t got;

	for (unsigned int i = 0; i < n; i++)
		iov[i] = (struct iovec){ pages[i], size };
	do
		got = syscall(SYS_preadv, fd, iov, n, offset, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if ((size_t)got == n * size)
		return 0;
	/* A part of it: the rest page by page. */
	for (unsigned int i = 0; i < n; i++, offset += (off_t)size)
		if (host_read(fd, pages[i], size, offset) != (ssize_t)size)
			return -EIO;
	return 0;
}

int host_write(int fd, const void *buf, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		const ssize_t n =
			raw_pwrite(fd, (const char *)buf + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int file_from_fd(struct file_store *store, int fd, struct samara_file **out)
{
	char name[PATH_MAX];
	struct host_file host = { .fd = fd };
	unsigned int flags;
	struct inode *inode;
	int err;

	if (fstat(fd, &host.st))
		return -errno;
	/* A descriptor that only names a file can be neither read, written nor mapped. */
	if (fcntl(fd, F_GETFL) & O_PATH)
		return -EBADF;
	err = host_name(fd, name, sizeof(name));
	if (err)
		return err;
	flags = access_flags(fd) | mount_flags(fd, &host.st) | kind_flags(fd, &host.st) |
		host_map_flags(fd, &host.st, &host.asks);
	host.in_memory = flags & SAMARA_FILE_SHMEM;
	err = inode_of_host(store, &host, &inode);
	if (err)
		return err;
	err = file_open(inode, name, flags, out);
	if (err) {
		inode_put(inode);
		return err;
	}
	(*out)->max_length = max_length(fd, &host.st);
	return 0;
}
