/* SPDX-License-Identifier: MIT */
/*
 * Open files, and the store of one machine that holds what its files share: the
 * RAM their pages lie in, the commit budget, the inodes of host files and the inode
 * numbers of shared memory.
 *
 *   store <-- inode <-- file  <-- VMAs, and the caller that asked for the file
 *     ^
 *   machine
 *
 * All are counted. A file does not change; its inode does (inode.h).
 */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include <samara/file.h>

#include "base/compiler.h"
#include "base/gate.h"
#include "base/refcount.h"
#include "base/worker.h"
#include "store/commit.h"
#include "store/inode.h"
#include "store/swap.h"

#define INODE_HASH 64

/* What reclaim/ keeps of a store; it outlives the machine where files do. */
struct store_reclaim {
	struct samara_machine *machine; /* the store's lock; NULL: it has ended */
	struct worker worker;
	unsigned long turn; /* atomic: whose turn, of files and anonymous memory */
	unsigned int
		vain; /* atomic: rounds of the worker that freed nothing, one after the other */
};

struct file_store {
	refcount_t refs; /* the machine and each inode */
	unsigned int shmem_minor;
	unsigned long next_ino; /* of shared memory and devices; atomic */
	struct commit commit;
	struct call_gate gate;
	struct ram *ram;                /* the store's own */
	struct samara_spinlock lock;    /* RANK_PAGE_CACHE: the hash, and inodes' last references */
	struct inode *hash[INODE_HASH]; /* of host files */
	struct swap_areas swap;
	struct store_reclaim reclaim;
	/* (i) store_make_room(); NULL: no page can be freed. */
	bool (*make_room)(struct file_store *store);
};

struct samara_file {
	refcount_t refs;               /* VMAs, holders */
	unsigned int flags;            /* enum samara_file_flags */
	unsigned long long max_length; /* no offset of the file system's lies above */
	struct inode *inode;           /* counted */
	char name[];                   /* as maps shows it */
};

struct file_store *file_store_create(void) __must_check; /* one reference; NULL when refused */
struct file_store *file_store_get(struct file_store *store);
void file_store_put(struct file_store *store);

/*
 * An operation has returned -ENOMEM and holds nothing any more. *refused is frames_refused as it
 * was before the operation, and becomes what it is now. 0: frames that it lacked are free now, and
 * it is tried again. -ENOMEM: frames are not what it lacks, or none could be freed. This may sleep.
 * No lock is held. Each operation that takes a frame calls it here and nowhere deeper. A driver's
 * frames (store/device.h) do not wait, since the driver may be inside a fault.
 */
int store_make_room(struct file_store *store, unsigned long *refused) __must_check;

/* A file with one reference; 0, -ENAMETOOLONG, -ENOMEM. identity is checked by the caller. */
int file_create(struct file_store *store, const struct samara_file_identity *identity,
		struct samara_file **out) __must_check;
/* A file of inode. 0: the caller's reference is the file's now; -ENAMETOOLONG, -ENOMEM. */
int file_open(struct inode *inode, const char *name, unsigned int flags,
	      struct samara_file **out) __must_check;
#define FILE_RIGHTS ((unsigned int)(SAMARA_FILE_READ | SAMARA_FILE_WRITE))
#define FILE_OPEN_FLAGS (FILE_RIGHTS | (unsigned int)SAMARA_FILE_O_APPEND)
/* samara_file_reopen(). */
int file_reopen(struct samara_file *file, unsigned int flags,
		struct samara_file **out) __must_check;
struct samara_file *file_get(struct samara_file *file);
/* NULL is allowed. The last one may write to the host: see inode_put(). */
void file_put(struct samara_file *file);

/* May the calling thread make a call on file now? 0, -ESRCH, -EDEADLK: base/gate.h. */
static inline __must_check int file_call(const struct samara_file *file)
{
	return gate_check(&file->inode->store->gate);
}

static inline bool file_is_foreign(const struct samara_file *file)
{
	return gate_is_foreign(&file->inode->store->gate);
}

static inline bool file_is(const struct samara_file *file, unsigned int flag)
{
	return file->flags & flag;
}

/* Files of one machine only meet its own address spaces: another's frames mean nothing there. */
static inline bool file_of_store(const struct samara_file *file, const struct file_store *store)
{
	return file->inode->store == store;
}

/* A host file, by its descriptor: 0, -EBADF, -EMFILE, -ENAMETOOLONG, -ENOMEM. */
int file_from_fd(struct file_store *store, int fd, struct samara_file **out) __must_check;

/* Shared memory of length bytes, its own inode; ino 0: the next one. */
struct shmem_desc {
	const char *name;
	unsigned long long length;
	unsigned long ino;
	unsigned int flags; /* enum samara_file_flags besides the usual ones */
	/* Pages the caller has charged, given back with the inode; 0: charged as they come. */
	unsigned long charged;
};
/* 0, -ENOMEM, -EINVAL: longer than any file. Then the charge is still the caller's. */
int file_shmem(struct file_store *store, const struct shmem_desc *desc,
	       struct samara_file **out) __must_check;

/* What MAP_SHARED|MAP_ANONYMOUS is called. */
#define SHMEM_ZERO_NAME "/dev/zero (deleted)"

#endif
