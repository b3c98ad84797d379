/* SPDX-License-Identifier: MIT */
/*
 * Whether a descriptor of the host can be mapped: the host's kernel is asked.
 *
 * When the file is opened, by calls that end before the file's own mmap operation, so that nothing
 * is changed by asking. Linux's order of checks makes that possible:
 *
 *   read right (EACCES) -> PROT_EXEC (EPERM) -> has an mmap operation (ENODEV) -> MAP_GROWSDOWN
 *   on a file (EINVAL) -> the operation itself
 *
 * When it is mapped, where the operation may refuse: everything but files with a page cache
 * (pseudo files of proc and sysfs, drivers, sockets, FUSE). The mapping that the program asks for
 * is made on the host, and given back at once. Whatever a driver shows there is not ours to show:
 * such a file has the bytes that pread(2) gives, and the length that fstat(2) gives.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/file.h"
#include "store/host.h"
#include "store/pages.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

/* -EINVAL: the file has an mmap operation, which was not called. */
static int try_map(int fd, int prot)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, prot, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, page);
	return 0;
}

/* All its mappings are mappings of its page cache. */
static bool has_page_cache(int fd, const struct stat *st)
{
	struct statfs fs;

	if (S_ISBLK(st->st_mode))
		return true;
	if (!S_ISREG(st->st_mode) || fstatfs(fd, &fs))
		return false;
	/* What lives in memory only has no blocks; tmpfs without a limit says so too. */
	return fs.f_type == TMPFS_MAGIC || (fs.f_blocks && fs.f_type != FUSE_SUPER_MAGIC);
}

static bool is_zero(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 5);
}

unsigned int host_map_flags(int fd, const struct stat *st, bool *asks)
{
	const int err = try_map(fd, PROT_NONE);
	unsigned int flags = 0;

	*asks = err == -EINVAL && !has_page_cache(fd, st) && !is_zero(st);
	if (err == -ENODEV)
		flags |= SAMARA_FILE_NOMAP;
	if (try_map(fd, PROT_READ | PROT_EXEC) == -EPERM)
		flags |= SAMARA_FILE_NOEXEC;
	return flags;
}

int host_map_ask(const struct samara_vma_desc *desc)
{
	const struct inode *inode = desc->file->inode;
	const bool shared = desc->vm_flags & SAMARA_VM_MAYSHARE;
	const int prot = (int)(desc->vm_flags & (PROT_READ | PROT_WRITE | PROT_EXEC));
	const int fd = READ_ONCE(inode->host.fd);
	void *p;
	int err;

	p = mmap(NULL, desc->end - desc->start, prot,
		 (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE, fd,
		 (off_t)(desc->pgoff << inode_shift(inode)));
	if (p != MAP_FAILED) {
		munmap(p, desc->end - desc->start);
		return 0;
	}
	err = errno;
	/* This process has no room for it: that says nothing of the file. */
	return err == ENOMEM || err == EAGAIN ? 0 : -err;
}
