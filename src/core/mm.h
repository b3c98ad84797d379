/* SPDX-License-Identifier: MIT */
/*
 * An address space, and the machine it belongs to.
 *
 *   machine --- store (files, commit budget)
 *      ^
 *      |
 *     mm --- mt (tree) ---> vma [..) vma [..) vma [..)
 *             index..last   each under vm_start..vm_end-1
 *
 * Who protects a field:
 *   (i) set when the mm is made
 *   (m) mmap_lock: a writer of the field holds it for writing, a reader in either mode
 *   (a) atomic
 *
 * State: MM_BUILDING -> MM_LIVE -> MM_DYING. A walker that comes to an mm from outside (through a
 * reverse mapping, or the list of all mms: mms.h) asks mm_gate_open() before it looks at VMAs or
 * tables. An mm that is being built is open only to walkers that remove pages for good: otherwise
 * the new mm would keep what truncation drops. A dying mm is closed to both. A walker that puts
 * back what it has taken out itself (migration) enters in every state: a fork may have copied its
 * entries into an mm that is being built, and a dying mm may not have zapped them yet. The OOM
 * reaper enters a dying mm beside its exit, until that has given all pages back (MM_OOM_SKIP).
 *
 * Invariants (vma/validate_mm.c checks them by these names)
 *   tree        the range tree's own
 *   place       each VMA is stored under exactly its range
 *   writer      the path that the writer remembers is in the tree
 *   map_count, total_vm, locked_vm, data_vm, exec_vm, stack_vm, accounted
 *               equal what the VMAs add up to (locked_vm: with locked_astray)
 */
#ifndef CORE_MM_H
#define CORE_MM_H

#include <samara/maple_tree.h>
#include <samara/mm.h>

#include "base/atomic.h"
#include "base/gate.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/refcount.h"
#include "core/geometry.h"
#include "core/late_reads.h"
#include "core/mm_stale.h"
#include "core/mm_uffds.h"
#include "core/table_budget.h"
#include "core/vma.h"
#include "maple/writer.h"

struct file_store;
struct ram;
struct samara_notifier;
struct table;
struct tlb_unit;

/* All mms of a machine: mms.h. */
struct mm_list {
	struct samara_spinlock lock; /* RANK_MMS */
	struct list_head head;       /* lock; samara_mm.life.all */
};

/* What samara_set_oom() set: reclaim/oom.c. */
struct oom_state {
	struct samara_spinlock lock;                        /* RANK_MMS, never with mms.lock */
	void (*kill)(struct samara_mm *victim, void *priv); /* lock; NULL: no victims */
	void *priv;                                         /* lock */
	bool choosing;                                      /* lock: a thread chooses a victim */
};

struct samara_machine {
	struct samara_geometry geo;  /* (i) */
	unsigned int flags;          /* (i) enum samara_machine_flags */
	unsigned long max_map_count; /* (i) */
	struct file_store *store;    /* (i) counted */
	struct call_gate *gate;      /* (i) the store's */
	struct ram *ram;             /* (i) its frames; the store's */
	refcount_t refs;             /* the creator, each mm and each pinned page */
	struct mm_list mms;
	struct oom_state oom;
	struct late_reads late;
	struct table_budget tables; /* mmu/table.h */
	/* (i) The last reference is gone. No lock is held. */
	void (*release)(struct samara_machine *machine);
};

static inline void machine_get(struct samara_machine *machine, unsigned long n)
{
	refcount_add(n, &machine->refs);
}

/* n references less; the last one frees the machine, unless a file still needs its frames. */
static inline void machine_put(struct samara_machine *machine, unsigned long n)
{
	if (refcount_sub_and_test(n, &machine->refs))
		machine->release(machine);
}

enum mm_rlimit { MM_RLIMIT_AS, MM_RLIMIT_DATA, MM_RLIMIT_STACK, MM_RLIMIT_MEMLOCK, MM_RLIMITS };

/* Places that execve(2) decides; all (m). */
struct mm_layout {
	unsigned int flags; /* enum samara_layout_flags */
	unsigned long mmap_base, legacy_base;
	unsigned long task_size;
	unsigned long start_code, end_code;
	unsigned long start_data, end_data;
	unsigned long start_brk, brk;
	unsigned long start_stack;
};

