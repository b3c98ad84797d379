/* SPDX-License-Identifier: MIT */
/*
 * The public doors of <samara/cpu.h> that need nothing above this floor: making
 * a CPU, letting it run an mm, giving it up. samara_cpu_miss() is access/'s.
 */
#include <errno.h>

#include "base/mem.h"
#include "mmu/tlb.h"

static DEFINE_ALLOC_SITE(cpu_site, "cpu");

int samara_cpu_create(struct samara_machine *machine, struct samara_cpu **out)
{
	const size_t size = sizeof(struct samara_cpu);
	void *memory = mem_zalloc(&cpu_site, size + CACHE_LINE);
	struct samara_cpu *cpu;

	if (!memory)
		return -ENOMEM;
	/* So that no TLB entry lies in two cache lines. */
	cpu = (struct samara_cpu *)ALIGN_UP((uintptr_t)memory, CACHE_LINE);
	cpu->memory = memory;
	cpu->page_shift = machine->geo.page_shift;
	cpu->page_mask = geo_page_mask(&machine->geo);
	for (unsigned int i = 0; i < SAMARA_TLB_ENTRIES; i++) {
		for (int kind = 0; kind < SAMARA_ACCESS_KINDS; kind++)
			cpu->tlb[i].page[kind] = SAMARA_TLB_NONE;
	}
	*out = cpu;
	return 0;
}

void samara_cpu_destroy(struct samara_cpu *cpu)
{
	if (!cpu)
		return;
	tlb_switch(cpu, NULL);
	mem_free(&cpu_site, cpu->memory);
}

void samara_cpu_run(struct samara_cpu *cpu, struct samara_mm *mm)
{
	tlb_switch(cpu, mm);
}
