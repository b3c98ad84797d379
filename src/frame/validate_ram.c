/* SPDX-License-Identifier: MIT */
/*
 * ram_validate(): every frame up to the never-used ones is looked at once, then
 * the lists are walked and must have found the same.
 *
 *   scan     by kind: free blocks per order, cached, listed per list, waiting, used
 *   lists    as many as the scan found, each of the right kind, links both ways
 *   counts   the counters say the same
 *
 * A walk ends after as many steps as the scan has found frames of that kind, so
 * a ring is noticed. The machine is quiet: no lock is taken.
 */
#include <string.h>

#include "base/report.h"
#include "frame/ram.h"

#define BROKEN(name, ...) report_broken(out, name, __VA_ARGS__)

struct found {
	unsigned long blocks[FRAME_ORDERS];
	unsigned long free, cached, used, waiting, poisoned; /* frames; free: in blocks */
	unsigned long listed[LRU_LISTS];
};

/* frames ---------------------------------------------------------------------- */

/* All frames of a block, free or used; order is what their notes have to say. */
static int check_notes(const struct ram *ram, unsigned long pfn, unsigned long frames,
		       unsigned int order, struct samara_report *out)
{
	for (unsigned long i = pfn; i < pfn + frames; i++)
		if (pfn_order(ram, i) != order)
			return BROKEN("order", "frame %lu, in the block at %lu: order %u, not %u",
				      i, pfn, pfn_order(ram, i), order);
	return 0;
}

/* The frames of a block behind its first one, free or used. */
static int check_tails(const struct ram *ram, unsigned long pfn, unsigned int order,
		       struct samara_report *out)
{
	if (pfn & ((1UL << order) - 1) || pfn + (1UL << order) > ram->buddy.fresh)
		return BROKEN("free_blocks", "frame %lu cannot begin a block of order %u", pfn,
			      order);
	for (unsigned long i = pfn + 1; i < pfn + (1UL << order); i++) {
		const struct folio *tail = frame_at(ram, i);

		if (frame_kind(tail) != FRAME_USED)
			return BROKEN("free_blocks",
				      "frame %lu of kind %u is inside the block at %lu", i,
				      frame_kind(tail), pfn);
		if (tail->state || tail->mapping || tail->index)
			return BROKEN("free_state",
				      "frame %lu, inside the block at %lu, has a state", i, pfn);
	}
	return 0;
}

static int check_free(const struct ram *ram, unsigned long pfn, struct samara_report *out)
{
	const struct folio *folio = frame_at(ram, pfn);

	if (folio->state || folio->mapping || folio->index)
		return BROKEN("free_state", "free frame %lu: state %#llx, mapping %p, index %lu",
			      pfn, (unsigned long long)folio->state, folio->mapping, folio->index);
	return 0;
}

static int check_buddy(const struct ram *ram, unsigned long pfn, unsigned int order,
		       struct samara_report *out)
{
	const unsigned long buddy = pfn ^ 1UL << order;

	if (order < FRAME_ORDERS - 1 && buddy < ram->buddy.fresh &&
	    frame_kind(frame_at(ram, buddy)) == FRAME_FREE + order)
		return BROKEN("free_blocks", "blocks %lu and %lu of order %u are not joined", pfn,
			      buddy, order);
	return 0;
}

static int check_used(const struct ram *ram, unsigned long pfn, struct found *found,
		      struct samara_report *out)
{
	const struct folio *folio = frame_at(ram, pfn);
	const unsigned int kind = frame_kind(folio);
	const bool on_lru = kind >= FRAME_WAITING;

