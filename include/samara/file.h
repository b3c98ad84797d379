/* SPDX-License-Identifier: MIT */
/*
 * Files that can be mapped.
 *
 * A struct samara_file is an open file: what mmap(2) gets through its
 * descriptor. It has an identity (device, inode, the name that /proc/PID/maps
 * shows), access rights, and, where known, a size. Two mappings belong to the same
 * file, and may be merged, when they were made from the same struct
 * samara_file; Linux compares its struct file in the same way.
 *
 * Files are counted: every call here that gives one gives a reference, each
 * mapping holds another, samara_file_put() gives the caller's back. They may be
 * used from any thread. They must not be mapped into an mm of another machine.
 */
#ifndef SAMARA_FILE_H
#define SAMARA_FILE_H

#include <samara/types.h>

SAMARA_BEGIN_DECLS

struct samara_machine;
struct samara_file;

/* What may be done with a file, and how Linux treats mappings of it. */
enum samara_file_flags {
	SAMARA_FILE_READ = 1 << 0,     /* opened for reading */
	SAMARA_FILE_WRITE = 1 << 1,    /* opened for writing */
	SAMARA_FILE_APPEND = 1 << 2,   /* the inode is append-only (chattr +a), not merely O_APPEND */
	SAMARA_FILE_NOEXEC = 1 << 3,   /* on a mount with noexec: PROT_EXEC gives -EPERM */
	SAMARA_FILE_NOMAP = 1 << 4,    /* cannot be mapped at all: -ENODEV (directory, pipe, socket) */
	SAMARA_FILE_SHMEM = 1 << 5,    /* memory with a name: tmpfs, memfd, SysV shm, shared anonymous */
	SAMARA_FILE_HUGE_ALIGN = 1 << 6, /* big mappings are placed by file offset (ext4, xfs, btrfs) */
	SAMARA_FILE_CLOSE = 1 << 7,    /* mappings have a close hook (SysV shm, some drivers): never merged away */
	SAMARA_FILE_ZERO = 1 << 8,     /* /dev/zero: private mappings are anonymous memory, shared ones fresh shmem */
	SAMARA_FILE_SYNC = 1 << 9,     /* the file system knows MAP_SYNC (ext4, xfs) */
	SAMARA_FILE_NO_FALLOCATE = 1 << 10, /* holes cannot be punched: MADV_REMOVE gives -EOPNOTSUPP */
	SAMARA_FILE_NO_SYNC = 1 << 11, /* but this file is not on DAX memory: every mapping with MAP_SYNC is refused */
};

/* Who a file is, for one that is not there: a trace names files that may be long gone. */
struct samara_file_identity {
	size_t size;               /* sizeof(struct samara_file_identity) */
	const char *name;          /* as /proc/PID/maps prints it, " (deleted)" included; copied */
	unsigned int dev_major, dev_minor;
	unsigned long ino;
	unsigned int flags;        /* enum samara_file_flags; none of READ and WRITE: both */
	unsigned long long length; /* bytes; 0: unknown, and mappings may reach anywhere */
};

/*
 * A file of the host. Identity, size, rights and kind are read now from fd,
 * which stays the caller's and may be closed afterwards (the library keeps its own duplicate).
 * 0, -EBADF, -ENOMEM, or what fstat(2) or dup gave.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_from_fd(struct samara_machine *machine, int fd,
						     struct samara_file **out);

/*
 * A file that is known only by who it is. Every call gives a new open file,
 * which merges with no other; keep one per open(2) of the trace.
 * 0, -EINVAL (no name, wrong size), -ENAMETOOLONG (above 4095 bytes), -ENOMEM.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_named(struct samara_machine *machine,
						   const struct samara_file_identity *identity,
						   struct samara_file **out);

/*
 * Shared memory of size bytes with an inode of its own, named as Linux names
 * the memory behind MAP_SHARED|MAP_ANONYMOUS: "/dev/zero (deleted)". 0 or -ENOMEM, -EINVAL (size is 0 or above 2^63-1).
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_shmem(struct samara_machine *machine, unsigned long size,
						   struct samara_file **out);

/* As memfd_create(2) makes it: "/memfd:NAME (deleted)". 0, -EINVAL (name above 249 bytes), -ENOMEM. */
SAMARA_API SAMARA_MUST_CHECK int samara_file_memfd(struct samara_machine *machine, const char *name,
						   unsigned long size, struct samara_file **out);

/* As shmget(2) makes it: "/SYSV%08x (deleted)", its inode the segment's id. 0, -EINVAL, -ENOMEM. */
SAMARA_API SAMARA_MUST_CHECK int samara_file_sysv(struct samara_machine *machine, int key, int shmid,
						  unsigned long size, struct samara_file **out);

/* One more reference to file. Returns file. */
SAMARA_API struct samara_file *samara_file_get(struct samara_file *file);

/* Give a reference back; NULL is allowed. */
SAMARA_API void samara_file_put(struct samara_file *file);

/* ftruncate(2): mappings stay, what they reach changes. Bytes; 0: unknown. */
SAMARA_API void samara_file_set_length(struct samara_file *file, unsigned long long length);

/* Who file is. name lives as long as the file. */
SAMARA_API void samara_file_identify(const struct samara_file *file, struct samara_file_identity *out);

SAMARA_END_DECLS

#endif
