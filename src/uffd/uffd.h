/* SPDX-License-Identifier: MIT */
/*
 * A userfaultfd: who waits for it, and what it has yet to be told.
 *
 *   mm.watch.uffds --> uffd --> uffd                     (all of an mm)
 *   vma.uffd ----------->|
 *                        |-- pending   sleepers and posts whose message was not read   oldest first
 *                        |-- told      sleepers and posts whose message was read
 *                        |-- posts     where posts lie: faults of accesses that do not wait
 *                        |-- events    messages of calls that changed the map   oldest first
 *                        |-- prepared  events of calls under way
 *                        '-- forked    children whose FORK was read, and not taken
 *
 * Who protects a field:
 *   (i) set when it is made, or by UFFDIO_API before it is published (features)
 *   (m) mmap_lock of its mm: written by holders for writing
 *   (q) lock, RANK_EVENT
 *   (a) atomic
 *
 * References: the handle; each sleeper, from being queued until it has left; each event, from its
 * preparation until it is read, dropped or abandoned; a child in a FORK message. VMAs have none: as
 * long as a VMA points here the handle is open, because closing clears them first.
 *
 * Invariants (uffd/validate_uffd.c checks them by these names)
 *   uffd_vma       a VMA has a uffd exactly when it has one of VM_UFFD_FLAGS; that uffd is its mm's
 *                  and not closed
 *   uffd_sleeper   each sleeper and each post in use is in one list, called ones in none; the
 *                  count of posts is that of those in use
 *   uffd_changing  changing equals the events that are prepared or queued
 *   uffd_event     a queued event is of that uffd; it has a child exactly if it is FORK
 *   uffd_forked    forked has userfaultfds of other mms, each with a number
 *   uffd_readable  readable, which the descriptor shows, exactly if pending or events has one
 *   uffd_bits      (range/validate_bits.c) in a VMA with VM_UFFD_WP an entry that has the uffd-wp
 *                  bit allows no write; in one without it no entry has the bit. Not once the mm
 *                  may have stale ones (enum uffd_bits, core/mm.h)
 *
 * No wake-up is lost. A sleeper is queued while its VMA is held, and then looks at the entry again
 * under the leaf's lock. A request changes the entry under that lock and wakes afterwards. So
 * either the sleeper sees the new entry and leaves, or it was queued before the request looks for
 * sleepers.
 * Unregistering and closing write-lock the VMA, which waits for those that are about to queue.
 */
#ifndef UFFD_UFFD_H
#define UFFD_UFFD_H

#include <samara/uffd.h>

#include "base/list.h"
#include "core/mm.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* In features, from UFFDIO_API on. */
#define UFFD_READY (1U << 31)

/*
 * A thread in a page fault, or a post. The thread's is on its stack; others do not touch it once
 * word is UFFD_CALLED or UFFD_INTERRUPTED.
 */
struct uffd_sleeper {
	struct list_head in;      /* (q) pending or told; or the list of a thread that calls it */
	struct samara_uffd *uffd; /* a thread's: with a reference; NULL: none is waited for */
	unsigned long addr;       /* as in msg */
	unsigned int word;        /* (a) futex: UFFD_* below */
	unsigned int tid;         /* gettid(2) */
	bool queued;              /* (q) a thread's: pending or told has it */
	struct uffd_msg msg;
};
enum { UFFD_AWAKE, UFFD_ASLEEP, UFFD_CALLED, UFFD_INTERRUPTED, UFFD_POSTED };

/* A change to the map, from its preparation on. Allocated before the point of no return. */
struct uffd_event {
	struct uffd_event *next;   /* of one call, in the order of delivery */
	struct list_head in;       /* (q) prepared or events */
	struct samara_uffd *uffd;  /* with a reference */
	struct samara_uffd *child; /* FORK: the child's, until it is read; else NULL */
	unsigned int word;         /* (a) futex: 1 once it was read, or uffd is closed */
	bool waited;               /* the call sleeps, and frees it; else the reader frees it */
	struct uffd_msg msg;
};
/* Unread events of a userfaultfd whose calls do not wait. */
#define UFFD_EVENTS_MOST 4096U

