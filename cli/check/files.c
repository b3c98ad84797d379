/* SPDX-License-Identifier: MIT */
/*
 * The files that calls may name. Each side has its own, so that neither meets
 * what the other wrote; every sequence begins with empty ones.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check/gen.h"

/* FILE_PAGES pages, none of them written. */
static int file_empty(int fd)
{
	return ftruncate(fd, 0) || ftruncate(fd, FILE_PAGES * PAGE) ? -errno : 0;
}

int file_on_disk(void)
{
	char name[] = "/var/tmp/samara-check-XXXXXX";
	const int fd = mkostemp(name, O_CLOEXEC);

	if (fd >= 0)
		unlink(name);
	return fd;
}

/* Each side has its own, of the same kinds; the library's memfd is one of its own making. */
static int set_open(int fd[FILES])
{
	char path[64];

	fd[FILE_MEMFD] = memfd_create("window", MFD_CLOEXEC);
	fd[FILE_DISK] = file_on_disk();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[FILE_MEMFD]);
	fd[FILE_READONLY] = open(path, O_RDONLY | O_CLOEXEC);
	fd[FILE_ZERO] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < FILES; i++)
		if (fd[i] < 0)
			return -errno;
	return 0;
}

int files_open(struct files *f)
{
	int err;

	err = set_open(f->fd);
	if (!err)
		err = set_open(f->own);
	return err ? err : file_empty(f->own[FILE_MEMFD]); /* for `readonly' */
}

void files_close(struct files *f)
{
	for (int i = 0; i < FILES; i++) {
		if (f->fd[i] >= 0)
			close(f->fd[i]);
		if (f->own[i] >= 0)
			close(f->own[i]);
	}
}

int files_reset_host(const struct files *f)
{
	const int err = file_empty(f->fd[FILE_MEMFD]);

	return err ? err : file_empty(f->fd[FILE_DISK]);
}

void files_put(struct files *f)
{
	for (int i = 0; i < FILES; i++) {
		samara_file_put(f->file[i]);
		f->file[i] = NULL;
	}
}

int files_reset(struct ours *o)
{
	struct files *f = &o->files;
	int err;

	files_put(f); /* what the library has of them may be written now */
	err = file_empty(f->own[FILE_DISK]);
	if (!err)
		err = samara_file_memfd(o->machine, "window", FILE_PAGES * PAGE,
					&f->file[FILE_MEMFD]);
	for (int i = FILE_MEMFD + 1; !err && i < FILES; i++)
		err = samara_file_from_fd(o->machine, f->own[i], &f->file[i]);
	return err;
}
