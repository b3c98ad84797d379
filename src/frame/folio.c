/* SPDX-License-Identifier: MIT */
/*
 * The folio lock: two bits of the state word.
 *
 *   LOCKED           held
 *   LOCKED, WAITED   held, and perhaps a thread sleeps for it
 *
 * A thread that has slept takes it with WAITED, because it cannot know whether it was
 * the only sleeper. The price is at most one wake-up that finds none. Sleepers wait on
 * the upper half of the word, where the flags are. The upper bits of maps are there
 * too: when they change, a thread that is about to sleep looks again.
 */
#include "base/futex.h"
#include "base/lock.h"
#include "frame/frame.h"

#define LOCKED ((uint64_t)FOLIO_LOCKED << FOLIO_FLAGS_SHIFT)
#define WAITED ((uint64_t)FOLIO_WAITED << FOLIO_FLAGS_SHIFT)
#ifndef FOLIO_SPINS
#define FOLIO_SPINS 200
#endif

#ifdef SAMARA_DEBUG
unsigned long folio_maps_max = FOLIO_MAPS_LIMIT;
#endif

static unsigned int *upper_half(struct folio *folio)
{
	return (unsigned int *)&folio->state + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

/* Whether it was free. */
static bool set_locked(struct folio *folio, uint64_t bits)
{
	return !(atomic_fetch_or_acquire(&folio->state, bits) & LOCKED);
}

static __noinline void lock_slow(struct folio *folio)
{
	for (int i = 0; i < FOLIO_SPINS; i++) {
		const uint64_t state = READ_ONCE(folio->state);

		if (state & WAITED)
			break;
		if (!(state & LOCKED) && set_locked(folio, LOCKED))
			return;
		cpu_relax();
	}
	for (;;) {
		uint64_t state = atomic_fetch_or_acquire(&folio->state, LOCKED | WAITED);

		if (!(state & LOCKED))
			return;
		state |= LOCKED | WAITED;
		futex_wait(upper_half(folio), (unsigned int)(state >> 32), FUTEX_ANYONE, NULL);
	}
}

static void lock(struct folio *folio)
{
	if (unlikely(!set_locked(folio, LOCKED)))
		lock_slow(folio);
}

void folio_lock(struct folio *folio)
{
	lock_rank_acquire(folio, RANK_FOLIO, false);
	lock(folio);
}

void folio_lock_nested(struct folio *folio)
{
	lock_rank_acquire(folio, RANK_FOLIO, true);
	lock(folio);
}

bool folio_trylock(struct folio *folio)
{
	if (!set_locked(folio, LOCKED))
		return false;
	lock_rank_try(folio, RANK_FOLIO);
	return true;
}

static uint64_t unlock(struct folio *folio)
{
	uint64_t old;

	lock_rank_release(folio);
	old = atomic_fetch_and_release(&folio->state, ~(LOCKED | WAITED));
	BUG_ON(!(old & LOCKED));
	if (unlikely(old & WAITED))
		futex_wake(upper_half(folio), 1, FUTEX_ANYONE);
	return old;
}

void folio_unlock(struct folio *folio)
{
	const uint64_t old = unlock(folio);

	VM_WARN_ON(old & (uint64_t)FOLIO_SWAPCACHE << FOLIO_FLAGS_SHIFT);
}

void folio_unlock_unseen(struct folio *folio)
{
	(void)unlock(folio);
}
