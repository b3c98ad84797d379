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
 * used from any thread. An mm of another machine refuses them (-EINVAL).
 *
 * Files of one inode share their pages (the page cache): two files of one host file in one machine do. Pages of a
 * host file are read when they are first wanted and written back by msync(2), by samara_file_sync() and
 * when the last file of the inode is put. That last write-back cannot report errors: sync first to learn of them.
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
	SAMARA_FILE_APPEND = 1 << 2,   /* the inode is append-only (chattr +a), whatever the flags of open(2) */
	SAMARA_FILE_NOEXEC = 1 << 3,   /* on a mount with noexec: PROT_EXEC gives -EPERM */
	SAMARA_FILE_NOMAP = 1 << 4,    /* cannot be mapped at all: -ENODEV (directory, pipe, /dev/null) */
	SAMARA_FILE_SHMEM = 1 << 5,    /* memory with a name: tmpfs, memfd, SysV shm, shared anonymous */
	SAMARA_FILE_HUGE_ALIGN = 1 << 6, /* big mappings are placed by file offset (ext4, xfs, btrfs) */
	SAMARA_FILE_CLOSE = 1 << 7,    /* mappings have a close hook (SysV shm, some drivers): never merged away */
	SAMARA_FILE_ZERO = 1 << 8,     /* /dev/zero: private mappings are anonymous memory, shared ones fresh shmem */
	SAMARA_FILE_SYNC = 1 << 9,     /* the file system knows MAP_SYNC (ext4, xfs) */
	SAMARA_FILE_NO_FALLOCATE = 1 << 10, /* holes cannot be punched: MADV_REMOVE gives -EOPNOTSUPP */
	SAMARA_FILE_O_APPEND = 1 << 12, /* opened with O_APPEND: pwrite(2) writes at the end and ignores its offset */
	SAMARA_FILE_NO_SYNC = 1 << 11, /* but this file is not on DAX memory: every mapping with MAP_SYNC is refused */
};

/* What identifies a file that cannot be opened: a trace names files that may be long gone. */
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
 * which stays the caller's and may be closed afterwards (the library keeps its own duplicate). When another program
 * makes the host file shorter, this is noticed when a page is read or written back, not before.
 * What cannot be mapped is a file too, and samara_mmap() refuses it as Linux does. Of drivers, and of pseudo files as
 * those of sysfs, the host's kernel is asked when they are mapped; their pages have the bytes that pread(2) of the
 * host file gives up to the length that fstat(2) gives, so that of a driver every access is beyond the end (SIGBUS).
 *
 * Locks: when the library closes its duplicate, the host's kernel drops all POSIX record locks (fcntl(2) F_SETLK,
 * lockf(3)) that this process has on the file, as it does at every close(2) of any descriptor of the file. Neither a
 * duplicate nor another open of the file escapes that. The library closes it when the last file of that host file is
 * gone (all references and mappings, in each machine), or before it returns an error here. A program that needs its
 * locks uses locks of an open file description (F_OFD_SETLK) or flock(2), which stay; or it holds a reference
 * (samara_file_get()) as long as it wants its POSIX locks. The duplicate may share the open file description: then
 * F_OFD_SETLK and flock(2) locks that were not released outlive close(fd) until the library closes it too.
 *
 * 0, -EBADF (also of a descriptor that was opened with O_PATH), -ENOMEM, or what fstat(2) or dup gave.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_from_fd(struct samara_machine *machine, int fd,
						     struct samara_file **out);

/*
 * A file of which only its identity is known. Every call gives a new open file,
 * which merges with no other; keep one per open(2) of the trace.
 * 0, -EINVAL (no name, size), -E2BIG (a member that this library does not know), -ENAMETOOLONG (above 4095 bytes),
 * -ENOMEM.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_named(struct samara_machine *machine,
						   const struct samara_file_identity *identity,
						   struct samara_file **out);

/*
 * Shared memory of size bytes with an inode of its own, named as Linux names
 * the memory behind MAP_SHARED|MAP_ANONYMOUS: "/dev/zero (deleted)". 0 or -ENOMEM, -EINVAL (size is 0 or above
 * 2^63-1).
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_shmem(struct samara_machine *machine, unsigned long size,
						   struct samara_file **out);

/* As memfd_create(2) makes it: "/memfd:NAME (deleted)". 0, -EINVAL (name above 249 bytes), -ENOMEM. */
SAMARA_API SAMARA_MUST_CHECK int samara_file_memfd(struct samara_machine *machine, const char *name,
						   unsigned long size, struct samara_file **out);

/* As shmget(2) makes it: "/SYSV%08x (deleted)", its inode the segment's id. 0, -EINVAL, -ENOMEM. */
SAMARA_API SAMARA_MUST_CHECK int samara_file_sysv(struct samara_machine *machine, int key, int shmid,
						  unsigned long size, struct samara_file **out);

