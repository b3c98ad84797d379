/* SPDX-License-Identifier: MIT */
/*
 * What the store asks of the host about one descriptor.
 */
#ifndef STORE_HOST_H
#define STORE_HOST_H

#include <sys/stat.h>
#include <sys/types.h>

#include <samara/file.h>

#include "base/compiler.h"

/*
 * A descriptor of our own for the file behind fd, which was opened with flags (F_GETFL): one at
 * which pread(2) and pwrite(2) mean the offset that they are given and any buffer. Or -errno.
 */
int host_dup(int fd, int flags) __must_check;

/*
 * The name that maps shows, " (deleted)" included: what /proc/self/fd links to. size is at least
 * PATH_MAX. 0 or what readlink(2) gave.
 */
int host_name(int fd, char *name, size_t size) __must_check;

/* Bytes, also of a block device. */
unsigned long long host_length(int fd, const struct stat *st);

/* host_map.c: */

/*
 * SAMARA_FILE_NOMAP, _NOEXEC as the host's kernel has it of fd, which fstat(2) described as st.
 * *asks: the host has to be asked about each mapping.
 */
unsigned int host_map_flags(int fd, const struct stat *st, bool *asks);
/* Would the host map that? 0 or what mmap(2) gives. */
int host_map_ask(const struct samara_vma_desc *desc) __must_check;

/* host.c: */

/*
 * All of size bytes unless the file ends. Bytes moved; -errno if an error came before the first.
 */
ssize_t host_read(int fd, void *buf, size_t size, off_t offset) __must_check;
/* n pages of size bytes, at most 16, that lie together in the file. 0; -EIO: it ends before. */
int host_read_pages(int fd, void **pages, unsigned int n, size_t size, off_t offset) __must_check;
/* All of it: 0, or -errno. */
int host_write(int fd, const void *buf, size_t size, off_t offset) __must_check;

#endif