/* In pages; all (m). */
struct mm_counters {
	unsigned long total_vm;
	unsigned long locked_vm;
	unsigned long data_vm;
	unsigned long exec_vm;
	unsigned long stack_vm;
	unsigned long accounted; /* of the machine's commit budget */
	unsigned long map_count; /* VMAs */
	unsigned long copied;    /* by the fork that made it, because they were pinned */
	/* Pages in locked_vm that no VMA stands for: Linux miscounts some (mlock.c, move.c). */
	unsigned long locked_astray;
};

enum mm_state { MM_BUILDING, MM_LIVE, MM_DYING };

/* struct mm_life.oom; a bit that is set stays set. */
enum mm_oom {
	MM_OOM_VICTIM = 1 << 0, /* chosen, and its owner was told */
	MM_UNSTABLE = 1 << 1,   /* private pages may be missing: SIGBUS where nothing is mapped */
	MM_OOM_SKIP = 1 << 2,   /* nothing more is taken from it: the next victim is another one */
};

/*
 * Pages by what is behind them, as /proc/PID/status has them (RssFile, RssAnon, VmSwap,
 * RssShmem).
 */
enum mm_rss { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES, MM_RSS };

/* How lookups without the mmap_lock went, named as in Linux's /proc/vmstat (vma_lock_*). */
enum vma_lock_stat {
	VMA_LOCK_SUCCESS,  /* a fault was made: also the machine's pgfault (access/fault_door.h) */
	VMA_LOCK_NO_FAULT, /* nor was one needed, or it may not be made, or has to wait */
	VMA_LOCK_ABORT, /* the VMA was being changed, or could not be used without the mmap_lock */
	VMA_LOCK_RETRY, /* the fault itself asked for the mmap_lock */
	VMA_LOCK_MISS,  /* what was found was no longer what was looked for */
	VMA_LOCK_STATS
};

/*
 * Counters that page faults of several threads change: each thread has its shard, the sum counts.
 */
#define MM_SHARDS 4
struct mm_shard {
	long rss[MM_RSS];                        /* (a) */
	unsigned long lock_stat[VMA_LOCK_STATS]; /* (a) */
	unsigned long changing[2];               /* (a) open pairs, by phase: mmu/notifier.h */
	char apart[CACHE_LINE];
};

/* The page table. */
struct mm_tables {
	struct table *pgd; /* (a) NULL until the first page; then it stays */
	unsigned long nr;  /* (a) the root included */
	struct samara_spinlock anon_lock; /* RANK_PAGE_TABLE; first families: rmap/rmap.h */
};

/* What is told of changes to the page table, and of faults. */
struct mm_watch {
	struct tlb_unit *cpus;                 /* cpus_lock; those that run this mm */
	unsigned int nr_told;                  /* cpus_lock; of cpus, and 1 for stale.kept */
	unsigned int cpus_young;               /* cpus_lock; how many have tlb_ops.young */
	struct samara_spinlock cpus_lock;      /* RANK_TLB */
	struct samara_notifier *notifiers;     /* notifiers_lock; walked inside a pair */
	unsigned long notifier_seq;            /* (a) changed under notifiers_lock */
	struct samara_spinlock notifiers_lock; /* RANK_NOTIFIERS */
	struct mm_stale stale;
	struct mm_uffds uffds;
	char apart[CACHE_LINE];
};

struct mm_life {
	enum mm_state state;  /* (a) */
	unsigned int oom;     /* (a) enum mm_oom */
	refcount_t refs;      /* its owner, and walkers of all mms */
	struct list_head all; /* the machine's mms.lock */
};

struct mmap_lock {
	struct rwsem sem;  /* RANK_MMAP */
	unsigned long seq; /* (a) writers (m); each unlock adds 1: vma_lock.h */
};

/* What setrlimit(2), mlockall(2) and the embedder set; all (m). */
struct mm_limits {
	unsigned long def_flags;        /* of new memory: mm_set_def_flags() */
	unsigned long rlim[MM_RLIMITS]; /* bytes */
	unsigned long rlim_max[MM_RLIMITS];
	unsigned int caps; /* enum samara_caps */
	int oom_score_adj; /* -1000 to 1000; also read without the lock, of a live mm */
	enum samara_touch_policy touch;
	char apart[CACHE_LINE];
};

/*
 * Page faults read what comes before the mmap_lock. Calls that change the map write what comes
 * behind it, on other cache lines. Both use mmap_lock.seq.
 */
struct samara_mm {
	struct maple_tree mt;              /* writers (m); readers (m) or RCU */
	struct samara_machine *machine;    /* (i) counted */
	const struct samara_geometry *geo; /* (i) the machine's */
	struct mm_tables tables;
	struct mm_life life;
	struct mm_watch watch;

