/* SPDX-License-Identifier: MIT */
/*
 * Through a file in memory: the printers want a descriptor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/mm_text.h"

int mm_text(struct samara_mm *mm, int (*print)(struct samara_mm *mm, int fd), char *buf)
{
	const int fd = memfd_create("text", 0);
	int err = fd < 0 ? -errno : print(mm, fd);
	ssize_t n = -1;

	if (!err)
		n = pread(fd, buf, MM_TEXT - 1, 0);
	if (!err && n < 0)
		err = -errno;
	buf[n > 0 ? n : 0] = '\0';
	close(fd);
	return err;
}
