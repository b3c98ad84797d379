/* SPDX-License-Identifier: MIT */
/*
 * The seam between an mm and what runs it. A unit is one CPU that remembers translations of the mm:
 * the built-in TLB of a struct samara_cpu (tlb.h) is the first implementation; a native process
 * into which frames are mapped, or the code of a JIT, is another.
 *
 *   miss   access/miss.h    walk, fault if need be, then ops->fill() under the leaf's lock
 *   flush  tlb_flush_*()    1. the numbers of the blocks rise (below)
 *                           2. ops->flush_range() or flush_all() of each unit of the mm
 *                           3. a full fence
 *                           4. ops->flush_wait() of each unit
 *   copy   tlb_replace()    the same, but one unit may exchange the page by ops->moved()
 *   young  tlb_young()      ops->young() of each unit
 *   exit   tlb_mm_exit()    a flush of everything, then ops->detached() of each unit
 *
 * What an implementation promises: when flush_wait() has returned, or flush_*() if there is no
 * flush_wait(), the unit uses nothing that was filled before the flush and lies in its range. A
 * fill cannot pass a flush: it is made under the lock of the leaf, and the entry was changed under
 * that lock before the flush began.
 *
 * Stale numbers: a translation that is handed out (access/backend.c) has the number that its block
 * of the address space had under the leaf's lock. A change of an entry raises it, if rights are
 * lost. So a translation whose number is still the same has lost nothing; where it differs,
 * another page of one of the blocks that share the number may be what has. They are kept from the
 * first question on, and then count as one more who is told (nr_told). That is set before the
 * asker takes the leaf's lock, so a later change of the entry finds it set.
 *
 * Locks: mm->watch.cpus_lock (RANK_TLB) protects the list of units, and changes of the numbers.
 * All ops but fill() are called with it held, so an implementation takes locks of a higher rank
 * only, and waits for no thread that may be waiting for a lock of the library. The caller of a
 * flush may hold any lock below RANK_TLB, a leaf's too.
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
	 * that bit. NULL: it never misses by access/miss.h.
	 */
	void (*fill)(struct tlb_unit *unit, unsigned long addr, pte_t pte);
	/*
	 * The page at addr of vma got another frame, with the same bytes; pte is its entry, under
	 * the leaf's lock. True: the unit has put the one in the place of the other in a step, and
	 * uses the old one no more. False, or NULL: it is flushed. All other units were.
	 */
	bool (*moved)(struct tlb_unit *unit, const struct vma *vma, unsigned long addr, pte_t pte);
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
/* The same of a unit that ran mm, which may have let go of it by now. mm is referenced. */
void tlb_unit_leave(struct tlb_unit *unit, struct samara_mm *mm);

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

/*
 * Several ranges that lose the same, in ascending order, with one wait for all of them:
 *
 *   struct tlb_batch batch = { .mm = mm, .lost = TLB_LOST_WRITE };
 *   tlb_batch_add(&batch, start, end) ...
 *   tlb_batch_flush(&batch)
 *
 * Ranges that meet are flushed as one. What was added is flushed when tlb_batch_flush() returns.
 */
struct tlb_batch {
	struct samara_mm *mm;
	enum tlb_lost lost;
	unsigned long start, end; /* not told yet; start >= end: nothing */
};
void tlb_batch_add(struct tlb_batch *batch, unsigned long start, unsigned long end);
void tlb_batch_flush(struct tlb_batch *batch);

/*
 * A copy has taken the place of the page at addr of vma, and pte, its entry, is set. When it
 * returns, no unit uses the old page. The leaf's lock is held, and was since the entry was the old
 * page's: so no unit uses the new page while another one uses the old.
 */
void tlb_replace(const struct vma *vma, unsigned long addr, pte_t pte);

/* Whether a unit used the page at addr since this was asked last. The leaf's lock is held. */
bool tlb_young(struct samara_mm *mm, unsigned long addr);

/* Whether a flush has something to tell. */
static inline bool tlb_mm_runs(const struct samara_mm *mm)
{
	return READ_ONCE(mm->watch.nr_told) != 0;
}

/* Translations of mm are asked for: numbers are kept from now on. No leaf's lock is held. */
void tlb_stale_keep(struct samara_mm *mm);

/* The number of addr's block; for a translation that is made, the leaf's lock is held. */
static inline unsigned long tlb_stale_now(const struct samara_mm *mm, unsigned long addr)
{
	return smp_load_acquire(&mm->watch.stale.at[(addr >> MM_STALE_SHIFT) % MM_STALE_PARTS]);
}

/* Flushes everything and takes all units off mm. The caller holds no lock of RANK_TLB or above. */
void tlb_mm_exit(struct samara_mm *mm);

#endif
