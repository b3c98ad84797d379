/* SPDX-License-Identifier: MIT */
/*
 * Files as mappings see them, and the store of one machine that holds what its
 * files share: the commit budget and the inode numbers of shared memory.
 *
 *   store  <-- file  <-- VMAs, and whoever asked for the file
 *     ^
 *   machine
 *
 * Both are counted. A file is immutable but for its length; its pages will
 * hang here.
 */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include <samara/file.h>

#include "base/compiler.h"
#include "store/commit.h"

struct file_store {
	unsigned int refs; /* the machine and each file; atomic */
	unsigned int page_shift;
	unsigned int shmem_minor;
	unsigned long next_ino; /* of shared memory; atomic */
	struct commit commit;
};

struct samara_file {
	unsigned int refs;  /* atomic */
	unsigned int flags; /* enum samara_file_flags */
	unsigned int dev_major, dev_minor;
	unsigned long ino;
	unsigned long long length;     /* bytes, 0: unknown; atomic */
	unsigned long long max_length; /* no offset of the file system's lies above */
	unsigned long charged;         /* pages promised for shared memory */
	struct file_store *store;      /* counted */
	int fd;                        /* of a host file, ours; else -1 */
	char name[];                   /* as maps shows it */
};

struct file_store *file_store_create(void) __must_check; /* one reference; NULL when refused */
struct file_store *file_store_get(struct file_store *store);
void file_store_put(struct file_store *store);

/* A file with one reference; 0, -ENAMETOOLONG, -ENOMEM. identity is checked by the caller. */
int file_create(struct file_store *store, const struct samara_file_identity *identity,
		struct samara_file **out) __must_check;
struct samara_file *file_get(struct samara_file *file);
void file_put(struct samara_file *file);

static inline bool file_is(const struct samara_file *file, unsigned int flag)
{
	return file->flags & flag;
}

/* A host file, by its descriptor: 0, -EBADF, -EMFILE, -ENAMETOOLONG, -ENOMEM. */
int file_from_fd(struct file_store *store, int fd, struct samara_file **out) __must_check;

/* Shared memory of length bytes, its own inode; ino 0: the next one. */
struct shmem_desc {
	const char *name;
	unsigned long long length;
	unsigned long ino;
	unsigned int flags;    /* enum samara_file_flags besides the usual ones */
	unsigned long charged; /* pages the caller has charged; given back with the file */
};
/* 0, -ENOMEM, -EINVAL: longer than any file. Then the charge is still the caller's. */
int file_shmem(struct file_store *store, const struct shmem_desc *desc,
	       struct samara_file **out) __must_check;

/* What MAP_SHARED|MAP_ANONYMOUS is called. */
#define SHMEM_ZERO_NAME "/dev/zero (deleted)"

#endif
