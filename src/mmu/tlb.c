/* SPDX-License-Identifier: MIT */
/*
 * Filling and flushing of TLBs. tlb.h says why it is right and which locks are held.
 */
#include "mmu/tlb.h"

#include "base/gate.h"
#include "base/lock.h"
#include "base/nap.h"
#include "frame/frame.h"

static struct samara_tlb_entry *slot_of(struct samara_cpu *cpu, unsigned long addr)
{
	return &cpu->tlb[(addr >> cpu->page_shift) & (SAMARA_TLB_ENTRIES - 1)];
}

/* Only entries of pages in [start, last]: the slot may hold another page by now. */
static void slot_drop(struct samara_tlb_entry *e, unsigned long start, unsigned long last)
{
	for (int kind = 0; kind < SAMARA_ACCESS_KINDS; kind++) {
		const unsigned long page = READ_ONCE(e->page[kind]);

		if (page >= start && page <= last && page != SAMARA_TLB_NONE)
			WRITE_ONCE(e->page[kind], SAMARA_TLB_NONE);
	}
}

/* start is on a page. */
static void cpu_drop(struct samara_cpu *cpu, unsigned long start, unsigned long last)
{
	const unsigned long more = (last - start) >> cpu->page_shift;

	if (more < SAMARA_TLB_ENTRIES) {
		for (unsigned long i = 0; i <= more; i++)
			slot_drop(slot_of(cpu, start + (i << cpu->page_shift)), start, last);
	} else {
		for (unsigned int i = 0; i < SAMARA_TLB_ENTRIES; i++)
			slot_drop(&cpu->tlb[i], start, last);
	}
	atomic_inc(&cpu->flushes);
}

/* The CPU's entries were dropped. Wait until it has left the section that it is in, if any. */
static void cpu_wait(struct samara_cpu *cpu)
{
	const unsigned long seen = atomic_fetch_add_seq_cst(&cpu->inside, 0);

	if (!(seen & 1))
		return;
	/* This thread would wait for itself. Calls with a result were refused (base/gate.h). */
	if (READ_ONCE(cpu->thread) == &gate_runs_cpus) {
		VM_WARN_ON(true);
		return;
	}
	for (unsigned long round = 0; smp_load_acquire(&cpu->inside) == seen; round++)
		nap_between_looks(round);
}

void tlb_fill(struct samara_cpu *cpu, struct samara_mm *mm, unsigned long addr, pte_t pte)
{
	const unsigned long page = addr & cpu->page_mask;
	struct samara_tlb_entry *e = slot_of(cpu, addr);
	const bool usable = pte_accessible(pte);
	const char *host = pfn_to_virt(mm->machine->ram, pte_pfn(pte));

	VM_WARN_ON((READ_ONCE(cpu->inside) & 1) || cpu->mm != mm);
	for (int kind = 0; kind < SAMARA_ACCESS_KINDS; kind++) {
		const unsigned long old = READ_ONCE(e->page[kind]);

		if (old != SAMARA_TLB_NONE && old != page) {
			cpu->hits_lost++;
			break;
		}
	}
	WRITE_ONCE(e->addend, (unsigned long)host - page);
	WRITE_ONCE(e->page[SAMARA_ACCESS_READ], usable ? page : SAMARA_TLB_NONE);
	WRITE_ONCE(e->page[SAMARA_ACCESS_WRITE],
		   usable && pte_write(pte) && pte_dirty(pte) ? page : SAMARA_TLB_NONE);
	WRITE_ONCE(e->page[SAMARA_ACCESS_EXEC], usable && pte_exec(pte) ? page : SAMARA_TLB_NONE);
}

static void detach(struct samara_cpu *cpu, struct samara_mm *mm)
{
	tlb_unit_detach(cpu_unit(cpu));
	gate_remove_cpu(mm->machine->gate, cpu);
	cpu_drop(cpu, 0, ~0UL);
}

static void attach(struct samara_cpu *cpu, struct samara_mm *mm)
{
	cpu->page_shift = mm->geo->page_shift;
	cpu->page_mask = mm_page_mask(mm);
	gate_add_cpu(mm->machine->gate, cpu);
	tlb_unit_attach(cpu_unit(cpu), mm);
}

void tlb_switch(struct samara_cpu *cpu, struct samara_mm *mm)
{
	BUG_ON(READ_ONCE(cpu->inside) & 1);
	if (cpu->mm && mm_is_foreign(cpu->mm)) {
		/* Its lists are the parent's. */
		cpu->mm = NULL;
		cpu_unit(cpu)->mm = NULL;
	}
	if (cpu->mm == mm) {
		if (mm && cpu->thread != &gate_runs_cpus) {
			gate_remove_cpu(mm->machine->gate, cpu);
			gate_add_cpu(mm->machine->gate, cpu);
		}
		return;
	}
	if (cpu->mm)
		detach(cpu, cpu->mm);
	if (mm)
		attach(cpu, mm);
	cpu->mm = mm;
}

void tlb_forget(struct samara_cpu *cpu)
{
	cpu_drop(cpu, 0, ~0UL);
	cpu->inside = 0;
}

/* as a unit ---------------------------------------------------------------------- */

static struct samara_cpu *cpu_of(struct tlb_unit *unit)
{
	return &container_of(unit, struct soft_tlb, unit)->cpu;
}

static void unit_fill(struct tlb_unit *unit, unsigned long addr, pte_t pte)
{
	tlb_fill(cpu_of(unit), unit->mm, addr, pte);
}

/* Whatever was lost, the next access looks at the entry. */
static void unit_flush_range(struct tlb_unit *unit, unsigned long start, unsigned long last,
			     enum tlb_lost lost)
{
	(void)lost;
	cpu_drop(cpu_of(unit), start, last);
}

static void unit_flush_all(struct tlb_unit *unit, enum tlb_lost lost)
{
	(void)lost;
	cpu_drop(cpu_of(unit), 0, ~0UL);
}

static void unit_flush_wait(struct tlb_unit *unit)
{
	cpu_wait(cpu_of(unit));
}

static void unit_detached(struct tlb_unit *unit)
{
	struct samara_cpu *cpu = cpu_of(unit);

	gate_remove_cpu(cpu->mm->machine->gate, cpu);
	cpu->mm = NULL;
}

const struct tlb_ops soft_tlb_ops = {
	.fill = unit_fill,
	.flush_range = unit_flush_range,
	.flush_all = unit_flush_all,
	.flush_wait = unit_flush_wait,
	.detached = unit_detached,
};