	struct mmap_lock mmap_lock;
	struct maple_writer writer; /* (m) makes all changes to mt; remembers the last path */
	struct mm_counters count;
	struct mm_layout layout;
	struct mm_limits limits;

	struct mm_shard shard[MM_SHARDS];
};

#define MM_TREE_FLAGS (MT_FLAGS_ALLOC_RANGE | MT_FLAGS_LOCK_EXTERN | MT_FLAGS_USE_RCU)

/* May the calling thread make a call on mm now? 0, -ESRCH, -EDEADLK: base/gate.h. */
static inline __must_check int mm_call(const struct samara_mm *mm)
{
	return gate_check(mm->machine->gate);
}

static inline bool mm_is_foreign(const struct samara_mm *mm)
{
	return gate_is_foreign(mm->machine->gate);
}

static inline void mmap_write_lock(struct samara_mm *mm)
{
	down_write(&mm->mmap_lock.sem);
}
/* Every VMA that was write-locked meanwhile is unlocked by this one addition. */
static inline void vma_end_write_all(struct samara_mm *mm)
{
	smp_store_release(&mm->mmap_lock.seq, mm->mmap_lock.seq + 1);
}
static inline void mmap_write_unlock(struct samara_mm *mm)
{
	vma_end_write_all(mm);
	up_write(&mm->mmap_lock.sem);
}
static inline void mmap_write_downgrade(struct samara_mm *mm)
{
	vma_end_write_all(mm);
	downgrade_write(&mm->mmap_lock.sem);
}
static inline void mmap_read_lock(struct samara_mm *mm)
{
	down_read(&mm->mmap_lock.sem);
}
static inline void mmap_read_unlock(struct samara_mm *mm)
{
	up_read(&mm->mmap_lock.sem);
}

static inline void mmap_assert_write_locked(struct samara_mm *mm)
{
	rwsem_assert_held_write(&mm->mmap_lock.sem);
}

static inline unsigned long mm_page_size(const struct samara_mm *mm)
{
	return geo_page_size(mm->geo);
}

static inline unsigned long mm_page_mask(const struct samara_mm *mm)
{
	return geo_page_mask(mm->geo);
}

static inline unsigned long mm_page_align(const struct samara_mm *mm, unsigned long x)
{
	return geo_page_align(mm->geo, x);
}

/* Bytes to pages, rounded down. */
static inline unsigned long mm_pages(const struct samara_mm *mm, unsigned long bytes)
{
	return bytes >> mm->geo->page_shift;
}

/* The page at addr of what is behind vma: of its file or its family. */
static inline unsigned long vma_pgoff_at(const struct vma *vma, unsigned long addr)
{
	return vma->vm_pgoff + mm_pages(vma->vm_mm, addr - vma->vm_start);
}

static inline bool mm_page_aligned(const struct samara_mm *mm, unsigned long x)
{
	return !(x & ~mm_page_mask(mm));
}

/*
 * What a guest names by an address and a length. Every length of a guest passes through
 * mm_span(); each call says what it answers for each kind.
 */
enum span {
	SPAN_PAGES,  /* some pages, the last of which has an address */
	SPAN_EMPTY,  /* length 0 */
	SPAN_ROUNDS, /* the length has no whole number of pages: it rounds up to 0 */
	SPAN_WRAPS,  /* it ends beyond the last address */
};

/* *end: start and the pages of len, modulo 2^64. start is a page's. */
static inline enum span mm_span(const struct samara_mm *mm, unsigned long start, unsigned long len,
				unsigned long *end)
{
	const unsigned long size = mm_page_align(mm, len);

	*end = start + size;
	if (!size)
		return len ? SPAN_ROUNDS : SPAN_EMPTY;
	return *end > start ? SPAN_PAGES : SPAN_WRAPS;
}

/* An entry keeps its uffd-wp bit in a VMA that has no VM_UFFD_WP: enum uffd_bits. */
static inline void mm_uffd_bits_stale(struct samara_mm *mm)
{
	WRITE_ONCE(mm->watch.uffds.bits, UFFD_BITS_STALE);
}

/* Whether a page was ever asked for. Once it is so it stays so, until the mm dies. */
static inline bool mm_has_tables(const struct samara_mm *mm)
{
	return smp_load_acquire(&mm->tables.pgd);
}