/*
 * Another open file of what file is: open(2) once more, or shmat(2) with SHM_RDONLY (flags SAMARA_FILE_READ). flags:
 * SAMARA_FILE_READ, _WRITE, _O_APPEND; the rest is as file has it. 0, -EINVAL (flags), -EACCES (to write, and no file
 * of this host file was open for writing), -ENOMEM.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_reopen(struct samara_file *file, unsigned int flags,
						    struct samara_file **out);

/* One more reference to file. Returns file. */
SAMARA_API struct samara_file *samara_file_get(struct samara_file *file);

/* Drop a reference; NULL is allowed. */
SAMARA_API void samara_file_put(struct samara_file *file);

/*
 * ftruncate(2): mappings stay; those of pages beyond the end are taken away, private copies too, and an access
 * there gives SIGBUS. A host file is truncated on the host as well. Of a file made by samara_file_named() 0 means:
 * unknown. 0; -EINVAL: not opened for writing, above 2^63-1, a device; -ENOMEM: shared memory beyond the commit
 * limit; or what ftruncate(2) gave. After an error nothing has changed. Not to be called from a device's
 * operations.
 */
SAMARA_API int samara_file_set_length(struct samara_file *file, unsigned long long length);

/*
 * fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE): [offset, offset + length) reads as zeros from now on;
 * private copies stay. 0; -EINVAL (length 0), -EFBIG, -EBADF (not opened for writing), -EOPNOTSUPP, or what
 * fallocate(2) gave.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_punch_hole(struct samara_file *file, unsigned long long offset,
							unsigned long long length);

/*
 * pread(2) and pwrite(2) through the pages that mappings see: what one of them writes the other reads at once.
 * Writing beyond the end makes the file longer; with SAMARA_FILE_O_APPEND all is written at the end. Bytes moved,
 * less than len at the end of the file or when an error stopped it after some; -EBADF (not opened for that), -EINVAL
 * (offset above 2^63-1, a file without pages: device, pipe), -EFBIG, -ENOMEM, -ENOSPC (shared memory at the commit
 * limit), -EIO. Written pages go to a host file with samara_file_sync(), msync, or the last samara_file_put().
 * No aligned word of 1, 2, 4 or 8 bytes of the file is torn beside other accesses; nothing larger is moved at once
 * (samara_read()).
 */
SAMARA_API long samara_file_pread(struct samara_file *file, void *buf, unsigned long len,
				  unsigned long long offset);
SAMARA_API long samara_file_pwrite(struct samara_file *file, const void *buf, unsigned long len,
				   unsigned long long offset);

/*
 * fsync(2): what was written, through mappings too, is in the host file when this returns, and the host was asked
 * to keep it. 0, or the first error of pwrite(2) or fsync(2); what could not be written stays to be written. Other
 * files: 0.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_sync(struct samara_file *file);

/*
 * file's identity. *out need not be initialised: all of it as declared above is written, and size too. (Should the
 * struct grow, this call leaves new members out, and a call of another name gives them.) out->name lives as long as the
 * caller holds a reference to file.
 */
SAMARA_API void samara_file_identify(const struct samara_file *file, struct samara_file_identity *out);

/* devices -------------------------------------------------------------------- */

/*
 * A device is a file whose pages a driver gives. It has frames of its own in the machine's RAM
 * (samara_device_alloc()) and answers faults with them:
 *
 *	static int fault(void *priv, struct samara_vmf *vmf)
 *	{
 *		struct screen *screen = priv;
 *
 *		if (vmf->pgoff >= screen->pages)
 *			return -EFAULT;                        // SIGBUS
 *		return samara_vmf_insert(vmf, screen->frame[vmf->pgoff]);
 *	}
 *
 * Operations are called by any thread, several at once. They may wait, call samara_device_alloc() and
 * samara_device_bytes(), and nothing else of this library unless it says so below.
 */

/* One mapping. */
struct samara_vma_desc {
	struct samara_file *file;
	unsigned long start, end; /* [start, end), addresses */
	unsigned long pgoff;      /* page of the file that is seen at start */
	unsigned long vm_flags;   /* SAMARA_VM_* of <samara/mm.h> */
};

enum samara_vmf_flags {
	SAMARA_VMF_WRITE = 1 << 0,
	SAMARA_VMF_EXEC = 1 << 1,
	SAMARA_VMF_COW = 1 << 2, /* a private mapping is written to: it gets a copy */
	SAMARA_VMF_PFN = 1 << 3, /* the mapping has SAMARA_VM_PFNMAP */
};

