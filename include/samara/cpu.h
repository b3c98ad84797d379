/* SPDX-License-Identifier: MIT */
/*
 * A CPU that runs an address space: its TLB, and the inline lookup that an
 * emulator does for each load and store of its guest.
 *
 *     samara_cpu_enter(cpu);
 *     p = samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_READ);     // about a nanosecond when it hits
 *     if (!p)
 *             p = samara_cpu_miss(cpu, addr, SAMARA_ACCESS_READ, &fault);   // walks, faults in, fills the TLB
 *     if (p)
 *             value = *(uint32_t *)p;                           // up to the end of the page
 *     samara_cpu_exit(cpu);
 *
 * A pointer is valid until samara_cpu_exit() or the next samara_cpu_miss(), which leaves the
 * section and enters it again. In between every call on the machine gives -EDEADLK (<samara/mm.h>),
 * and no lock may be waited for: a call that takes memory away waits until the CPU has left.
 *
 * An aligned load or store of 1, 2, 4 or 8 bytes through the pointer is whole against every other access to the
 * memory, as far as the host makes it by one instruction (in C: volatile, or atomic). The library's own calls tear
 * no such word either (samara_read()).
 *
 * A CPU belongs to the thread that called samara_cpu_run() for it last; another thread takes it over by
 * calling it again, while the first does nothing with it. Any number of CPUs may run one mm.
 *
 * samara_mm_exit() waits for sections and takes the mm's CPUs off it, so that they run nothing. No other
 * call with them may be under way meanwhile.
 */
#ifndef SAMARA_CPU_H
#define SAMARA_CPU_H

#include <samara/types.h>

SAMARA_BEGIN_DECLS

struct samara_machine;
struct samara_mm;
struct samara_fault;

enum samara_access { SAMARA_ACCESS_READ, SAMARA_ACCESS_WRITE, SAMARA_ACCESS_EXEC, SAMARA_ACCESS_KINDS };

#define SAMARA_TLB_BITS 8
#define SAMARA_TLB_ENTRIES (1u << SAMARA_TLB_BITS)

/*
 * One page. page[kind] is the page's address when that access is allowed, else
 * SAMARA_TLB_NONE, which is no page's address. host = address + addend.
 */
struct samara_tlb_entry {
	unsigned long page[SAMARA_ACCESS_KINDS];
	unsigned long addend;
};
#define SAMARA_TLB_NONE (~0UL)

/* All of it is the library's; the counters may be read. */
struct samara_cpu {
	unsigned long inside;    /* odd while in a section; only the CPU's thread changes it */
	unsigned long page_mask; /* of the mm that runs, or ran last */
	unsigned int page_shift;
	struct samara_mm *mm;    /* NULL: none */
	const void *thread;      /* whose it is */
	struct samara_cpu *next_of_thread;
	unsigned long misses;    /* calls of samara_cpu_miss() */
	unsigned long hits_lost; /* pages that had to make room for another in the TLB */
	unsigned long flushes;   /* times that a range, or everything, was dropped */
	struct samara_tlb_entry tlb[SAMARA_TLB_ENTRIES] __attribute__((aligned(32)));
};

/* 0 or -ENOMEM. The CPU runs nothing yet. */
SAMARA_API SAMARA_MUST_CHECK int samara_cpu_create(struct samara_machine *machine, struct samara_cpu **out);
/* Outside a section. NULL is allowed. */
SAMARA_API void samara_cpu_destroy(struct samara_cpu *cpu);
/*
 * cpu runs mm from now on, and belongs to the calling thread; NULL: it runs nothing. Outside a section. What the TLB
 * holds is dropped, unless cpu runs that mm already.
 */
SAMARA_API void samara_cpu_run(struct samara_cpu *cpu, struct samara_mm *mm);

static inline void samara_cpu_enter(struct samara_cpu *cpu)
{
	/*
	 * A thread that drops an entry modifies the same word afterwards (by adding 0). Either it finds the word odd
	 * and waits, or the lookups behind this find the entry dropped: this, that addition and the load of the lookup
	 * are in the one order of sequentially consistent operations.
	 */
	__atomic_fetch_add(&cpu->inside, 1, __ATOMIC_SEQ_CST);
}

static inline void samara_cpu_exit(struct samara_cpu *cpu)
{
	const unsigned long inside = __atomic_load_n(&cpu->inside, __ATOMIC_RELAXED);

	__atomic_store_n(&cpu->inside, inside + 1, __ATOMIC_RELEASE);
}

/* Where addr is, or NULL: not known to the TLB, or not allowed. Inside a section. */
static inline void *samara_cpu_lookup(const struct samara_cpu *cpu, unsigned long addr, enum samara_access access)
{
	const struct samara_tlb_entry *e = &cpu->tlb[(addr >> cpu->page_shift) & (SAMARA_TLB_ENTRIES - 1)];

	if (__builtin_expect(__atomic_load_n(&e->page[access], __ATOMIC_SEQ_CST) != (addr & cpu->page_mask), 0))
		return NULL;
	return (void *)(addr + __atomic_load_n(&e->addend, __ATOMIC_RELAXED));
}

/*
 * The same after a walk of the page tables and, if need be, a page fault. Leaves the section meanwhile and is
 * inside again when it returns. NULL: *fault says what signal the kernel would send, or signo 0 and
 * code -ENOMEM when memory ran out. access is one of SAMARA_ACCESS_*, or that | SAMARA_NOWAIT
 * (<samara/access.h>): then it does not sleep, and gives signo 0 and code -EAGAIN instead; so does
 * an access that is interrupted (samara_uffd_interrupt()).
 */
SAMARA_API void *samara_cpu_miss(struct samara_cpu *cpu, unsigned long addr, unsigned int access,
				 struct samara_fault *fault);

SAMARA_END_DECLS

#endif
