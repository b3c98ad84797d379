/* SPDX-License-Identifier: MIT */
/*
 * A VMA: one run of pages of an address space that share their flags and what
 * is behind them.
 *
 *            vm_start                       vm_end
 *   address     |------------ pages -----------|          [vm_start, vm_end)
 *   file     ...|------------------------------|...
 *            vm_pgoff (in pages)
 *
 * For private anonymous memory vm_pgoff is the page number that vm_start had
 * when the first page was written to: it tells which neighbours may be merged
 * and does not follow a move.
 *
 * Who protects a field:
 *   (i) does not change while the VMA is in a tree
 *   (m) written under mmap_lock held for writing; read under mmap_lock
 *   (w) mmap_lock for writing, or for reading where only "not yet" becomes "is"
 * Page faults that hold the VMA's own lock (vma_lock.h) see none of them change. Lookups under
 * RCU alone read nothing but vm_lock.refcnt.
 *
 * Invariants (vma/validate_mm.c checks them by these names)
 *   vma_range    vm_start < vm_end, whole pages, below the task size
 *   vma_mm       vm_mm is the mm in whose tree the VMA is
 *   vma_flags    each of VM_READ, VM_WRITE, VM_EXEC has its VM_MAY* bit, VM_SHARED has
 *                VM_MAYSHARE, VM_LOCKONFAULT has VM_LOCKED
 *   vma_anon     anon_vma exactly when rmap.anon_links > 0
 *   vma_behind   shared memory has a file
 *   vma_attached vm_lock.refcnt is not 0
 *   vma_uffd     rare.uffd exactly when one of VM_UFFD_FLAGS is set
 */
#ifndef CORE_VMA_H
#define CORE_VMA_H

#include <samara/mm.h>

#include "alloc/cache.h"
#include "base/compiler.h"

#define VM_READ SAMARA_VM_READ
#define VM_WRITE SAMARA_VM_WRITE
#define VM_EXEC SAMARA_VM_EXEC
#define VM_SHARED SAMARA_VM_SHARED
#define VM_MAYREAD SAMARA_VM_MAYREAD
#define VM_MAYWRITE SAMARA_VM_MAYWRITE
#define VM_MAYEXEC SAMARA_VM_MAYEXEC
#define VM_MAYSHARE SAMARA_VM_MAYSHARE
#define VM_GROWSDOWN SAMARA_VM_GROWSDOWN
#define VM_PFNMAP SAMARA_VM_PFNMAP
#define VM_MAYBE_GUARD SAMARA_VM_MAYBE_GUARD
#define VM_UFFD_MISSING SAMARA_VM_UFFD_MISSING
#define VM_UFFD_WP SAMARA_VM_UFFD_WP
#define VM_UFFD_MINOR SAMARA_VM_UFFD_MINOR
#define VM_LOCKED SAMARA_VM_LOCKED
#define VM_IO SAMARA_VM_IO
#define VM_SEQ_READ SAMARA_VM_SEQ_READ
#define VM_RAND_READ SAMARA_VM_RAND_READ
#define VM_DONTCOPY SAMARA_VM_DONTCOPY
#define VM_DONTEXPAND SAMARA_VM_DONTEXPAND
#define VM_LOCKONFAULT SAMARA_VM_LOCKONFAULT
#define VM_ACCOUNT SAMARA_VM_ACCOUNT
#define VM_NORESERVE SAMARA_VM_NORESERVE
#define VM_HUGETLB SAMARA_VM_HUGETLB
#define VM_SYNC SAMARA_VM_SYNC
#define VM_WIPEONFORK SAMARA_VM_WIPEONFORK
#define VM_DONTDUMP SAMARA_VM_DONTDUMP
#define VM_SOFTDIRTY SAMARA_VM_SOFTDIRTY
#define VM_MIXEDMAP SAMARA_VM_MIXEDMAP
#define VM_HUGEPAGE SAMARA_VM_HUGEPAGE
#define VM_NOHUGEPAGE SAMARA_VM_NOHUGEPAGE
#define VM_MERGEABLE SAMARA_VM_MERGEABLE
#define VM_DROPPABLE SAMARA_VM_DROPPABLE
#define VM_SEALED SAMARA_VM_SEALED

#define VM_ACCESS_FLAGS (VM_READ | VM_WRITE | VM_EXEC)
#define VM_MAY_ACCESS (VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)
#define VM_LOCKED_MASK (VM_LOCKED | VM_LOCKONFAULT)
/* Never merged: the driver or the kernel knows the mapping by its bounds. */
#define VM_SPECIAL (VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP)
/* Keeps nothing from merging, and what merges has it. */
#define VM_STICKY (VM_MAYBE_GUARD | VM_SOFTDIRTY)
/* What a userfaultfd wants to be told of a VMA: uffd/uffd.h. */
#define VM_UFFD_FLAGS (VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR)
/* From an access flag to its VM_MAY* bit. */
#define VM_MAY_SHIFT 4

