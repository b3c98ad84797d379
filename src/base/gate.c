/* SPDX-License-Identifier: MIT */
/* See gate.h. */
#include "base/gate.h"

#include "base/lock.h"

__thread bool gate_runs_cpus;

int gate_init(struct call_gate *gate)
{
	return fork_mark(&gate->process);
}

static struct gate_list *list_of(struct call_gate *gate, const void *thread)
{
	/* Thread-local storage lies a stack apart: the low bits are mostly the same. */
	return &gate->list[((uintptr_t)thread * 0x9e3779b97f4a7c15UL >> 32) % GATE_LISTS];
}

int gate_check_sections(struct call_gate *gate)
{
	struct gate_list *list = list_of(gate, &gate_runs_cpus);
	const struct samara_cpu *cpu;

	spin_lock(&list->lock, RANK_TLB_OWNER);
	cpu = list->first;
	/* The caller's own word, which no other thread writes. */
	while (cpu && (cpu->thread != &gate_runs_cpus || !(READ_ONCE(cpu->inside) & 1)))
		cpu = cpu->next_of_thread;
	spin_unlock(&list->lock);
	return cpu ? -EDEADLK : 0;
}

void gate_add_cpu(struct call_gate *gate, struct samara_cpu *cpu)
{
	struct gate_list *list = list_of(gate, &gate_runs_cpus);

	gate_runs_cpus = true;
	WRITE_ONCE(cpu->thread, &gate_runs_cpus);
	spin_lock(&list->lock, RANK_TLB_OWNER);
	cpu->next_of_thread = list->first;
	list->first = cpu;
	spin_unlock(&list->lock);
}

void gate_remove_cpu(struct call_gate *gate, struct samara_cpu *cpu)
{
	struct gate_list *list = list_of(gate, cpu->thread);
	struct samara_cpu **at = &list->first;

	spin_lock(&list->lock, RANK_TLB_OWNER);
	while (*at != cpu)
		at = &(*at)->next_of_thread;
	*at = cpu->next_of_thread;
	spin_unlock(&list->lock);
}
