/* SPDX-License-Identifier: MIT */
/*
 * The public doors of <samara/cpu.h> that need nothing above this floor: making a CPU, letting it
 * run an mm, freeing it. samara_cpu_miss() is access/'s.
 */
#include <errno.h>

#include "alloc/mem.h"
#include "base/gate.h"
#include "base/lock.h"
#include "mmu/tlb.h"

static DEFINE_ALLOC_SITE(cpu_site, "cpu");

static struct samara_spinlock all_lock; /* RANK_TLB_OWNER */
static LIST_HEAD(all_cpus);             /* soft_tlb.all */

/*
 * fork(2). The parent's frames are not in the child, so no lookup may hit there. A CPU itself is
 * memory like any other: the child may free it, or run an mm of its own with it.
 */
static void in_child(void)
{
	struct soft_tlb *soft;

	list_for_each_entry(soft, &all_cpus, all)
		tlb_forget(&soft->cpu);
}

static struct fork_hook fork_hook = {
	.order = FORK_ROOMS,
	.lock = &all_lock,
	.child = in_child,
};

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
	fork_hook_add(&fork_hook);
	spin_lock(&all_lock, RANK_TLB_OWNER);
	list_add_tail(&soft->all, &all_cpus);
	spin_unlock(&all_lock);
	*out = cpu;
	return 0;
}

void samara_cpu_destroy(struct samara_cpu *cpu)
{
	struct soft_tlb *soft;

	if (!cpu)
		return;
	tlb_switch(cpu, NULL);
	soft = container_of(cpu, struct soft_tlb, cpu);
	spin_lock(&all_lock, RANK_TLB_OWNER);
	list_del(&soft->all);
	spin_unlock(&all_lock);
	mem_free(&cpu_site, soft->memory);
}

void samara_cpu_run(struct samara_cpu *cpu, struct samara_mm *mm)
{
	if (!mm || !gate_is_foreign(mm->machine->gate))
		tlb_switch(cpu, mm);
}