/* A mapping of the kernel's own, [vdso] for example. Static storage. */
struct vma_special {
	const char *name;
	unsigned long vm_flags; /* besides the access flags */
};

struct anon_vma;
struct rmap_link;
struct samara_uffd;
struct uffd_event;

struct vma_rmap {
	struct rmap_link *links; /* (w) the families it is in: rmap/rmap.h */
	/* anon_vmas that may hold pages of this VMA: 0, 1, or one more with each fork above it */
	unsigned int anon_links; /* (w) */
};

/* What few VMAs have. */
struct vma_rare {
	const struct vma_special *special; /* (i) NULL: an ordinary mapping */
	struct samara_uffd *uffd;          /* (m) not counted (uffd/uffd.h); NULL: not registered */
};

/* vma_lock.h. A free VMA keeps both words as they are (vma.c). */
struct vma_lock {
	unsigned int refcnt; /* atomic; 0: detached, also in a free VMA */
	unsigned long seq;   /* (m), atomic; equal to the mm's: locked for writing */
};

struct vma {
	unsigned long vm_start, vm_end; /* (m) */
	unsigned long vm_pgoff;         /* (m) */
	unsigned long vm_flags;         /* (m), atomic: vma_set_flags() */
	struct samara_mm *vm_mm;        /* (i) */
	struct samara_file *vm_file;    /* (i) counted; NULL: anonymous or special */
	struct anon_vma *anon_vma;      /* (w) counted; NULL: no page was written to yet */
	unsigned char is_anon;          /* (i) private, and no file behind it */

	/* The second line. Faults of several threads write to vm_lock and read nothing else. */
	struct vma_rare rare;
	struct vma *dead_next; /* (m) the list of what is to leave, or has left, the tree */
	struct vma_rmap rmap;
	struct vma_lock vm_lock;
};

_Static_assert(sizeof(struct vma) <= 2 * CACHE_LINE, "two cache lines");
_Static_assert(offsetof(struct vma, rare) == CACHE_LINE, "what faults read");

/* What one call tells userfaultfds, in the order of delivery: uffd/uffd.h. Empty: first is NULL. */
struct uffd_events {
	struct uffd_event *first, *last;
};

/*
 * What a call leaves until mmap_lock is dropped: VMAs that have left the tree hold files, and their
 * userfaultfds are told.
 */
struct vma_dead {
	struct vma *first;
	struct uffd_events events;
};

static inline unsigned long vma_size(const struct vma *vma)
{
	return vma->vm_end - vma->vm_start;
}

/* vma, which is write-locked, gets other flags; walkers of reverse mappings look at them. */
static inline void vma_set_flags(struct vma *vma, unsigned long flags)
{
	WRITE_ONCE(vma->vm_flags, flags);
}

/* Fork gave this VMA pages of a parent: what an untouched mapping may not be merged into. */
static inline bool vma_is_fork_child(const struct vma *vma)
{
	return vma->rmap.anon_links > 1;
}

static inline bool vma_accessible(const struct vma *vma)
{
	return vma->vm_flags & VM_ACCESS_FLAGS;
}

static inline bool vma_sealed(const struct vma *vma)
{
	return vma->vm_flags & VM_SEALED;
}

/* Splitting it would break what the kernel expects of it. */
static inline bool vma_may_split(const struct vma *vma)
{
	return !vma->rare.special;
}

/* Private, and it is or may become writable: a write leaves a private copy of the page. */
static inline bool vm_is_cow(unsigned long flags)
{
	return (flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

/* Whether mlock means anything for it. */
static inline bool vm_lockable(unsigned long flags)
{
	return !(flags & (VM_SPECIAL | VM_HUGETLB | VM_DROPPABLE));
}

/* What /proc/PID/status counts a mapping as: executable, else stack, else data. */
static inline bool vm_is_exec(unsigned long flags)
{
	return (flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) == VM_EXEC;
}

static inline bool vm_is_stack(unsigned long flags)
{
	return flags & VM_GROWSDOWN;
}

static inline bool vm_is_data(unsigned long flags)
{
	return (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) == VM_WRITE;
}

/*
 * A VMA of mm, fields but vm_mm zero, detached and write-locked; NULL when refused. mm's
 * mmap_lock is held for writing, or no other thread knows the mm.
 */
struct vma *vma_alloc(struct samara_mm *mm) __must_check;
/* It holds nothing and is detached: lookups that still know it notice that (vma_lock.h). */
void vma_free(struct vma *vma);

void vma_set_range(struct vma *vma, unsigned long start, unsigned long end, unsigned long pgoff);

/* The special mapping of that name, or NULL. */
const struct vma_special *vma_special_find(const char *name);

#endif