/* One fault. */
struct samara_vmf {
	struct samara_file *file;
	unsigned long addr;  /* the page that was accessed; of a huge fault the first one */
	unsigned long pgoff; /* page of the file there */
	unsigned int flags;  /* enum samara_vmf_flags */
	unsigned int order;  /* 2^order pages are asked for; 0 but in huge_fault */
	unsigned long frame; /* page_mkwrite: what is mapped there; fault: the library's, see samara_vmf_insert() */
};

struct samara_file_ops {
	size_t size;      /* sizeof(struct samara_file_ops) */
	const char *name; /* as /proc/PID/maps is to show it, copied; NULL: "/dev/samara" */

	/*
	 * mmap(2), before the mapping exists and before anything it replaces is gone. *desc says what it will be.
	 * May set SAMARA_VM_IO, _PFNMAP, _MIXEDMAP, _DONTEXPAND, _DONTDUMP, _DONTCOPY in desc->vm_flags and clear
	 * SAMARA_VM_MAYWRITE and _MAYEXEC (of an access right that desc does not have); nothing else. 0, or an
	 * errno that mmap then gives (negative). Nothing has to be undone if the mapping fails later. The mmap_lock
	 * is held for writing. NULL: every mapping is allowed. PFNMAP: pages are shown as they are, are not
	 * counted, and cannot be pinned.
	 */
	int (*mmap_prepare)(void *priv, struct samara_vma_desc *desc);

	/*
	 * A page that is not mapped was accessed. 0 after samara_vmf_insert(); -ENOMEM: the access fails for want
	 * of memory; any other -errno: SIGBUS. The VMA's lock, or the mmap_lock for reading, is held. NULL: always
	 * SIGBUS.
	 */
	int (*fault)(void *priv, struct samara_vmf *vmf);

	/*
	 * The same for 2^order pages whose addresses and file pages both are multiples of that. Any error: fault()
	 * is asked for single pages. Never asked for a private mapping that is written to. NULL: never.
	 * This version of the library maps no huge pages: it keeps the function and never calls it.
	 */
	int (*huge_fault)(void *priv, struct samara_vmf *vmf);

	/*
	 * A page that is mapped read-only in a shared mapping is about to be written to for the first time. 0: it
	 * becomes writable; -ENOMEM, other -errno as for fault(). Locks as for fault(). NULL: always allowed, and
	 * such pages are mapped writable at once.
	 */
	int (*page_mkwrite)(void *priv, struct samara_vmf *vmf);

	/*
	 * A mapping, or a part of one, is gone: its pages are not mapped there any more. No lock is held; anything
	 * of this library may be called. With it mappings of the device are never merged (SAMARA_FILE_CLOSE). Each
	 * page of a mapping is closed once, also those that fork copied or mremap moved.
	 */
	void (*close)(void *priv, const struct samara_vma_desc *gone);

	/*
	 * The last reference to the file has gone, and its frames are free: the last call with this priv. No lock of
	 * the file's is held.
	 */
	void (*release)(void *priv);
};

/*
 * A device. ops is copied; priv is the driver's. 0, -EINVAL (size), -E2BIG (an operation that this library does
 * not know), -ENAMETOOLONG, -ENOMEM.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_file_device(struct samara_machine *machine,
						    const struct samara_file_ops *ops, void *priv,
						    struct samara_file **out);

/*
 * 2^order consecutive frames of the machine's RAM for a device, zeroed: *frame is the number of the first, its
 * bytes lie at frame * page size in RAM. They belong to the device until it is released: what a mapping shows can
 * thus never be freed under it. Blocks of more than one frame can be shown by SAMARA_VM_PFNMAP mappings only. order
 * is at most 9. 0; -EINVAL: not a device, order; -ENOMEM. May be called from operations.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_device_alloc(struct samara_file *device, unsigned int order,
						     unsigned long *frame);

/*
 * The bytes of frame, and of those behind it in its block; NULL: not a frame of this device. May be called from
 * operations.
 */
SAMARA_API void *samara_device_bytes(const struct samara_file *device, unsigned long frame);

/*
 * In fault() and huge_fault() only: frame (of 2^order frames from there on) is what is to be mapped. 0; -EINVAL:
 * not the device's, or not a whole block of that order, or a block of several frames where SAMARA_VMF_PFN is not
 * set. The last call counts.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_vmf_insert(struct samara_vmf *vmf, unsigned long frame);

/*
 * Take pages [first, first + nr) of file out of all mappings of it: the next access faults again. For drivers that
 * change what a page shows, before they call this: a fault that fault() has answered before, and that is not over
 * yet, asks it again. Private copies stay. Any thread, no lock of this library held.
 */
SAMARA_API void samara_file_unmap_pages(struct samara_file *file, unsigned long first, unsigned long nr);

SAMARA_END_DECLS

#endif
