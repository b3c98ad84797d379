/* SPDX-License-Identifier: MIT */
/*
 * Allocating and freeing folios. Single frames come from and go to a shard, a
 * stack of free frames that is one of eight, chosen by the calling thread's
 * number; the buddy is asked for 64 at a time. So two threads rarely meet, and as a
 * shard belongs to the ram, not to the thread, nothing is left to do when either ends.
 *
 *   shard.first --> frame --> frame --> frame --> 0        next links, kind FRAME_CACHED
 *
 * Before an allocation says that there is no frame, all shards are given back
 * to the buddy, where their frames can also become larger blocks again.
 *
 * What samara/inject.h may refuse costs two loads: the thread's inject_left and the
 * site's armed. Counters change under the shard's lock, or the buddy's.
 *
 * Locks: a shard's (RANK_FRAME), and buddy.lock (RANK_FRAME) inside it: always in this order. All
 * shards are locked at once where a frame could not be had, in ascending order; else one at a time.
 */
#include "frame/ram.h"

#include <string.h>

#include "alloc/cache.h"
#include "frame/pfn.h"
#include "frame/vm_event.h"

/* The shard's lock is held in these three. */

static void push(struct ram *ram, struct shard *s, unsigned long pfn)
{
	struct folio *folio = frame_at(ram, pfn);

	spin_assert_held(&s->lock);
	link_set_prev(folio, FRAME_CACHED, 0);
	link_set_next(folio, s->first);
	s->first = (uint32_t)pfn;
	WRITE_ONCE(s->count, s->count + 1);
}

/* n frames go to the buddy. */
static void spill(struct ram *ram, struct shard *s, unsigned int n)
{
	spin_lock_nested(&ram->buddy.lock, RANK_FRAME); /* after the shard's */
	WRITE_ONCE(s->count, s->count - n);
	while (n--) {
		const uint32_t pfn = s->first;

		s->first = link_next(frame_at(ram, pfn));
		buddy_give(ram, pfn, 0);
	}
	spin_unlock(&ram->buddy.lock);
}

static void refill(struct ram *ram, struct shard *s)
{
	unsigned long free;

	spin_lock_nested(&ram->buddy.lock, RANK_FRAME); /* after the shard's */
	WRITE_ONCE(s->count, buddy_take_singles(ram, SHARD_BATCH, &s->first));
	free = buddy_free(ram);
	spin_unlock(&ram->buddy.lock);
	if (unlikely(free < ram->watcher.marks.low) && ram->watcher.low)
		ram->watcher.low(ram->watcher.arg);
}

/* The first frame, or 0. The shard's lock is held. */
static unsigned long shard_take(struct ram *ram, struct shard *s)
{
	uint32_t pfn;

	if (unlikely(!s->count))
		refill(ram, s);
	pfn = s->first;
	if (likely(pfn)) {
		struct folio *folio = frame_at(ram, pfn);

		s->first = link_next(folio);
		WRITE_ONCE(s->count, s->count - 1);
		link_set_prev(folio, FRAME_USED, 0);
		WRITE_ONCE(s->asked, s->asked + 1);
		WRITE_ONCE(s->used, s->used + 1);
	}
	return pfn;
}

static unsigned long take_single(struct ram *ram)
{
	struct shard *s = &ram->shard[shard_number()];
	unsigned long pfn;

	spin_lock(&s->lock, RANK_FRAME);
	pfn = shard_take(ram, s);
	spin_unlock(&s->lock);
	return pfn;
}

/* The first frame, or 0. buddy.lock is held. */
static unsigned long buddy_take_counted(struct ram *ram, unsigned int order)
{
	struct buddy *b = &ram->buddy;
	const unsigned long pfn = buddy_take(ram, order);

	if (pfn) {
		WRITE_ONCE(b->asked, b->asked + 1);
		WRITE_ONCE(b->used, b->used + (1UL << order));
	}
	return pfn;
}

static unsigned long take_block(struct ram *ram, unsigned int order)
{
	unsigned long pfn;

	spin_lock(&ram->buddy.lock, RANK_FRAME);
	pfn = buddy_take_counted(ram, order);
	spin_unlock(&ram->buddy.lock);
	return pfn;
}

static unsigned long take(struct ram *ram, unsigned int order)
{
	return order ? take_block(ram, order) : take_single(ram);
}

