/* SPDX-License-Identifier: MIT */
/*
 * The TLB of each struct samara_cpu (<samara/cpu.h> has the entry and the inline lookup): the first
 * implementation of a unit (tlb_unit.h).
 *
 * A TLB really goes stale: it keeps the frame and rights of a page until it is flushed, even when
 * the entry in the page table has changed. So each change that takes something away (unmapping,
 * clearing the write bit or the dirty bit) is followed by a flush before the frame is used for
 * another purpose.
 *
 * A flush invalidates the entries in each CPU that runs the mm. Then it waits for each CPU that is
 * inside a section (samara_cpu_enter .. _exit). When it returns, no CPU can use what was flushed.
 * A CPU inside a section takes no lock, so the flushing thread may hold any lock up to RANK_TLB.
 * It must not be in a section itself.
 *
 *   CPU (its own thread)                   flush (any thread)
 *     inside += 1   (a)                      page[] = NONE
 *     page[] == address ?  (l) use it         fence  (f)
 *     inside += 1   release (b)              inside += 0  (c)   odd: wait for (b)
 *
 * Ordering, in C11's terms
 *  1. (a), (f), (c) and (l) are sequentially consistent, so they have one order, which agrees
 *     with that of the changes of `inside`. If (c) comes before (a), then so does (f), and (l)
 *     comes after it: (l) finds NONE or something newer. If (a) comes before (c), (c) reads what
 *     (a) wrote or something newer: either it is odd, and the flush waits, or (b) has been. This
 *     holds for each section by itself. It does not rest on (a) reading what (c) wrote: the plain
 *     store (b) of the section before may lie between the two. On x86 it costs the CPU nothing.
 *  2. What a section did is seen by the flush that waited for its end, or found it over: (b)
 *     releases; the load that ends the wait, and (c), acquire. They read (b) or a later value: of
 *     (a), a read-modify-write operation on (b)'s, or of a later (b) by the same thread.
 *  3. A CPU fills its TLB with the leaf's lock held and outside its section. The flush sees a fill
 *     that came before the change of the entry, through that lock. A fill after the change takes
 *     the new entry. The flush also sees through that lock which CPUs run the mm: a CPU attaches
 *     before it fills.
 *  4. Two pages of different leaves that share a slot can be filled and flushed at the same time.
 *     The flush stores only NONE, and only the CPU itself writes addend. So the worst result is a
 *     lookup that misses.
 *
 * Locks: mm->watch.cpus_lock (RANK_TLB) protects the list of CPUs. A flush holds it while it waits,
 * so that no CPU leaves the list. A CPU that leaves an mm waits for flushes of that mm.
 *
 * The end: samara_mm_exit() first calls tlb_mm_exit(), which waits for sections and takes all CPUs
 * off the mm. Nothing of that mm has to be flushed after that (GATHER_FULLMM).
 */
#ifndef MMU_TLB_H
#define MMU_TLB_H

#include <samara/cpu.h>

#include "mmu/tlb_unit.h"

/* Each struct samara_cpu is part of one. */
struct soft_tlb {
	struct tlb_unit unit;
	void *memory;         /* what mem_alloc() gave */
	struct list_head all; /* of the process; cpu.c's lock */
	struct samara_cpu cpu __aligned(CACHE_LINE); /* so that no TLB entry lies in two lines */
};
extern const struct tlb_ops soft_tlb_ops;

static inline struct tlb_unit *cpu_unit(struct samara_cpu *cpu)
{
	return &container_of(cpu, struct soft_tlb, cpu)->unit;
}

/*
 * Remember pte, the entry of addr, for the accesses that it allows. The leaf's lock is held; cpu
 * runs mm and is outside its section. A write is allowed only if the entry is dirty already,
 * because later stores do not set the bit.
 */
void tlb_fill(struct samara_cpu *cpu, struct samara_mm *mm, unsigned long addr, pte_t pte);

/* cpu runs mm from now on (NULL: none), for the calling thread, and is outside its section. */
void tlb_switch(struct samara_cpu *cpu, struct samara_mm *mm);

/* In a forked child: cpu remembers nothing and is outside its section. */
void tlb_forget(struct samara_cpu *cpu);

#endif
