/* SPDX-License-Identifier: MIT */
/*
 * Free blocks of 2^0 .. 2^9 frames. A block begins at a multiple of its size;
 * two of one size that make up a block of the next are buddies, and when both are
 * free they become one:
 *
 *   order 2   [ 8  .  .  . ]            8 ^ 4 = 12 is the buddy of 8
 *   order 1   [ 8  . ][10  . ]          8 ^ 2 = 10
 *   order 0   [ 8 ][ 9 ][10 ][11 ]      8 ^ 1 = 9
 *
 * Frames from buddy.fresh on have never been used and are in no block: when nothing
 * else is left they become blocks, first 63 frames, then as many as there are
 * already, then 512 at a time. So a RAM costs nothing per frame before. fresh is a
 * power of two, a multiple of 512, or the RAM's end: no free block's buddy lies half
 * on its other side.
 *
 * Locks: buddy.lock (RANK_FRAME) is held by the caller throughout.
 *
 * Invariants (ram_validate(): free_blocks)
 *  1. The first frame of a free block has kind FRAME_FREE + order, the others FRAME_USED.
 *  2. No two buddies are both free.
 *  3. free is the sum of all blocks; bit k of nonempty tells whether list k has one.
 */
#include "base/assert.h"
#include "frame/ram.h"

static void push(struct ram *ram, unsigned long pfn, unsigned int order)
{
	struct buddy *b = &ram->buddy;
	struct folio *folio = frame_at(ram, pfn);
	const uint32_t next = b->first[order];

	spin_assert_held(&b->lock);
	link_set_prev(folio, FRAME_FREE + order, 0);
	link_set_next(folio, next);
	if (next)
		link_set_prev(frame_at(ram, next), FRAME_FREE + order, (uint32_t)pfn);
	b->first[order] = (uint32_t)pfn;
	b->nonempty |= 1U << order;
}

static void unlink_block(struct ram *ram, unsigned long pfn, unsigned int order)
{
	struct buddy *b = &ram->buddy;
	struct folio *folio = frame_at(ram, pfn);
	const uint32_t prev = link_prev(folio), next = link_next(folio);

	spin_assert_held(&b->lock);
	if (next)
		link_set_prev(frame_at(ram, next), FRAME_FREE + order, prev);
	if (prev)
		link_set_next(frame_at(ram, prev), next);
	else
		b->first[order] = next;
	if (!b->first[order])
		b->nonempty &= ~(1U << order);
	link_set_prev(folio, FRAME_USED, 0);
}

/* The next chunk of frames that were never used becomes blocks. False: there is none. */
static bool grow(struct ram *ram)
{
	struct buddy *b = &ram->buddy;
	unsigned long pfn = b->fresh;
	unsigned long end = min(ALIGN_UP(pfn + 1, CHUNK_FRAMES), max(2 * pfn, FIRST_CHUNK));

	end = min(end, ram->view.nr_frames);
	if (pfn == end)
		return false;
	b->free += end - pfn;
	WRITE_ONCE(b->fresh, end);
	while (pfn < end) {
		unsigned int order = min((unsigned int)__builtin_ctzl(pfn), FRAME_ORDERS - 1U);

		while (pfn + (1UL << order) > end)
			order--;
		push(ram, pfn, order);
		pfn += 1UL << order;
	}
	return true;
}

unsigned long buddy_take(struct ram *ram, unsigned int order)
{
	struct buddy *b = &ram->buddy;
	unsigned long pfn;
	unsigned int from;

	while (!(b->nonempty >> order)) {
		if (!grow(ram))
			return 0;
	}
	from = order + (unsigned int)__builtin_ctz(b->nonempty >> order);
	pfn = b->first[from];
	unlink_block(ram, pfn, from);
	while (from > order) {
		from--;
		push(ram, pfn + (1UL << from), from);
	}
	b->free -= 1UL << order;
	return pfn;
}

/* The largest block that is wanted whole, so that few blocks are touched for many frames. */
static unsigned int order_for(const struct buddy *b, unsigned int n)
{
	const unsigned int fits = 31U - (unsigned int)__builtin_clz(n);

	return b->nonempty ? min(fits, (unsigned int)__builtin_ctz(b->nonempty)) : fits;
}

unsigned int buddy_take_singles(struct ram *ram, unsigned int n, uint32_t *first)
{
	unsigned int got = 0;

	*first = 0;
	while (got < n) {
		unsigned int order = min(order_for(&ram->buddy, n - got), FRAME_ORDERS - 1U);
		unsigned long pfn = buddy_take(ram, order);

		while (!pfn && order)
			pfn = buddy_take(ram, --order);
		if (!pfn)
			break;
		got += 1U << order;
		for (unsigned long i = 1UL << order; i--;) {
			link_set_prev(frame_at(ram, pfn + i), FRAME_CACHED, 0);
			link_set_next(frame_at(ram, pfn + i), *first);
			*first = (uint32_t)(pfn + i);
		}
	}
	return got;
}

/* The free block that has the frame: its first frame and order. 0: none. */
static unsigned long block_of(const struct ram *ram, unsigned long pfn, unsigned int *order)
{
	for (*order = 0; *order < FRAME_ORDERS; ++*order) {
		const unsigned long first = pfn & ~0UL << *order;

		if (frame_kind(frame_at(ram, first)) == FRAME_FREE + *order)
			return first;
	}
	return 0;
}

bool buddy_take_frame(struct ram *ram, unsigned long pfn)
{
	unsigned long first;
	unsigned int order;

	while (pfn >= ram->buddy.fresh)
		if (!grow(ram))
			return false;
	first = block_of(ram, pfn, &order);
	if (!first)
		return false;
	unlink_block(ram, first, order);
	while (order--) {
		const unsigned long upper = first + (1UL << order);

		push(ram, pfn < upper ? upper : first, order);
		first = pfn < upper ? first : upper;
	}
	ram->buddy.free--;
	return true;
}

void buddy_give(struct ram *ram, unsigned long pfn, unsigned int order)
{
	struct buddy *b = &ram->buddy;

	spin_assert_held(&b->lock);
	BUG_ON(pfn == ZERO_FRAME || pfn >= b->fresh || pfn & ((1UL << order) - 1));
	link_set_prev(frame_at(ram, pfn), FRAME_USED, 0);
	b->free += 1UL << order;
	for (; order < FRAME_ORDERS - 1; order++) {
		const unsigned long buddy = pfn ^ 1UL << order;

		if (buddy >= b->fresh || frame_kind(frame_at(ram, buddy)) != FRAME_FREE + order)
			break;
		unlink_block(ram, buddy, order);
		pfn &= ~(1UL << order);
	}
	push(ram, pfn, order);
}