/* No frame goes into a shard or out of one. They have one rank: in ascending order. */
static void lock_shards(struct ram *ram)
{
	spin_lock(&ram->shard[0].lock, RANK_FRAME);
	for (unsigned int i = 1; i < RAM_SHARDS; i++)
		spin_lock_nested(&ram->shard[i].lock, RANK_FRAME);
}

static void unlock_shards(struct ram *ram)
{
	for (unsigned int i = RAM_SHARDS; i-- > 0;)
		spin_unlock(&ram->shard[i].lock);
}

/* All shards are locked: their frames go to the buddy. */
static void spill_all(struct ram *ram)
{
	for (unsigned int i = 0; i < RAM_SHARDS; i++)
		if (ram->shard[i].count)
			spill(ram, &ram->shard[i], ram->shard[i].count);
}

void shards_drain(struct ram *ram)
{
	for (unsigned int i = 0; i < RAM_SHARDS; i++) {
		struct shard *s = &ram->shard[i];

		spin_lock(&s->lock, RANK_FRAME);
		if (s->count)
			spill(ram, s, s->count);
		spin_unlock(&s->lock);
	}
}

/*
 * All shards are given back, and then the buddy is asked once more. While all of them are locked no
 * frame is on its way from one to another: what is not found is in use.
 */
static __noinline unsigned long take_drained(struct ram *ram, unsigned int order)
{
	unsigned long pfn;

	lock_shards(ram);
	spill_all(ram);
	if (order) {
		spin_lock_nested(&ram->buddy.lock, RANK_FRAME); /* after the shards' */
		pfn = buddy_take_counted(ram, order);
		spin_unlock(&ram->buddy.lock);
	} else {
		pfn = shard_take(ram, &ram->shard[shard_number()]);
	}
	unlock_shards(ram);
	return pfn;
}

__thread unsigned long frames_refused;
__thread unsigned long long frames_stolen;
__thread unsigned long frames_returned;

static bool admit(void)
{
	cache_self.asked_other++;
	if (likely(!cache_self.inject_left && !READ_ONCE(frame_site.armed)))
		return true;
	if (site_admit(&frame_site, 1))
		return true;
	atomic_inc(&frame_site.asked);
	return false;
}

/* The frames are FRAME_USED and the caller's: a folio with one reference. */
static struct folio *begin(struct ram *ram, unsigned long pfn, unsigned int order,
			   enum folio_fill fill)
{
	struct folio *folio = frame_at(ram, pfn);

	frames_out(ram, pfn, order, fill);
	VM_WARN_ON(READ_ONCE(folio->state) || folio->mapping || folio->index);
	smp_store_release(&folio->state, FOLIO_REF_ONE);
	return folio;
}

struct folio *folio_alloc(struct ram *ram, unsigned int order, enum folio_fill fill)
{
	unsigned long pfn;

	BUG_ON(order >= FRAME_ORDERS);
	if (!admit())
		return NULL;
	pfn = take(ram, order);
	if (unlikely(!pfn)) {
		/* Before the last look: what is freed behind it is counted later. */
		frames_stolen = vm_event_sum(ram, PGSTEAL);
		pfn = take_drained(ram, order);
	}
	if (unlikely(!pfn)) {
		atomic_inc(&frame_site.asked);
		site_refused(&frame_site, 1);
		frames_refused++;
		frames_returned = order ? FRAMES_NO_BLOCK : 0;
		return NULL;
	}
	return begin(ram, pfn, order, fill);
}

/* freeing -------------------------------------------------------------------- */

/* It has no reference left: nothing is known of it any more. Its order. */
static unsigned int forget(struct ram *ram, struct folio *folio)
{
	const unsigned long pfn = folio_pfn(ram, folio);
	const unsigned int order = pfn_order(ram, pfn);

	VM_WARN_ON(folio_test(folio, FOLIO_LOCKED));
	BUG_ON(folio_count(folio) || pfn == ZERO_FRAME);
	frames_in(ram, pfn, order);
	/* Byte by byte: a census may look (census.c). */
	for (unsigned long i = 0; order && i < 1UL << order; i++)
		WRITE_ONCE(ram->view.notes[pfn + i], NOTE_USED_BEFORE);
	folio->mapping = NULL;
	folio->index = 0;
	WRITE_ONCE(folio->state, 0);
	return order;
}

static void give_block(struct ram *ram, unsigned long pfn, unsigned int order)
{
	struct buddy *b = &ram->buddy;

	spin_lock(&b->lock, RANK_FRAME);
	buddy_give(ram, pfn, order);
	WRITE_ONCE(b->used, b->used - (1UL << order));
	spin_unlock(&b->lock);
}

