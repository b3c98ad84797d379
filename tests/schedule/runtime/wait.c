/* SPDX-License-Identifier: MIT */
/*
 * What threads sleep for: futex words, and readers of RCU.
 *
 * The model of RCU. A grace period ends when all sections that had begun before it are over, at any
 * time after that. Those sections happen before its end. What precedes its begin happens before
 * each section that begins later. Nothing else is ordered by either.
 */
#include "runtime.h"

#include <limits.h>

#include "base/schedule.h"

#define PLACE ((uintptr_t)__builtin_return_address(0))

/* futex words ------------------------------------------------------------- */

void schedule_futex_wait(unsigned int *word, unsigned int expected, int who,
			 const struct timespec *timeout)
{
	uint64_t found;

	yield_point((struct op){ OP_WAIT, sizeof(*word), 0, (uintptr_t)word, PLACE });
	if (!self)
		return;
	found = memory_newest((uintptr_t)word, sizeof(*word));
	event_value(found, 0);
	if (found != expected)
		return;
	if (choose(CHOICE_SPURIOUS, 2))
		return;
	self->sleep_bits = who;
	thread_block(timeout ? THREAD_NAPS : THREAD_SLEEPS);
}

/* The sleepers that a wake-up is for: a mask. */
static unsigned int sleepers_on(uintptr_t word, int who)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < thread_count; i++) {
		const struct thread *t = threads[i];

		if ((t->state == THREAD_SLEEPS || t->state == THREAD_NAPS) && t->op.addr == word &&
		    t->sleep_bits & who)
			found |= 1U << i;
	}
	return found;
}

void schedule_futex_wake(unsigned int *word, int how_many, int who)
{
	unsigned int found, woken = 0;

	yield_point((struct op){ OP_WAKE, sizeof(*word), 0, (uintptr_t)word, PLACE });
	while (woken < (unsigned int)how_many && (found = sleepers_on((uintptr_t)word, who))) {
		const unsigned int n = (unsigned int)__builtin_popcount(found);
		/* Not a choice if all are woken. */
		const bool all = n + woken <= (unsigned int)how_many;
		const unsigned int one = all ? 0 : choose(CHOICE_SLEEPER, n);

		threads[nth_bit(found, one)]->state = THREAD_READY;
		woken++;
	}
	event_value(woken, 0);
}

void schedule_relax(void)
{
	if (!self)
		return;
	self->relaxed = true;
	yield_point((struct op){ .kind = OP_RELAX, .place = PLACE });
	self->relaxed = false;
}

/* RCU --------------------------------------------------------------------- */

static char readers; /* the word that sections and grace periods meet on, in traces */
static struct clock grace_begins;

void schedule_rcu_read_lock(void)
{
	if (!self)
		return;
	if (self->rcu_depth) {
		self->rcu_depth++;
		return;
	}
	yield_point((struct op){ OP_RCU_LOCK, 1, 0, (uintptr_t)&readers, PLACE });
	self->rcu_depth = 1; /* the section begins when it is scheduled */
	self->rcu_section++;
	clock_join(&self->clock, &grace_begins);
}

void schedule_rcu_read_unlock(void)
{
	if (!self)
		return;
	if (!self->rcu_depth)
		fail(BROKEN, "rcu_read_unlock() outside a section at {0x%lx}", PLACE);
	if (self->rcu_depth > 1) {
		self->rcu_depth--;
		return;
	}
	yield_point((struct op){ OP_RCU_UNLOCK, 1, 0, (uintptr_t)&readers, PLACE });
	self->rcu_depth = 0;
	self->section_clock = self->clock;
	for (unsigned int i = 0; i < thread_count; i++) {
		struct thread *t = threads[i];

		if (t->grace_section[self->id] != self->rcu_section)
			continue;
		t->grace_section[self->id] = 0;
		clock_join(&t->grace_clock, &self->clock);
	}
	clock_tick(self);
}

bool schedule_rcu_read_held(void)
{
	return self && self->rcu_depth;
}

bool grace_is_over(const struct thread *t)
{
	for (unsigned int i = 0; i < thread_count; i++) {
		if (t->grace_section[i])
			return false;
	}
	return true;
}

void schedule_rcu_synchronize(void)
{
	if (!self)
		return;
	if (self->rcu_depth)
		fail(DEADLOCK, "%s waits for its own section at {0x%lx}", self->name, PLACE);
	yield_point((struct op){ OP_RCU_WAIT, 1, 0, (uintptr_t)&readers, PLACE });
	clock_join(&grace_begins, &self->clock);
	clock_tick(self);
	for (unsigned int i = 0; i < thread_count; i++) {
		const struct thread *t = threads[i];

		clock_join(&self->grace_clock, &t->section_clock);
		self->grace_section[i] = t->rcu_depth ? t->rcu_section : 0;
	}
	if (!is_only_thread())
		thread_block(THREAD_IN_GRACE);
	clock_join(&self->clock, &self->grace_clock);
}
