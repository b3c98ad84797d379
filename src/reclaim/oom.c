/* SPDX-License-Identifier: MIT */
/*
 * Out of memory: whose memory is taken.
 *
 *   oom_make_room()
 *     one thread chooses; the others wait until it has, and try their access again
 *     a frame is free by now      try again
 *     an mm is on its way out     until MM_OOM_SKIP: then its memory is free, or stuck
 *     a victim                    MM_OOM_VICTIM, ops->kill(), oom_reap(), MM_OOM_SKIP
 *     none                        -ENOMEM
 *
 *   live --chosen--> VICTIM ---reaped, or its owner was faster--> VICTIM | SKIP
 *   live --------samara_mm_exit()------> dying ----pages freed----> dying | SKIP
 *
 * No two threads choose at once, so an mm is chosen once. kill() runs when the choice is over: it
 * may take any time, and wait for threads that are in here: when these have waited for its victim
 * for OOM_PATIENCE looks, they reap it themselves. So each call that returns true has seen another
 * thread choose, a free frame, or one more mm with MM_OOM_SKIP.
 */
#include <errno.h>
#include <limits.h>

#include "base/nap.h"
#include "core/mms.h"
#include "frame/vm_event.h"
#include "reclaim/reclaim.h"
#include "store/file.h"

/* Looks (base/nap.h): some milliseconds, and, as Linux's reaper tries, a second. */
#define OOM_PATIENCE (LOOKS_SPUN + 20UL)
#define OOM_REAP_TRIES (LOOKS_SPUN + 10000UL)

#ifdef SAMARA_DEBUG
unsigned long oom_reap_tries = OOM_REAP_TRIES;
#else
#define oom_reap_tries OOM_REAP_TRIES
#endif

#define ADJ_NEVER (-1000)

/* RAM and swap, in pages. */
static long all_pages(const struct samara_machine *machine)
{
	return (long)ram_view(machine->ram)->nr_frames - 1 + READ_ONCE(machine->store->swap.total);
}

/*
 * Pages that the end of mm gives back, as Linux's oom_badness() counts them. Linux rounds
 * total / 1000 down first; machines here may have less than 1000 pages.
 */
static long badness(const struct samara_mm *mm, long total)
{
	const long adj = READ_ONCE(mm->limits.oom_score_adj);
	long points = (long)READ_ONCE(mm->tables.nr);

	if (adj == ADJ_NEVER)
		return LONG_MIN;
	for (enum mm_rss i = 0; i < MM_RSS; i++)
		points += mm_rss_sum(mm, i);
	return points + adj * total / 1000;
}

/* The mm with most points, of several the youngest; or *leaving, one whose memory is coming. */
static struct samara_mm *choose(struct samara_machine *machine, struct samara_mm **leaving)
{
	const long total = all_pages(machine);
	struct samara_mm *mm, *victim = NULL;
	long most = LONG_MIN;

	for_each_mm(machine, mm)
	{
		long points;

		if (!mm_gate_open(mm, MM_GATE_REAP))
			continue;
		if (!mm_gate_open(mm, MM_GATE_LOOK) || (mm_oom(mm) & MM_OOM_VICTIM)) {
			*leaving = mm;
			break;
		}
		points = badness(mm, total);
		if (points == LONG_MIN || points < most)
			continue;
		if (victim)
			mm_put(victim);
		mm_get(mm);
		victim = mm;
		most = points;
	}
	if (victim && *leaving) {
		mm_put(victim);
		victim = NULL;
	}
	if (victim)
		mm_oom_set(victim, MM_OOM_VICTIM);
	return victim;
}

/* False: another thread chooses. */
static bool choose_begin(struct oom_state *oom)
{
	bool begun;

	spin_lock(&oom->lock, RANK_MMS);
	begun = !oom->choosing;
	oom->choosing = true;
	spin_unlock(&oom->lock);
	return begun;
}

static void choose_end(struct oom_state *oom)
{
	spin_lock(&oom->lock, RANK_MMS);
	oom->choosing = false;
	spin_unlock(&oom->lock);
}

static bool is_choosing(struct oom_state *oom)
{
	bool choosing;

	spin_lock(&oom->lock, RANK_MMS);
	choosing = oom->choosing;
	spin_unlock(&oom->lock);
	return choosing;
}

static struct oom_state ops_of(struct oom_state *oom)
{
	struct oom_state ops = { .kill = NULL };

	spin_lock(&oom->lock, RANK_MMS);
	ops.kill = oom->kill;
	ops.priv = oom->priv;
	spin_unlock(&oom->lock);
	return ops;
}

/*
 * Others may have freed frames since the caller found none: that is no reason for a victim. Those
 * that the caller itself has given back were not enough.
 */
static bool a_frame_is_free(struct ram *ram)
{
	const unsigned long refused = frames_refused;
	struct folio *folio;

	if (ram_free_frames(ram) <= frames_returned)
		return false;
	folio = folio_alloc(ram, 0, FOLIO_RAW);
	/* This is not a frame that the caller's operation lacked. */
	frames_refused = refused;
	if (!folio)
		return false;
	folio_put(ram, folio);
	return true;
}

/* mm's private memory is free, or it is passed by from now on: its lock could not be had. */
static void reap(struct samara_mm *mm)
{
	for (unsigned long look = 0; look < oom_reap_tries && oom_reap(mm); look++)
		nap_between_looks(look);
	mm_oom_set(mm, MM_OOM_SKIP);
}

/* Another thread is about to free the memory of mm. */
static void wait_for(struct samara_mm *mm)
{
	for (unsigned long look = 0; look < OOM_PATIENCE; look++) {
		if (mm_oom(mm) & MM_OOM_SKIP)
			return;
		nap_between_looks(look);
	}
	reap(mm);
}

bool oom_make_room(struct samara_machine *machine)
{
	struct oom_state *oom = &machine->oom;
	const struct oom_state ops = ops_of(oom);
	struct samara_mm *victim = NULL, *leaving = NULL;
	bool room;

	VM_WARN_ON(lock_rank_holds_any());
	/* No victim gives back frames that are sure to lie together. */
	if (!ops.kill || frames_returned >= FRAMES_NO_BLOCK)
		return false;
	if (!choose_begin(oom)) {
		for (unsigned long look = 0; is_choosing(oom); look++)
			nap_between_looks(look);
		return true;
	}
	room = a_frame_is_free(machine->ram);
	if (!room)
		victim = choose(machine, &leaving);
	choose_end(oom);
	if (leaving) {
		wait_for(leaving);
		mm_put(leaving);
	} else if (victim) {
		vm_event_add(machine->ram, OOM_KILL, 1);
		ops.kill(victim, ops.priv);
		reap(victim);
		mm_put(victim);
	}
	return room || leaving || victim;
}
