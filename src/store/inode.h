/* SPDX-License-Identifier: MIT */
/*
 * What is behind open files: an inode with its pages (the page cache).
 *
 *   samara_file --.
 *   samara_file ----> inode ---- pages: index -> folio      one reference each
 *                       |    `-- i_mmap: who maps which pages (rmap/)
 *                     fd | shared memory | device | a name only
 *
 * Two files of one host inode share it (found by device and inode number in the
 * machine's store). Pages are read when they are first wanted, and written back
 * to the host file by inode_writeback() (msync, the last put): dirty bits are
 * gathered from page tables first (folio_mkclean(), through the caller: the store
 * knows no page tables).
 *
 * Locks, in the order in which they are taken
 *   lock        (RANK_INODE) for writing: the length changes, a hole is punched, a
 *               write(2); for reading: write-back, so that it cannot make a file
 *               longer again that is being truncated
 *   folio lock  a page's contents are filled, or it is taken out, under it. A thread
 *               that finds and locks a folio looks again: mapping tells whether it is
 *               still this inode's
 *   pages.lock  (RANK_PAGE_CACHE) pages.tree and pages.nr change under it; the tree is read
 *               under RCU. The length is looked at under it when a page goes in,
 *               and truncation takes it after the length has changed: so no page
 *               is left behind beyond the end
 *
 * A host file's length is what the host said last: it is asked when a page is not
 * here or lies beyond the end, and before write-back. If another program made the file
 * shorter, pages beyond the end stay until inode_set_length(), but no lookup returns
 * them and they are not written.
 *
 * Invariants (inode_validate(); the inode is quiet)
 *   pages        the tree's own
 *   page_index   a folio's mapping and index say where it is found, its contents are valid
 *   page_count   pages.nr counts them; so does pages.charged, where pages are charged as they come,
 *                together with pages.swapped
 *   page_swap    a swap entry is shared memory's, its slot has just this entry
 *   page_beyond  no page lies beyond the end (unless another program moved it)
 */
#ifndef STORE_INODE_H
#define STORE_INODE_H

#include <sys/stat.h>

#include <samara/file.h>
#include <samara/maple_tree.h>

#include "base/interval_tree.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/refcount.h"
#include "frame/frame.h"
#include "store/commit.h"

struct file_store;

enum inode_kind {
	INODE_NAMED,  /* no bytes are known: zeros, without an end if length is 0 */
	INODE_HOST,   /* a host file, by fd; empty if it is neither regular nor a block device */
	INODE_SHMEM,  /* lives in its pages */
	INODE_DEVICE, /* ops say; pages holds the frames it owns, by frame number */
};

/* Which file it is. */
struct inode_id {
	unsigned int dev_major, dev_minor; /* (i) */
	unsigned long ino;                 /* (i) */
	bool hashed;                       /* (i) the store finds it again by these numbers */
	struct inode *hash_next;           /* the store's lock */
};

/* The file of the host behind INODE_HOST. */
struct inode_host {
	int fd, write_fd;     /* atomic: read and written here; -1: not yet */
	unsigned long opened; /* the store's lock: how often it was found again */
	bool asks;            /* (i) the host is asked about each mapping: host_map.c */
	bool moved_end;       /* lock: another program made the host file shorter */
};

/* The page cache. */
struct page_cache {
	struct maple_tree tree;  /* index -> folio or swap entry; writers pages.lock, readers RCU */
	struct mutex lock;       /* RANK_PAGE_CACHE */
	unsigned long nr;        /* pages.lock; folios */
	unsigned long swapped;   /* pages.lock; swap entries (shmem_swap.c) */
	unsigned long charged;   /* pages.lock; of both, with charge_each */
	unsigned long reserved;  /* lock: pages of shared memory that were charged at once */
	unsigned long last;      /* atomic, a hint: the page that was read or written last */
	bool charge_each;        /* (i) shared memory whose pages are charged as they come */
	struct list_head listed; /* the store's swap.swapped_lock: swap.swapped; or not there */
};

/* Who maps it. */
struct inode_mappings {
	struct rwsem lock;         /* RANK_FILE_RMAP */
	struct interval_tree tree; /* i_mmap.lock: links of the VMAs that map the file */
	unsigned long unmaps;      /* atomic: how often pages of it were unmapped; faults look */
};