	if (!folio_count(folio))
		return BROKEN("free_blocks", "frame %lu is neither free nor cached nor in use",
			      pfn);
	if (kind >= FRAME_KINDS)
		return BROKEN("free_blocks", "frame %lu has no kind: %u", pfn, kind);
	if (on_lru != folio_test(folio, FOLIO_LRU))
		return BROKEN("lru", "frame %lu: kind %u, flags %#x", pfn, kind,
			      folio_flags(folio));
	found->used += 1UL << pfn_order(ram, pfn);
	found->waiting += kind == FRAME_WAITING;
	if (kind >= FRAME_LISTED)
		found->listed[kind - FRAME_LISTED]++;
	return 0;
}

static int scan(const struct ram *ram, struct found *found, struct samara_report *out)
{
	unsigned long pfn = ZERO_FRAME + 1;

	while (pfn < ram->buddy.fresh) {
		const unsigned int kind = frame_kind(frame_at(ram, pfn));
		unsigned int order = 0, noted = 0;
		int err;

		if (kind == FRAME_CACHED) {
			found->cached++;
			err = check_free(ram, pfn, out);
		} else if (kind == FRAME_POISONED) {
			found->poisoned++;
			err = check_free(ram, pfn, out);
		} else if (kind >= FRAME_FREE && kind < FRAME_CACHED) {
			order = kind - FRAME_FREE;
			found->blocks[order]++;
			found->free += 1UL << order;
			err = check_free(ram, pfn, out);
			err = err ? err : check_buddy(ram, pfn, order, out);
		} else {
			noted = order = pfn_order(ram, pfn);
			err = order < FRAME_ORDERS ?
				      check_used(ram, pfn, found, out) :
				      BROKEN("order", "frame %lu: order %u", pfn, order);
		}
		err = err ? err : check_tails(ram, pfn, order, out);
		err = err ? err : check_notes(ram, pfn, 1UL << order, noted, out);
		if (err)
			return err;
		pfn += 1UL << order;
	}
	return 0;
}

/* lists ----------------------------------------------------------------------- */

static int check_blocks(const struct ram *ram, unsigned int order, unsigned long expected,
			struct samara_report *out)
{
	uint32_t pfn = ram->buddy.first[order], prev = 0;
	unsigned long n = 0;

	for (; pfn && n <= expected; n++) {
		const struct folio *folio;

		if (pfn >= ram->buddy.fresh)
			return BROKEN("free_blocks", "order %u: frame %u was never used", order,
				      pfn);
		folio = frame_at(ram, pfn);
		if (frame_kind(folio) != FRAME_FREE + order || link_prev(folio) != prev)
			return BROKEN("free_blocks",
				      "order %u: block %u, kind %u, previous %u not %u", order, pfn,
				      frame_kind(folio), link_prev(folio), prev);
		prev = pfn;
		pfn = link_next(folio);
	}
	if (n != expected || !n != !(ram->buddy.nonempty & 1U << order))
		return BROKEN("free_blocks", "order %u: %lu blocks listed, %lu exist", order, n,
			      expected);
	return 0;
}

static int check_shards(const struct ram *ram, unsigned long expected, struct samara_report *out)
{
	unsigned long total = 0;

	for (unsigned int i = 0; i < RAM_SHARDS; i++) {
		const struct shard *s = &ram->shard[i];
		unsigned long n = 0;

		for (uint32_t pfn = s->first; pfn && n <= expected; n++) {
			if (pfn >= ram->buddy.fresh ||
			    frame_kind(frame_at(ram, pfn)) != FRAME_CACHED)
				return BROKEN("free_blocks", "shard %u: frame %u is not cached", i,
					      pfn);
			pfn = link_next(frame_at(ram, pfn));
		}
		if (n != s->count)
			return BROKEN("counts", "shard %u counts %u frames, has %lu", i, s->count,
				      n);
		total += n;
	}
	if (total != expected)
		return BROKEN("free_blocks", "%lu frames are cached, the shards have %lu", expected,
			      total);
	return 0;
}

static int check_list(const struct ram *ram, unsigned int list, unsigned long expected,
		      struct samara_report *out)
{
	const struct lru_ends *ends = &ram->lru.list[list];
	uint32_t pfn = ends->cold, prev = 0;
	unsigned long n = 0;

