/* SPDX-License-Identifier: MIT */
/*
 * The lock order of the whole house, in one place.
 *
 * A thread takes locks in ascending order only. Debug builds check that at run
 * time: taking a lock whose rank is not above every rank the thread holds ends
 * the process and names both. Two locks of one rank may be held together only
 * where the _nested variant of the lock call says why (parent and child mm at
 * fork, two page tables at a move).
 *
 * RCU read-side sections are not locks: they may be entered anywhere, and no
 * thread waits for a grace period while it holds a lock of this list.
 * docs/locking.md explains what each lock protects.
 */
#ifndef BASE_LOCK_RANK_H
#define BASE_LOCK_RANK_H

enum lock_rank {
	RANK_NONE,        /* not a lock */
	RANK_ROUND,       /* one round of deferred RCU callbacks, which may take any lock below */
	RANK_USER,        /* a test's or an example's own outermost lock */
	RANK_NOTIFIERS,   /* an mm's list of notifiers, while it is changed */
	RANK_MMAP,        /* mmap_lock: the set of VMAs of one mm */
	RANK_VMA,         /* one VMA's own lock, taken by faults */
	RANK_UFFD,        /* a userfaultfd: pages are filled, or a change to the map begins */
	RANK_ISOLATED,    /* pages taken off the LRU lists, to be evicted or moved */
	RANK_INODE,       /* one file's length: truncation, holes and writes against each other */
	RANK_FOLIO,       /* one folio: contents valid, not moved, not truncated */
	RANK_FILE_RMAP,   /* i_mmap: the VMAs that map one file */
	RANK_ANON_RMAP,   /* anon_vma: the VMAs that may hold one family's pages */
	RANK_PAGE_TABLE,  /* entries of one page-table page */
	RANK_TLB,         /* the CPUs that run one mm */
	RANK_TLB_OWNER,   /* the CPUs that one thread runs, and all CPUs */
	RANK_PAGE_CACHE,  /* the index of one file's pages */
	RANK_SWAP,        /* one swap area's slots */
	RANK_MAPLE,       /* ma_lock of one range tree */
	RANK_LRU,         /* the LRU lists of one node */
	RANK_FRAME,       /* buddy allocator: free blocks of one zone */
	RANK_MMS,         /* the list of one machine's mms */
	RANK_EVENT,       /* queues of what is delivered after locks are dropped */
	RANK_CACHE_ALL,   /* registry of sites, caches and threads */
	RANK_CACHE_POOL,  /* shared pool of one object cache */
	RANK_CACHE_CHUNK, /* memory behind the caches: slabs, batches */
	RANK_COUNT
};

#endif