/* What a walker from outside wants. */
enum mm_gate {
	MM_GATE_LOOK,    /* to look, or to move pages elsewhere: live ones only */
	MM_GATE_REMOVE,  /* to remove pages for good: also from one that is being built */
	MM_GATE_RESTORE, /* to put back what the walker took out: always */
	MM_GATE_REAP,    /* to take private pages away: also from one that dies, if it has some */
};

static inline unsigned int mm_oom(const struct samara_mm *mm)
{
	return smp_load_acquire(&mm->life.oom);
}

/* Ordered by the lock under which a page was taken away, or the mmap_lock for writing. */
static inline bool mm_pages_lost(const struct samara_mm *mm)
{
	return READ_ONCE(mm->life.oom) & MM_UNSTABLE;
}

/* Set for good. What was done to the mm before is seen by a thread that finds the bits set. */
static inline void mm_oom_set(struct samara_mm *mm, unsigned int bits)
{
	atomic_fetch_or_acq_rel(&mm->life.oom, bits);
}

static inline bool mm_gate_open(const struct samara_mm *mm, enum mm_gate gate)
{
	const enum mm_state state = smp_load_acquire(&mm->life.state);

	if (gate == MM_GATE_REAP)
		return state != MM_BUILDING && !(mm_oom(mm) & MM_OOM_SKIP);
	return gate == MM_GATE_RESTORE || state == MM_LIVE ||
	       (state == MM_BUILDING && gate == MM_GATE_REMOVE);
}

/* The calling thread's counters. */
struct mm_shard *mm_shard(struct samara_mm *mm);

static inline void mm_rss_add(struct samara_mm *mm, enum mm_rss which, long pages)
{
	atomic_add(&mm_shard(mm)->rss[which], pages);
}

static inline void mm_lock_count(struct samara_mm *mm, enum vma_lock_stat which)
{
	atomic_inc(&mm_shard(mm)->lock_stat[which]);
}

long mm_rss_sum(const struct samara_mm *mm, enum mm_rss which);
unsigned long mm_lock_stat_sum(const struct samara_mm *mm, enum vma_lock_stat which);

static inline bool mm_capable(const struct samara_mm *mm, unsigned int cap)
{
	return mm->limits.caps & cap;
}

static inline bool mm_has_thp(const struct samara_mm *mm)
{
	return !(mm->machine->flags & SAMARA_MACHINE_NO_THP);
}

/* Whether reading untouched anonymous memory maps the zero frame. */
static inline bool mm_has_zero_page(const struct samara_mm *mm)
{
	return !(mm->machine->flags & SAMARA_MACHINE_NO_ZERO_PAGE);
}

/* Whether pages say that they were written to: range/soft_dirty.c. */
static inline bool mm_soft_dirty(const struct samara_mm *mm)
{
	return mm->machine->flags & SAMARA_MACHINE_SOFT_DIRTY;
}

/*
 * A write to a page of vma whose entry is not soft-dirty has to be noticed. Where it is not so, the
 * whole of vma counts as written to, or nothing does.
 */
static inline bool vma_soft_dirty_enabled(const struct vma *vma)
{
	return !(READ_ONCE(vma->vm_flags) & VM_SOFTDIRTY) && mm_soft_dirty(vma->vm_mm);
}

/* locked: VM_LOCKED_MASK of mlockall(MCL_FUTURE), or 0. mmap_lock for writing. */
static inline void mm_set_def_flags(struct samara_mm *mm, unsigned long locked)
{
	mm->limits.def_flags = locked | (mm_soft_dirty(mm) ? VM_SOFTDIRTY : 0);
}

/* Whether addr lies in the vsyscall page, and there is one. */
static inline bool mm_is_gate(const struct samara_mm *mm, unsigned long addr)
{
	return addr >= mm->geo->gate_start && addr < mm->geo->gate_end &&
	       !(mm->machine->flags & SAMARA_MACHINE_NO_GATE);
}

/* At the limit that vm.max_map_count sets on splitting. */
static inline bool mm_map_full(const struct samara_mm *mm)
{
	return mm->count.map_count >= mm->machine->max_map_count;
}

/* An empty mm with Linux's default limits. The reference to machine is the caller's to take. */
struct samara_mm *mm_alloc(struct samara_machine *machine) __must_check;
/* Limits, capabilities, layout, whether events are waited for: as in from. */
void mm_inherit(struct samara_mm *mm, const struct samara_mm *from);
/*
 * No VMA may be left; the machine's reference is the caller's to drop. An mm that has joined the
 * machine's list goes by mm_put().
 */
void mm_free(struct samara_mm *mm);

#endif
