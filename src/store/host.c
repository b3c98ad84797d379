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
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/file.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static unsigned int access_flags(int fd)
{
	switch (fcntl(fd, F_GETFL) & O_ACCMODE) {
	case O_RDONLY:
		return SAMARA_FILE_READ;
	case O_WRONLY:
		return SAMARA_FILE_WRITE;
	default:
		return SAMARA_FILE_READ | SAMARA_FILE_WRITE;
	}
}

static unsigned int mount_flags(int fd)
{
	struct statfs fs;
	unsigned int flags;

	if (fstatfs(fd, &fs))
		return 0;
	flags = fs.f_flags & ST_NOEXEC ? SAMARA_FILE_NOEXEC : 0;
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

/* The largest offset: what the file system can address; anything goes on a character device. */
static unsigned long long max_length(int fd, const struct stat *st)
{
	struct statfs fs;

	if (S_ISCHR(st->st_mode))
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
	default:
		return SAMARA_FILE_NOMAP;
	}
}

/* The name that maps shows, " (deleted)" included: what /proc/self/fd links to. */
static int name_of(int fd, char *name, size_t size)
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

int file_from_fd(struct file_store *store, int fd, struct samara_file **out)
{
	char name[PATH_MAX];
	struct samara_file_identity identity = { .size = sizeof(identity), .name = name };
	struct stat st;
	int own, err;

	if (fstat(fd, &st))
		return -errno;
	err = name_of(fd, name, sizeof(name));
	if (err)
		return err;
	identity.dev_major = major(st.st_dev);
	identity.dev_minor = minor(st.st_dev);
	identity.ino = st.st_ino;
	identity.flags = access_flags(fd) | mount_flags(fd) | kind_flags(fd, &st);
	if (S_ISREG(st.st_mode))
		identity.length = (unsigned long long)st.st_size;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	err = file_create(store, &identity, out);
	if (err) {
		close(own);
		return err;
	}
	(*out)->fd = own;
	(*out)->max_length = max_length(own, &st);
	return 0;
}
