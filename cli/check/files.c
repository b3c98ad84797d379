/* SPDX-License-Identifier: MIT */
/*
 * The files that calls may name: the host's, and the library's of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check/gen.h"

int files_open(struct files *f)
{
	char name[] = "/var/tmp/samara-check-XXXXXX", path[64];

	f->fd[FILE_MEMFD] = memfd_create("window", MFD_CLOEXEC);
	f->fd[FILE_DISK] = mkostemp(name, O_CLOEXEC);
	if (f->fd[FILE_DISK] >= 0)
		unlink(name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd[FILE_MEMFD]);
	f->fd[FILE_READONLY] = open(path, O_RDONLY | O_CLOEXEC);
	f->fd[FILE_ZERO] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	f->sink = memfd_create("sink", MFD_CLOEXEC);
	if (f->sink < 0)
		return -errno;
	for (int i = 0; i < FILES; i++)
		if (f->fd[i] < 0)
			return -errno;
	if (ftruncate(f->fd[FILE_MEMFD], FILE_PAGES * PAGE) ||
	    ftruncate(f->fd[FILE_DISK], FILE_PAGES * PAGE))
		return -errno;
	return 0;
}

void files_close(struct files *f)
{
	for (int i = 0; i < FILES; i++)
		if (f->fd[i] >= 0)
			close(f->fd[i]);
	if (f->sink >= 0)
		close(f->sink);
}

int ours_empty_memfd(struct ours *o)
{
	static const int of_memfd[] = { FILE_MEMFD, FILE_READONLY };
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int err = 0;

	/* The library's own pages of it go with its last file, and may be written then. */
	for (size_t i = 0; i < ARRAY_SIZE(of_memfd); i++) {
		samara_file_put(o->files.file[of_memfd[i]]);
		o->files.file[of_memfd[i]] = NULL;
	}
	if (fallocate(o->files.fd[FILE_MEMFD], mode, 0, FILE_PAGES * PAGE))
		return -errno;
	for (size_t i = 0; !err && i < ARRAY_SIZE(of_memfd); i++)
		err = samara_file_from_fd(o->machine, o->files.fd[of_memfd[i]],
					  &o->files.file[of_memfd[i]]);
	return err;
}