/* (i) The driver behind INODE_DEVICE; else all NULL. */
struct inode_device {
	struct samara_file_ops ops;
	void *priv;
};

struct inode {
	enum inode_kind kind;      /* (i) */
	bool in_memory;            /* (i) shared memory, or a host file on tmpfs */
	refcount_t refs;           /* files */
	unsigned long long length; /* bytes; atomic, changes under lock; INODE_NAMED 0: unknown */
	struct file_store *store;  /* (i) counted */
	struct ram *ram;           /* (i) the store's */
	struct inode_id id;
	struct inode_host host;
	struct rwsem lock; /* RANK_INODE */
	struct page_cache pages;
	struct inode_mappings i_mmap;
	struct inode_device device;
};

/* inode.c ---------------------------------------------------------------------- */

struct inode_desc {
	enum inode_kind kind;
	unsigned int dev_major, dev_minor;
	unsigned long ino;
	unsigned long long length;
	bool charge_each;
	bool asks_host;
	bool in_memory; /* INODE_SHMEM always is */
};
/* An inode of its own, one reference; NULL when refused. */
struct inode *inode_create(struct file_store *store, const struct inode_desc *desc) __must_check;
struct host_file {
	int fd;
	struct stat st; /* fstat(2)'s */
	bool asks;      /* host_map_flags()'s */
	bool in_memory; /* on tmpfs */
};
/*
 * The inode of the host file; a descriptor of its own is kept. length is what st says, as far as
 * it does. 0, -ENOMEM, or what dup or open(2) gave.
 */
int inode_of_host(struct file_store *store, const struct host_file *host,
		  struct inode **out) __must_check;
/*
 * The last one writes what is dirty back to the host file, three times if need be, and lets go of
 * what cannot be written even then (trace point writeback_lost). No lock from RANK_INODE on is
 * held.
 */
void inode_put(struct inode *inode);

/* pages.c ---------------------------------------------------------------------- */

/* The page's folio with a reference, or NULL: not here, perhaps in swap. Takes nothing. */
struct folio *page_cache_find(struct inode *inode, unsigned long index) __must_check;
/* Whether mincore(2) calls it in memory: here or, of shared memory, in the swap cache. */
bool page_cache_incore(struct inode *inode, unsigned long index);
/* Whether the cache or swap has the page. Takes nothing. */
bool page_cache_has(struct inode *inode, unsigned long index);
/* The first folio of [*index, last], with a reference; *index becomes its index. NULL: none. */
struct folio *page_cache_next(struct inode *inode, unsigned long *index,
			      unsigned long last) __must_check;
/*
 * The page's folio, locked, with a reference, its contents valid: made and read if it is not
 * here. 0; -EFAULT: beyond the end of the file; -EIO: reading failed; -ENOMEM: no memory;
 * -ENOSPC: shared memory at the commit limit (as Linux: SIGBUS, like all but -ENOMEM);
 * -EHWPOISON: the page was lost (FOLIO_POISONED), and stays so until it is truncated. *major
 * becomes true if something was read. No lock from RANK_INODE on is held.
 */
int page_cache_get(struct inode *inode, unsigned long index, struct folio **out,
		   bool *major) __must_check;
/*
 * folio, locked, unmapped, off the LRU lists, with one reference of the caller's, leaves the cache.
 * False: it is dirty, lies beyond the end, or another thread uses it. The folio's lock is all that
 * keeps inode, so after true there may be none any more.
 */
bool page_cache_evict(struct inode *inode, struct folio *folio) __must_check;

/*
 * by takes folio's place in the cache (migration): folio's mapping becomes NULL, and the cache's
 * reference moves. Both are locked, folio is frozen, by has the same contents and flags. The caller
 * has a reference to each. Never fails.
 */
void page_cache_replace(struct inode *inode, struct folio *folio, struct folio *by);

/* truncate.c ------------------------------------------------------------------- */

/*
 * [start, last] leave the cache, dirty or not. They are unmapped already (unmap_mapping_pages()).
 */
void page_cache_truncate(struct inode *inode, unsigned long start, unsigned long last);
/*
 * The file is about to end at length: the page that it ends in stays in memory while the caller has
 * the reference, *out (NULL: there is none, or none that can be read). lock is held. 0 or -ENOMEM.
 */
int page_cache_hold_tail(struct inode *inode, unsigned long long length,
			 struct folio **out) __must_check;
