/* SPDX-License-Identifier: MIT */
/*
 * The seam between an mm and what runs it. A unit is one CPU that remembers translations of the mm:
 * the built-in TLB of a struct samara_cpu (tlb.h) is the first implementation; a native process
 * into which frames are mapped, or the code of a JIT, is another.
 *
 *   miss   access/miss.h    walk, fault if need be, then ops->fill() under the leaf's lock
 *   flush  tlb_flush_*()    1. ops->flush_range() or flush_all() of each unit of the mm
 *                           2. a full fence
 *                           3. ops->flush_wait() of each unit
 *   young  tlb_young()      ops->young() of each unit
 *   exit   tlb_mm_exit()    a flush of everything, then ops->detached() of each unit
 *
 * What an implementation promises: when flush_wait() has returned, or flush_*() if there is no
 * flush_wait(), the unit uses nothing that was filled before the flush and lies in its range. A
 * fill cannot pass a flush: it is made under the lock of the leaf, and the entry was changed under
 * that lock before the flush began.
 *
 * Locks: mm->watch.cpus_lock (RANK_TLB) protects the list of units. Flushes, young() and detached()
 * are called with it held, so an implementation takes locks of a higher rank only, and waits for no
 * thread that may be waiting for a lock of the library. The caller of a flush may hold any lock
 * below RANK_TLB, a leaf's too.
 */
#ifndef MMU_TLB_UNIT_H
#define MMU_TLB_UNIT_H

#include "core/mm.h"
#include "mmu/pte.h"

struct tlb_unit;

/* What pages have lost. */
enum tlb_lost {
	TLB_LOST_USE, /* no right, but the accessed bit: the next access is to be seen, if it can */
	TLB_LOST_WRITE, /* a write has to fault from now on */
	TLB_LOST_ALL,   /* each access has to: another frame may be there */
};

struct tlb_ops {
	/*
	 * Remember pte, the entry of addr, for the accesses that it allows. The leaf's lock is
	 * held. A write is allowed only if the entry is dirty, because later stores do not set
	 * that bit.
	 */
	void (*fill)(struct tlb_unit *unit, unsigned long addr, pte_t pte);
	/*
	 * Begin to forget the pages of [start, last], as far as they have lost rights; start is on
	 * a page. Does not wait.
	 */
	void (*flush_range)(struct tlb_unit *unit, unsigned long start, unsigned long last,
			    enum tlb_lost lost);
	/* The same for all pages. */
	void (*flush_all)(struct tlb_unit *unit, enum tlb_lost lost);
	/* Wait until what was to be forgotten cannot be used any more. NULL: no need to. */
	void (*flush_wait)(struct tlb_unit *unit);
	/*
	 * Whether it used the page at addr since it was asked last, other than by a walk, which
	 * sets the accessed bit. The leaf's lock is held. NULL: it cannot tell, as the TLBs of x86.
	 */
	bool (*young)(struct tlb_unit *unit, unsigned long addr);
	/* The mm ends and has let go of the unit; all was flushed. NULL: it need not know. */
	void (*detached)(struct tlb_unit *unit);
};

struct tlb_unit {
	const struct tlb_ops *ops;
	struct samara_mm *mm;  /* that it runs; NULL: none */
	struct tlb_unit *next; /* of the same mm; cpus_lock */
};

/* unit, which runs nothing and remembers nothing, runs mm from now on. */
void tlb_unit_attach(struct tlb_unit *unit, struct samara_mm *mm);
/*
 * It runs nothing from now on, and no flush reaches it. The caller lets it forget what it
 * remembers. Waits for flushes of the mm that are under way.
 */
void tlb_unit_detach(struct tlb_unit *unit);

static inline void tlb_unit_fill(struct tlb_unit *unit, unsigned long addr, pte_t pte)
{
	unit->ops->fill(unit, addr, pte);
}

/*
 * When it returns, no unit uses what the former entries of [start, end) allowed and the present
 * ones do not, which is at most what lost says. end 0 is the top of the address space.
 */
void tlb_flush_range(struct samara_mm *mm, unsigned long start, unsigned long end,
		     enum tlb_lost lost);
void tlb_flush_mm(struct samara_mm *mm, enum tlb_lost lost);

/* Whether a unit used the page at addr since this was asked last. The leaf's lock is held. */
bool tlb_young(struct samara_mm *mm, unsigned long addr);

static inline bool tlb_mm_runs(const struct samara_mm *mm)
{
	return READ_ONCE(mm->watch.cpus) != NULL;
}

/* Flushes everything and takes all units off mm. The caller holds no lock of RANK_TLB or above. */
void tlb_mm_exit(struct samara_mm *mm);

#endif