static void give_singles(struct ram *ram, struct folio **folios, unsigned int n)
{
	struct shard *s = &ram->shard[shard_number()];

	spin_lock(&s->lock, RANK_FRAME);
	WRITE_ONCE(s->used, s->used - n);
	for (unsigned int i = 0; i < n; i++) {
		if (unlikely(s->count == SHARD_MAX))
			spill(ram, s, SHARD_BATCH);
		push(ram, s, folio_pfn(ram, folios[i]));
	}
	spin_unlock(&s->lock);
}

/* The frames of a block that was in use leave for good. */
static void bury_block(struct ram *ram, unsigned long pfn, unsigned int order)
{
	struct buddy *b = &ram->buddy;

	spin_lock(&b->lock, RANK_FRAME);
	for (unsigned long i = 0; i < 1UL << order; i++)
		link_set_prev(frame_at(ram, pfn + i), FRAME_POISONED, 0);
	WRITE_ONCE(b->used, b->used - (1UL << order));
	WRITE_ONCE(b->poisoned, b->poisoned + (1UL << order));
	spin_unlock(&b->lock);
}

static void free_folios(struct ram *ram, struct folio **folios, unsigned int n)
{
	unsigned int singles = 0;

	lru_forget(ram, folios, n);
	for (unsigned int i = 0; i < n; i++) {
		const bool poisoned = folio_test(folios[i], FOLIO_POISONED);
		const unsigned int order = forget(ram, folios[i]);

		if (unlikely(poisoned))
			bury_block(ram, folio_pfn(ram, folios[i]), order);
		else if (order)
			give_block(ram, folio_pfn(ram, folios[i]), order);
		else
			folios[singles++] = folios[i];
	}
	if (singles)
		give_singles(ram, folios, singles);
}

void folio_free(struct ram *ram, struct folio *folio)
{
	free_folios(ram, &folio, 1);
}

unsigned int folio_unmap_many(struct ram *ram, struct folio **folios, unsigned int n)
{
	unsigned int gone = 0, cached = 0; /* the array's front: the former, then the latter */

	for (unsigned int i = 0; i < n; i++) {
		struct folio *folio = folios[i];
		const uint64_t state = atomic_sub_return_acq_rel(&folio->state, FOLIO_MAP_ONE);

		if (folio_gone(state)) {
			folios[gone + cached] = folios[gone];
			folios[gone++] = folio;
		} else if (unlikely(folio_state_only_cached(state))) {
			folios[gone + cached++] = folio;
		}
	}
	if (gone)
		free_folios(ram, folios, gone);
	if (unlikely(cached))
		memmove(folios, folios + gone, cached * sizeof(*folios));
	return cached;
}

/* by number ------------------------------------------------------------------ */

struct folio *folio_get_pfn(struct ram *ram, unsigned long pfn)
{
	struct folio *folio;

	if (pfn == ZERO_FRAME || pfn >= READ_ONCE(ram->buddy.fresh))
		return NULL;
	folio = pfn_folio(ram, pfn);
	if (!folio_try_get(folio))
		return NULL;
	if (pfn_folio(ram, pfn) == folio)
		return folio;
	folio_put(ram, folio);
	return NULL;
}

unsigned int ram_take_free(struct ram *ram, unsigned long first, unsigned int n, struct folio **out)
{
	struct buddy *b = &ram->buddy;
	unsigned int got = 0;

	lock_shards(ram);
	spill_all(ram);
	spin_lock_nested(&b->lock, RANK_FRAME); /* after the shards' */
	for (unsigned long pfn = first; pfn < first + n; pfn++)
		if (buddy_take_frame(ram, pfn))
			out[got++] = frame_at(ram, pfn);
	WRITE_ONCE(b->asked, b->asked + got);
	WRITE_ONCE(b->used, b->used + got);
	spin_unlock(&b->lock);
	unlock_shards(ram);
	for (unsigned int i = 0; i < got; i++)
		begin(ram, folio_pfn(ram, out[i]), 0, FOLIO_RAW);
	return got;
}

bool ram_is_poisoned(const struct ram *ram, unsigned long pfn)
{
	return pfn < READ_ONCE(ram->buddy.fresh) &&
	       frame_kind(frame_at(ram, pfn)) == FRAME_POISONED;
}