/* The part of the last page beyond length becomes zeros. */
void page_cache_zero_tail(struct inode *inode, unsigned long long length);
/*
 * The file is about to grow, by bytes that begin at offset: what mappings stored between the end
 * and there becomes zeros; in memory (tmpfs) it stays and is part of the file from then on, as in
 * Linux. lock is held for writing.
 */
void page_cache_pass_end(struct inode *inode, unsigned long long offset);

/*
 * The length, and the host file's too. lock is held for writing. 0; -EINVAL: it has none, or is
 * not open for writing; -ENOMEM: shared memory beyond the commit limit; what ftruncate(2) gave.
 * Mappings and pages beyond the end are the caller's to take away, in this order:
 * unmap_mapping_pages(), page_cache_truncate(), page_cache_zero_tail(), unmap_mapping_pages();
 * lock held all the time.
 */
int inode_set_length(struct inode *inode, unsigned long long length) __must_check;
/*
 * The part of [offset, offset + length) that is not whole pages becomes zeros, and the host file
 * gets its hole. Whole pages, first to *last (first > last: none), are the caller's to take away
 * as above. lock is held for writing. 0, -EOPNOTSUPP, -ENOMEM (a page that is kept in part is in
 * swap), or what fallocate(2) gave.
 */
struct inode_hole {
	unsigned long long offset, length;
	unsigned long first, last; /* out */
};
int inode_punch(struct inode *inode, struct inode_hole *hole) __must_check;
/* Ask the host how long the file is now. Takes lock. */
void inode_refresh(struct inode *inode);
/* Whether the host has another length, of which inode_refresh() has not heard. */
bool inode_end_moved(const struct inode *inode);

/* writeback.c ------------------------------------------------------------------ */

/*
 * Write dirty pages of [start, last] to the host file. clean(folio, arg) is called for each that
 * is mapped, locked, before it is written: it takes the dirty bits out of page tables and says if
 * there were any. 0, or the first error of pwrite(2); pages that could not be written stay dirty.
 * Files that are not of the host have nothing to write: 0. Takes lock for reading.
 */
struct writeback {
	struct inode *inode;
	unsigned long start, last;
	bool (*clean)(struct folio *folio, void *arg); /* NULL: no mapping exists any more */
	void *arg;
};
int inode_writeback(const struct writeback *wb) __must_check;
/*
 * folio, locked, unmapped, in the cache, is written to the host file and is clean. -EBUSY: the file
 * is being written to or changes its length, or another program has moved its end; -EFBIG: the page
 * lies beyond the end; -EROFS: there is nothing to write to; what pwrite(2) gave. Then it is as
 * before. Waits for no lock.
 */
int inode_write_folio(struct inode *inode, struct folio *folio) __must_check;
/* The host is asked to keep what was written. 0, or what fsync(2) gave. */
int inode_fsync(struct inode *inode) __must_check;

/* device.c --------------------------------------------------------------------- */

/*
 * Ask the driver about a mapping to be made. 0: desc->vm_flags is what it gets. -errno of the
 * driver; -EINVAL: it changed others.
 */
int device_mmap_prepare(struct samara_vma_desc *desc) __must_check;
/*
 * vmf->frame becomes the frame to map; it stays the device's as long as the file is held. 0,
 * -errno.
 */
int device_fault(struct samara_vmf *vmf) __must_check;
int device_huge_fault(struct samara_vmf *vmf) __must_check;
/* May the page be written to? 0, -errno. */
int device_page_mkwrite(struct samara_vmf *vmf) __must_check;
/* A mapping is gone; no lock is held. */
void device_close(const struct samara_vma_desc *gone);

static inline bool inode_is_shmem(const struct inode *inode)
{
	return inode->kind == INODE_SHMEM;
}

static inline bool inode_is_device(const struct inode *inode)
{
	return inode->kind == INODE_DEVICE;
}

/*
 * Whether the driver wants to be asked before a shared page is written to: then it is mapped
 * read-only.
 */
static inline bool inode_has_mkwrite(const struct inode *inode)
{
	return inode_is_device(inode) && inode->device.ops.page_mkwrite;
}

/* Pages up to its end; ULONG_MAX: no end is known. */
unsigned long inode_pages(const struct inode *inode);

int inode_validate(struct inode *inode, struct samara_report *out) __must_check;

#endif