struct uffd_queues {
	struct samara_spinlock lock; /* RANK_EVENT */
	struct list_head pending, told, forked;
	struct {
		struct list_head prepared, events;
	};
	struct uffd_posts *posts;
	unsigned int forks;   /* numbers of FORK messages that were given */
	unsigned int readers; /* (a) futex: raised when a message comes; and by closing */
	unsigned int asleep;  /* (a) readers that sleep, or are about to */
	int eventfd;          /* -1: not asked for yet, or closed */
	bool readable;        /* what the eventfd shows */
	bool closed;
};

/* A fork's child that its parent's userfaultfd has told, until samara_uffd_forked(). */
struct uffd_forked {
	struct list_head in; /* (q) of the parent's: forked; or a list of what is to be closed */
	unsigned int number; /* (q) of the parent's: msg.arg.fork.ufd */
};

struct samara_uffd {
	struct samara_mm *mm;     /* (i) counted */
	struct samara_mm *source; /* (q) counted, or NULL */
	struct list_head in_mm;   /* mm's uffds.lock, RANK_MMS */
	refcount_t refs;
	unsigned int flags;    /* (i) */
	bool closing;          /* (m) no VMA gets it any more */
	unsigned int features; /* (a) UFFD_FEATURE_*, and UFFD_READY once UFFDIO_API was called */
	unsigned int changing; /* (q), (a) for reading: events that make fills say -EAGAIN */
	/* RANK_UFFD. For reading: pages are filled. For writing: changing rises for REMOVE. */
	struct rwsem fills;
	/* Waits since each side last came while the other one looked (queue_spin_while()). */
	struct {
		unsigned int handler, program;
	} late;
	struct uffd_queues q;
	struct uffd_forked fork;
};

/* life (uffd.c) -------------------------------------------------------------------- */

/* One of mm's, with the handle's reference; the caller has checked flags. NULL when refused. */
struct samara_uffd *uffd_alloc(struct samara_mm *mm, unsigned int flags) __must_check;
/* uffd, which is new, is one of those that walkers of its mm find. */
void uffd_join(struct samara_uffd *uffd);
static inline void uffd_get(struct samara_uffd *uffd)
{
	refcount_inc(&uffd->refs);
}
/* One reference less. No lock is held: the last one drops the mm's, too. */
void uffd_put(struct samara_uffd *uffd);
/*
 * No thread waits for uffd from here on, and what was not read is dropped. None of its VMAs points
 * to it any more. Children that were not taken go onto closing, by fork.in: the caller closes them
 * too. No lock is held.
 */
void uffd_close(struct samara_uffd *uffd, struct list_head *closing);

/* Features that UFFDIO_API has turned on; 0 before it has. */
static inline unsigned int uffd_features(const struct samara_uffd *uffd)
{
	return smp_load_acquire(&uffd->features) & ~UFFD_READY;
}

/*
 * An event of a change to the map was not read yet: requests that change pages say -EAGAIN. Once
 * fills is held it does not become so.
 */
static inline bool uffd_changing(const struct samara_uffd *uffd)
{
	return smp_load_acquire(&uffd->changing);
}

/* faults (wait.c) ------------------------------------------------------------------ */

/*
 * A fault in vma at addr, which need not be on a page, is to wait; vma is held. why is
 * UFFD_PAGEFAULT_FLAG_*. Queues sleeper. The caller looks at the entry once more
 * (fault_uffd_waits()), drops vma and calls uffd_sleep(), or calls uffd_leave().
 */
void uffd_queue(struct vma *vma, unsigned long addr, unsigned int why,
		struct uffd_sleeper *sleeper);
/*
 * Off the lists, whether called or not. vma is still held. 0; -EAGAIN: an interruption has met it,
 * which its sender was told.
 */
int uffd_leave(struct uffd_sleeper *sleeper) __must_check;
/* 0: called, try again; -EAGAIN: interrupted. It is off the lists. No lock is held. */
int uffd_sleep(struct uffd_sleeper *sleeper) __must_check;
/*
 * NOWAIT: the handler is told, once. -EAGAIN or -ENOMEM (site "uffd_posts"). vma is held. The
 * caller looks at the entry once more as well: a post that comes behind its answer would keep the
 * handler from being told of the next fault there. Then it calls uffd_posts_drop().
 */
int uffd_post(struct vma *vma, unsigned long addr, unsigned int why);
/*
 * What posts at [start, end) were made for is over: a further access there is told. Called where a
 * page came, and where a mapping goes. uffd stays: a VMA that points there is held.
 */
