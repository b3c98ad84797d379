/* SPDX-License-Identifier: MIT */
/*
 * Whether the calling thread may make a call on a machine now. Each public call that takes a
 * machine, an mm or a file asks first:
 *
 *   -ESRCH    the machine belongs to another process: this one is a fork(2) of it. The frames are
 *             not mapped here, and locks may be held by threads that do not exist here. In
 *             <samara/uffd.h> it has a second cause.
 *   -EDEADLK  the calling thread is inside a section of one of the machine's CPUs
 *             (samara_cpu_enter()). A flush waits for that section to end, and the call could wait
 *             for that flush, or for a lock that is held meanwhile.
 *
 * A call without a result does nothing in another process. Inside a section it goes on, and does
 * not wait for the caller's own section (mmu/tlb.c).
 *
 * The CPUs that run an mm of the machine are in lists by their thread, so that a thread finds its
 * own. Only threads that have ever run a CPU look.
 *
 * Locks: each list's, RANK_TLB_OWNER, a leaf.
 */
#ifndef BASE_GATE_H
#define BASE_GATE_H

#include <errno.h>

#include <samara/cpu.h>

#include "base/compiler.h"
#include "base/fork.h"

#define GATE_LISTS 16

struct gate_list {
	struct samara_spinlock lock;
	struct samara_cpu *first; /* linked by next_of_thread */
	char apart[CACHE_LINE - 2 * sizeof(void *)];
};

struct call_gate {
	unsigned long process; /* fork_mark() of the process that it belongs to */
	struct gate_list list[GATE_LISTS];
};

/*
 * Set once the thread has run a CPU: every call asks for that, and not for the thread's number
 * (this_thread.h). Its address tells threads apart (struct samara_cpu.thread); a
 * later thread with the same address takes over a dead one's CPUs, which are outside sections.
 */
extern __thread bool gate_runs_cpus __attribute__((tls_model("initial-exec")));

/* For the calling process. 0 or -ENOMEM. */
int gate_init(struct call_gate *gate) __must_check;

int gate_check_sections(struct call_gate *gate) __must_check;

/* The machine belongs to a process of which this one is a fork(2). */
static inline bool gate_is_foreign(const struct call_gate *gate)
{
	return unlikely(!fork_mark_is_own(gate->process));
}

static inline __must_check int gate_check(struct call_gate *gate)
{
	if (gate_is_foreign(gate))
		return -ESRCH;
	return unlikely(gate_runs_cpus) ? gate_check_sections(gate) : 0;
}

/* cpu, which is in no list, runs an mm for the calling thread; or does so no longer. */
void gate_add_cpu(struct call_gate *gate, struct samara_cpu *cpu);
void gate_remove_cpu(struct call_gate *gate, struct samara_cpu *cpu);

#endif
