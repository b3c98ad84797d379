/* SPDX-License-Identifier: MIT */
/*
 * The public doors of <samara/cpu.h> that need nothing above this floor: making
 * a CPU, letting it run an mm, giving it up. samara_cpu_miss() is access/'s.
 */
#include <errno.h>

#include "alloc/mem.h"
#include "base/gate.h"
#include "base/lock.h"
#include "mmu/tlb.h"

static DEFINE_ALLOC_SITE(cpu_site, "cpu");

static struct samara_spinlock all_lock; /* RANK_TLB_OWNER */
static struct samara_cpu *all_cpus;

/*
 * fork(2). The parent's frames are not in the child, so no lookup may hit there. A CPU itself is
 * memory like any other: the child may give it up, or run an mm of its own with it.
 */
static void before_fork(void)
{
	spin_acquire(&all_lock);
}

static void after_fork(void)
{
	spin_release(&all_lock);
}

static void in_child(void)
{
	for (struct samara_cpu *cpu = all_cpus; cpu; cpu = cpu->next_of_all)
		tlb_forget(cpu);
	spin_release(&all_lock);
}

static struct fork_hook fork_hook = {
	.order = FORK_ROOMS,
	.prepare = before_fork,
	.parent = after_fork,
	.child = in_child,
};

static void link_to_all(struct samara_cpu *cpu)
{
	fork_hook_add(&fork_hook);
	spin_lock(&all_lock, RANK_TLB_OWNER);
	cpu->next_of_all = all_cpus;
	if (all_cpus)
		all_cpus->prev_of_all = cpu;
	all_cpus = cpu;
	spin_unlock(&all_lock);
}

static void unlink_from_all(struct samara_cpu *cpu)
{
	spin_lock(&all_lock, RANK_TLB_OWNER);
	if (cpu->prev_of_all)
		cpu->prev_of_all->next_of_all = cpu->next_of_all;
	else
		all_cpus = cpu->next_of_all;
	if (cpu->next_of_all)
		cpu->next_of_all->prev_of_all = cpu->prev_of_all;
	spin_unlock(&all_lock);
}

int samara_cpu_create(struct samara_machine *machine, struct samara_cpu **out)
{
	const int refused = gate_check(machine->gate);
	struct soft_tlb *soft;
	struct samara_cpu *cpu;
	void *memory;

	if (refused)
		return refused;
	memory = mem_zalloc(&cpu_site, sizeof(*soft) + CACHE_LINE);
	if (!memory)
		return -ENOMEM;
	soft = (struct soft_tlb *)ALIGN_UP((uintptr_t)memory, CACHE_LINE);
	soft->unit.ops = &soft_tlb_ops;
	soft->memory = memory;
	cpu = &soft->cpu;
	cpu->page_shift = machine->geo.page_shift;
	cpu->page_mask = geo_page_mask(&machine->geo);
	for (unsigned int i = 0; i < SAMARA_TLB_ENTRIES; i++) {
		for (int kind = 0; kind < SAMARA_ACCESS_KINDS; kind++)
			cpu->tlb[i].page[kind] = SAMARA_TLB_NONE;
	}
	link_to_all(cpu);
	*out = cpu;
	return 0;
}

void samara_cpu_destroy(struct samara_cpu *cpu)
{
	if (!cpu)
		return;
	tlb_switch(cpu, NULL);
	unlink_from_all(cpu);
	mem_free(&cpu_site, container_of(cpu, struct soft_tlb, cpu)->memory);
}

void samara_cpu_run(struct samara_cpu *cpu, struct samara_mm *mm)
{
	if (!mm || !gate_is_foreign(mm->machine->gate))
		tlb_switch(cpu, mm);
}