void uffd_posts_drop(struct samara_uffd *uffd, unsigned long start, unsigned long end);
/* Sleepers at [start, end) go on, and posts there are dropped. The entries are changed. */
void uffd_wake(struct samara_uffd *uffd, unsigned long start, unsigned long end);
/*
 * Threads that sleep in mm go on with -EAGAIN: that with this number, or all for 0. How many. It
 * misses one that is about to sleep.
 */
unsigned long uffd_interrupt(struct samara_mm *mm, unsigned int tid);

/* messages (read.c) ---------------------------------------------------------------- */

/* Bytes; -EAGAIN: none, O_NONBLOCK; -EBADF: closed. nr is not 0. Sleeps. No lock is held. */
long uffd_read(struct samara_uffd *uffd, struct uffd_msg *msg, unsigned long nr);
/* The eventfd, made by the first call; -EMFILE, -ENFILE, -ENOMEM. */
int uffd_descriptor(struct samara_uffd *uffd);

/* events (event.c) ----------------------------------------------------------------- */

/*
 * Those that prepare add to the end of events. 0; -ENOMEM, and then they have added nothing:
 * memory, or too many events are unread. mmap_lock is held for writing, but for
 * uffd_remove_prepare().
 */

/* [start, end) leaves the map: an event for each userfaultfd of its VMAs that wants UNMAP. */
int uffd_unmap_prepare(struct uffd_events *events, struct samara_mm *mm, unsigned long start,
		       unsigned long end) __must_check;

struct uffd_remap {
	unsigned long from, to, len;
};
/* A part of vma moves. */
int uffd_remap_prepare(struct uffd_events *events, const struct vma *vma,
		       const struct uffd_remap *remap) __must_check;
/* Whether vma is registered, and stays so where it moves to. */
bool uffd_remap_told(const struct vma *vma);

/*
 * Pages [start, end) of vma are about to go: at once (0), or once the event was read (1). -ENOMEM.
 * mmap_lock is held for reading.
 */
int uffd_remove_prepare(struct uffd_events *events, const struct vma *vma, unsigned long start,
			unsigned long end) __must_check;

/* Puts those of from, which becomes empty, behind those of to. */
void uffd_events_move(struct uffd_events *to, struct uffd_events *from);
/*
 * The call failed: nothing is told. The mmap_lock has been held since they were prepared, or still
 * is: so the handles are open. A child has exited, and its userfaultfds are freed.
 */
void uffd_events_drop(struct uffd_events *events);
/*
 * One after the other; each is read before the next is queued, unless samara_uffd_events_wait() was
 * off when it was prepared. Children whose parent's userfaultfd is closed go onto closing
 * (uffd_close(); NULL: there is no FORK). No lock is held.
 */
void uffd_events_deliver(struct uffd_events *events, struct list_head *closing);

/* The next event, if there is one: it goes onto over. q.lock is held. */
bool uffd_event_take(struct samara_uffd *uffd, struct uffd_msg *msg, struct list_head *over);
/* Of uffd_close(): all that are queued go onto over. q.lock is held. */
void uffd_events_close(struct samara_uffd *uffd, struct list_head *closing, struct list_head *over);

/* fork (fork.c) -------------------------------------------------------------------- */

/*
 * copy, of vma, which is registered, gets the child's userfaultfd, or is not registered. forks are
 * the FORK events of this fork, one for each userfaultfd of the parent that wants them. Both
 * mmap_locks for writing. 0 or -ENOMEM; behind the child's exit uffd_events_drop() undoes all.
 */
int uffd_fork_vma(struct uffd_events *forks, struct vma *copy, const struct vma *vma) __must_check;
/* FORK_LIVE: walkers of the child's mm find its userfaultfds from here on. Both locks are held. */
void uffd_forks_join(const struct uffd_events *forks);
/* FORK is prepared: event.c's part. */
int uffd_fork_prepare(struct uffd_events *events, struct samara_uffd *uffd,
		      struct samara_uffd *child) __must_check;
/* FORK is read: the child's waits in uffd for uffd_fork_take(). Its number. q.lock is held. */
unsigned int uffd_fork_read(struct samara_uffd *uffd, struct samara_uffd *child);
/* The child's of that number, which is the caller's to close; or NULL. No lock is held. */
struct samara_uffd *uffd_fork_take(struct samara_uffd *uffd, unsigned int number) __must_check;

/* The mm ends, and has no VMA any more: threads that still sleep in it go on. */
void uffd_mm_exit(struct samara_mm *mm);

#endif