	for (; pfn && n <= expected; n++) {
		const struct folio *folio;

		if (pfn >= ram->buddy.fresh)
			return BROKEN("lru", "list %u: frame %u was never used", list, pfn);
		folio = frame_at(ram, pfn);
		if (frame_kind(folio) != FRAME_LISTED + list || link_prev(folio) != prev)
			return BROKEN("lru", "list %u: frame %u, kind %u, previous %u not %u", list,
				      pfn, frame_kind(folio), link_prev(folio), prev);
		prev = pfn;
		pfn = link_next(folio);
	}
	if (n != expected || n != ends->count || ends->hot != prev)
		return BROKEN("lru", "list %u: %lu found, %lu say so, %lu counted, last %u not %u",
			      list, n, expected, ends->count, ends->hot, prev);
	return 0;
}

static int check_batches(const struct ram *ram, unsigned long expected, struct samara_report *out)
{
	unsigned long n = 0;

	for (unsigned int i = 0; i < RAM_SHARDS; i++) {
		const struct lru_batch *b = &ram->lru.batch[i];

		for (unsigned int place = 0; place < b->nr && place < LRU_BATCH; place++) {
			const struct folio *folio = frame_at(ram, b->pfn[place]);

			if (!b->pfn[place])
				continue;
			if (b->pfn[place] >= ram->buddy.fresh ||
			    frame_kind(folio) != FRAME_WAITING || link_prev(folio) != i ||
			    link_next(folio) != place)
				return BROKEN("lru", "batch %u: frame %u does not wait at %u", i,
					      b->pfn[place], place);
			n++;
		}
	}
	if (n != expected)
		return BROKEN("lru", "%lu folios wait, the batches have %lu", expected, n);
	return 0;
}

/* counters -------------------------------------------------------------------- */

/* The scan has met each frame once, so that its own sum is right: do the counters have it? */
static int check_counts(const struct ram *ram, const struct found *found, struct samara_report *out)
{
	unsigned long used = ram->buddy.used;

	for (unsigned int i = 0; i < RAM_SHARDS; i++)
		used += ram->shard[i].used;
	if (found->free != ram->buddy.free || found->used != used ||
	    found->poisoned != ram->buddy.poisoned)
		return BROKEN(
			"counts",
			"free %lu, counted %lu; in use %lu, counted %lu; poisoned %lu, counted %lu",
			found->free, ram->buddy.free, found->used, used, found->poisoned,
			ram->buddy.poisoned);
	return 0;
}

static int check_zero_frame(const struct ram *ram, struct samara_report *out)
{
	const struct folio *folio = frame_at(ram, ZERO_FRAME);
	const char *p = pfn_to_virt(ram, ZERO_FRAME);

	if (folio->state || folio->mapping || folio->index || frame_kind(folio) != FRAME_USED ||
	    pfn_order(ram, ZERO_FRAME))
		return BROKEN("zero_frame", "its folio was used: state %#llx",
			      (unsigned long long)folio->state);
	if (p[0] || memcmp(p, p + 1, (1UL << ram->view.page_shift) - 1))
		return BROKEN("zero_frame", "it was written to");
	return 0;
}

int ram_validate(struct ram *ram, struct samara_report *out)
{
	struct found found = { 0 };
	int err = check_zero_frame(ram, out);

	if (!err)
		err = scan(ram, &found, out);
	for (unsigned int order = 0; !err && order < FRAME_ORDERS; order++)
		err = check_blocks(ram, order, found.blocks[order], out);
	if (!err)
		err = check_shards(ram, found.cached, out);
	for (unsigned int list = 0; !err && list < LRU_LISTS; list++)
		err = check_list(ram, list, found.listed[list], out);
	if (!err)
		err = check_batches(ram, found.waiting, out);
	if (!err)
		err = check_counts(ram, &found, out);
	return err;
}
