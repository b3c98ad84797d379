/* SPDX-License-Identifier: MIT */
/*
 * The TLB of each struct samara_cpu (<samara/cpu.h> has the entry and the inline lookup), and
 * flushing.
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
 *     inside += 1   (a)                      entry changed, its table's lock held
 *     page[] == address ?  use it            page[] = NONE
 *     inside += 1   release (b)              inside += 0  (c)   odd: wait for (b)
 *
 * Ordering, on any machine:
 *  1. (a) and (c) both modify `inside`, so one comes first. If (a) does, (c) reads an odd
 *     value and waits. If (c) does, (a) reads what (c) or an operation after it left
 *     (acquire), so the lookups behind (a) find NONE. No fence is needed for that.
 *  2. A flush that waited for a section's end, or found it over, sees all that the section did
 *     (b, c).
 *  3. A CPU fills its TLB with the leaf's lock held and outside its section. The flush sees a fill
 *     that came before the change of the entry, through that lock. A fill after the change takes
 *     the new entry. The flush also sees through that lock which CPUs run the mm: a CPU attaches
 *     before it fills.
 *  4. Two pages of different leaves that share a slot can be filled and flushed at the same time.
 *     The flush stores only NONE, and only the CPU itself writes addend. So the worst result is a
 *     lookup that misses.
 *
 * Locks: mm->cpus_lock (RANK_TLB) protects the list of CPUs. A flush holds it while it waits, so
 * that no CPU leaves the list. A CPU that leaves an mm waits for flushes of that mm.
 *
 * The end: samara_mm_exit() first calls tlb_mm_exit(), which waits for sections and takes all CPUs
 * off the mm. Nothing of that mm has to be flushed after that (GATHER_FULLMM).
 */
#ifndef MMU_TLB_H
#define MMU_TLB_H

#include <samara/cpu.h>

#include "core/mm.h"
#include "mmu/pte.h"

/*
 * When it returns, no CPU uses the former entries of [start, end). end 0 is the top of the
 * address space.
 */
void tlb_flush_range(struct samara_mm *mm, unsigned long start, unsigned long end);
void tlb_flush_mm(struct samara_mm *mm);

static inline bool tlb_mm_runs(const struct samara_mm *mm)
{
	return READ_ONCE(mm->cpus) != NULL;
}

/*
 * Remember pte, the entry of addr, for the accesses that it allows. The leaf's lock is held; cpu
 * runs mm and is outside its section. A write is allowed only if the entry is dirty already,
 * because later stores do not set the bit.
 */
void tlb_fill(struct samara_cpu *cpu, struct samara_mm *mm, unsigned long addr, pte_t pte);

/* cpu runs mm from now on (NULL: none), for the calling thread, and is outside its section. */
void tlb_switch(struct samara_cpu *cpu, struct samara_mm *mm);

/*
 * Takes all CPUs off mm, and waits for their sections. The caller holds no lock of RANK_TLB or
 * above.
 */
void tlb_mm_exit(struct samara_mm *mm);

#endif
