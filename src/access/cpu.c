/* SPDX-License-Identifier: MIT */
/*
 * What the inline lookup of <samara/cpu.h> cannot answer: the walk, the fault, and the TLB filled.
 *
 * The CPU leaves its section meanwhile, since a thread that holds a leaf's lock may wait for the
 * section to end. Another thread may flush between the filling and the next section. Then the
 * lookup finds nothing, and all is done once more.
 */
#include <errno.h>
#include <signal.h>

#include "access/miss.h"
#include "access/page_access.h"
#include "mmu/tlb.h"

int tlb_unit_miss(struct tlb_unit *unit, unsigned long addr, unsigned int how,
		  struct samara_fault *fault)
{
	struct access_at at;

	if (!access_begin(unit->mm, addr, how & ACCESS_KIND, &at))
		return access_fault(unit->mm, addr, how, fault);
	tlb_unit_fill(unit, addr, at.pte);
	access_end(&at);
	return 0;
}

_Static_assert((unsigned int)SAMARA_NOWAIT == FAULT_NOWAIT, "one bit for both");

void *samara_cpu_miss(struct samara_cpu *cpu, unsigned long addr, unsigned int access,
		      struct samara_fault *fault)
{
	const enum samara_access kind = access & ACCESS_KIND;
	struct samara_fault ignored;
	void *host = NULL;
	int err = 0;

	if (!fault)
		fault = &ignored;
	*fault = (struct samara_fault){ 0 };
	cpu->misses++;
	if (!cpu->mm) {
		*fault = (struct samara_fault){ .addr = addr,
						.signo = SIGSEGV,
						.code = SEGV_MAPERR };
		return NULL;
	}
	if (mm_is_foreign(cpu->mm)) {
		*fault = (struct samara_fault){ .addr = addr, .code = -ESRCH };
		return NULL;
	}
	while (!host && !err) {
		samara_cpu_exit(cpu);
		err = tlb_unit_miss(cpu_unit(cpu), addr, access & (ACCESS_KIND | FAULT_NOWAIT),
				    fault);
		samara_cpu_enter(cpu);
		if (!err)
			host = samara_cpu_lookup(cpu, addr, kind);
	}
	return host;
}
