/* SPDX-License-Identifier: MIT */
/*
 * What CPUs remember of page tables: the TLB of each struct samara_cpu
 * (<samara/cpu.h> has the entry and the inline lookup), and flushing.
 *
 * A TLB really goes stale: it keeps the frame and rights of a page until it is
 * flushed, whatever has become of the entry in the page table. So each change that
 * takes something away (unmapping, taking the write bit or the dirty bit)
 * is followed by a flush before the frame is used otherwise.
 *
 * Flushing: the entries are invalidated in each CPU that runs the mm, and then
 * each of them that is inside a section (samara_cpu_enter .. _exit) is waited for:
 * when the flush returns no CPU can still use what was flushed. A CPU inside a section takes no
 * lock, so whoever flushes may hold any up to RANK_TLB; but not be in a section himself.
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
 *  2. What a section did is seen by whoever waited for its end, or found it over (b, c).
 *  3. Filling happens with the leaf's lock held and outside the section. A fill that came before
 *     the change of the entry is seen by the flush, through that lock; one after it takes the
 *     new entry. Whether anybody runs the mm at all is seen so too: a CPU attaches before it
 *     fills.
 *  4. Two pages of different leaves that share a slot can be filled and flushed at once. The
 *     flush stores nothing but NONE, and addend is its CPU's alone, so the worst is a lookup
 *     that misses.
 *
 * Locks: mm->cpus_lock (RANK_TLB) for the list of CPUs. It is held while a flush waits, which
 * keeps them from going; so leaving an mm waits for flushes of it.
 *
 * The end: samara_mm_exit() calls tlb_mm_exit() before anything else, which waits for sections and
 * takes all CPUs off the mm. From then on nothing of that mm has to be flushed (GATHER_FULLMM).
 */
#ifndef MMU_TLB_H
#define MMU_TLB_H

#include <samara/cpu.h>

#include "core/mm.h"
#include "mmu/pte.h"

/*
 * No CPU can use any more what the entries of the pages of [start, end) were. end 0 is the top
 * of the address space.
 */
void tlb_flush_range(struct samara_mm *mm, unsigned long start, unsigned long end);
void tlb_flush_mm(struct samara_mm *mm);

static inline bool tlb_mm_runs(const struct samara_mm *mm)
{
	return READ_ONCE(mm->cpus) != NULL;
}

/*
 * Remember pte, which serves addr, for the accesses that it allows; the leaf's lock is held, cpu
 * runs mm and is outside its section. A write is allowed only if the entry is dirty already: no
 * later store is seen by anybody.
 */
void tlb_fill(struct samara_cpu *cpu, struct samara_mm *mm, unsigned long addr, pte_t pte);

/* cpu runs mm from now on (NULL: none), for the calling thread, and is outside its section. */
void tlb_switch(struct samara_cpu *cpu, struct samara_mm *mm);

/* No CPU runs mm any more; sections have been waited for. No lock of RANK_TLB or above is held. */
void tlb_mm_exit(struct samara_mm *mm);

#endif
