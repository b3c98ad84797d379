/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: which folios leave memory when frames run out, and how.
 *
 *   access, fork, read --> store_make_room() --> reclaim_direct() --no progress--> oom_make_room()
 *   folio_alloc() below a watermark ----> the machine's thread (worker.c) ----> shrink.c
 *   MADV_PAGEOUT, samara_reclaim() ----------------------------------------------> shrink.c
 *
 * Only doors reclaim, with no lock held: deep code returns -ENOMEM and drops no lock of its caller.
 * One folio leaves in these steps, each under the folio's lock (shrink.c):
 *
 *   used lately?        through rmap: it stays, perhaps on the active list
 *   anonymous, shmem    a slot and a place in the swap cache (store/swap.h)
 *   mapped              folio_unmap_all(): each entry becomes a swap entry, or empty
 *   dirty               written, to its slot or its file; an error keeps it, dirty
 *   nobody else has it  folio_try_freeze(); out of its cache; the frame is free
 *
 * Never: locked (mlock), pinned, a device's, poisoned; and no folio of an mm that is being built or
 * torn down (mm_gate_open(), MM_GATE_LOOK).
 *
 * Locks: none is held by callers from RANK_FOLIO on. MADV_PAGEOUT holds the mmap_lock for reading.
 */
#ifndef RECLAIM_RECLAIM_H
#define RECLAIM_RECLAIM_H

#include "core/mm.h"
#include "frame/frame.h"
#include "store/swap.h"

struct file_store;

/* worker.c ---------------------------------------------------------------------- */

/* machine's store gets its make_room hook. The thread begins when frames run low. */
void reclaim_begin(struct samara_machine *machine);
/*
 * The machine ends: the thread has ended when this returns. No mm is left. Files that go on living
 * reclaim by themselves.
 */
void reclaim_end(struct samara_machine *machine);
/*
 * The caller is about to read pages in, and ahead, for which frames must be free: some are freed if
 * the thread has fallen behind. No lock is held.
 */
void reclaim_before_reading(struct file_store *store);
/* The store's machine, with a reference; NULL: it has ended, and files still have the store. */
struct samara_machine *reclaim_machine(struct file_store *store) __must_check;

/*
 * As store_make_room(), of an operation that no process has to end for: one that moves pages, or
 * brings them back. 0 or -ENOMEM. No lock is held.
 */
int reclaim_make_room(struct file_store *store, unsigned long *refused) __must_check;

/* shrink.c ------------------------------------------------------------------------ */

#define RECLAIM_BATCH 32U

/* Up to nr frames are freed, by the calling thread; how many. store_shrink() of its store. */
unsigned long reclaim_direct(struct samara_machine *machine, unsigned long nr);
/* Up to nr frames are freed; how many. */
unsigned long store_shrink(struct file_store *store, unsigned long nr);
/* The same while no other thread has isolated a page: 0 means that no page can leave. */
unsigned long store_shrink_alone(struct file_store *store, unsigned long nr);
/*
 * These folios leave if they can, used lately or not. Each is off the LRU lists, with a reference
 * that is dropped here; those that stay are put back. The caller holds lru_isolation() since it
 * isolated them. How many have left.
 */
unsigned long reclaim_folios(struct samara_machine *machine, struct folio **folios, unsigned int n);

/* evict.c: one folio -------------------------------------------------------------- */

enum evict_how {
	EVICT_UNUSED, /* unless it was used lately */
	EVICT_ANYWAY,
};
enum evicted {
	EVICT_FREED,   /* only the caller's reference is left */
	EVICT_KEPT,    /* it could not leave, or not now */
	EVICT_USED,    /* used once: it stays where it is */
	EVICT_ACTIVE,  /* used more than once, or cannot leave for a while: active */
	EVICT_MLOCKED, /* unevictable */
};
/* folio, locked, has FOLIO_MLOCKED: no longer, if no locked mapping has it. Whether one has. */
bool folio_still_mlocked(struct file_store *store, struct folio *folio);
/*
 * folio is off the LRU lists, the caller has one reference and no lock. Its flags say what the
 * answer says, so that lru_putback() puts it in its place.
 */
enum evicted folio_evict(struct file_store *store, struct folio *folio, enum evict_how how);

/* move.c ------------------------------------------------------------------------- */

/*
 * folio, to which the caller has a reference, moves to the new frame of to, which is the caller's
 * alone. 0, and then to is on the lists; -EBUSY: it is on no list, or folio_migrate()'s. No lock is
 * held. Both references stay the caller's.
 */
int move_folio(struct file_store *store, struct folio *folio, struct folio *to) __must_check;
/*
 * Folios are moved until a free block of 2^order frames, which begins at a multiple of its size,
 * exists. 0, -EINVAL: order; -ENOMEM. No lock is held.
 */
int compact(struct samara_machine *machine, unsigned int order) __must_check;

/* poison.c ----------------------------------------------------------------------- */

/* samara_memory_failure() without flags. No lock is held. */
int memory_failure(struct samara_machine *machine, unsigned long pfn) __must_check;
/*
 * The same for a folio to which the caller has a reference. 0, -EHWPOISON, -EBUSY. The frame leaves
 * when the last reference is dropped.
 */
int folio_failure(struct file_store *store, struct folio *folio) __must_check;
/*
 * folio, to which the caller has a reference, moves to another frame, and its own is not used
 * again. 0, also if it was bad already; -EBUSY, -ENOMEM.
 */
int folio_soft_offline(struct file_store *store, struct folio *folio) __must_check;
/*
 * A pin of folio was dropped; the caller has a reference. If folio is bad and that was the last
 * pin: what was put off.
 */
void folio_failure_unpinned(struct file_store *store, struct folio *folio);

/* validate_reclaim.c; the machine is quiet. */
int reclaim_validate(struct samara_machine *machine, struct samara_report *out) __must_check;

/* swapoff.c ------------------------------------------------------------------- */

/*
 * samara_swapoff(). Enters each mm through the gate and reads in what it finds there, then shared
 * memory, then drops what only the swap cache has; again until no slot is used.
 */
int swapoff(struct samara_swap *area) __must_check;
#ifdef SAMARA_DEBUG
extern unsigned long swapoff_rounds; /* until it gives up; a test lowers it */
#endif

/* oom.c, reap.c ------------------------------------------------------------------ */

/*
 * Reclaim has made no progress. True: a victim was chosen, told and reaped, or one that was chosen
 * before still has memory to give: try again. False: there is no victim. Sleeps; no lock is held.
 */
bool oom_make_room(struct samara_machine *machine) __must_check;
/*
 * The private memory of mm is taken away, beside anything that mm does; the caller has a reference
 * and holds no lock. 0: it is gone, also if it was before. -EAGAIN: mm's mmap_lock was taken, mm is
 * being built, or another thread is at it. Never twice: MM_OOM_SKIP.
 */
int oom_reap(struct samara_mm *mm) __must_check;
#ifdef SAMARA_DEBUG
extern unsigned long oom_reap_tries; /* until a victim is passed by; a test lowers it */
#endif

#endif
