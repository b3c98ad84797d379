/* SPDX-License-Identifier: MIT */
/*
 * Refault distance: does a page come back so soon that it should have stayed?
 *
 *   age   counts evictions and activations: how far the cold ends have moved since a moment
 *
 *   evicted     record { key of the page, age }
 *   comes back  distance = age now - age then. The page left from the inactive list's cold end;
 *               a list that was longer by that distance would have it still.
 *               distance <= pages on the lists that could have been shorter: it is active
 *
 * Those lists, as in Linux: of a page of a file the active file list, and all of anonymous memory
 * where that can be swapped out; of an anonymous page the active anonymous list, and all files'.
 *
 * One sequential pass over more than memory has distances longer than any list, so its pages stay
 * inactive, and leave before those of the working set.
 *
 * Records lie in a table of a fixed size, one to two for each frame of the machine, in buckets of
 * one cache line. The oldest of a bucket makes room. A record that was overwritten only means that
 * a page is taken for one that came back late; a page for which another one's record is taken is
 * active without a reason.
 *
 *    63 ......... 32 | 31          | 30 ......... 0
 *    tag of the key  | was active  | age             0: none
 *
 * Locks: none. Records are words, each is taken out by one thread only.
 */
#include "frame/ram.h"

#define TAG_SHIFT 32
#define WAS_ACTIVE (1ULL << 31)
#define AGE_MASK (WAS_ACTIVE - 1)

static unsigned long buckets_for(unsigned long frames)
{
	unsigned long buckets = 1;

	while (buckets * RECORDS_IN_BUCKET < frames)
		buckets *= 2;
	return buckets;
}

size_t refault_bytes(unsigned long frames)
{
	return buckets_for(frames) * RECORDS_IN_BUCKET * sizeof(uint64_t);
}

void refault_init(struct ram *ram, void *memory)
{
	ram->refaults.records = memory;
	ram->refaults.mask = buckets_for(ram->view.nr_frames) - 1;
}

/*
 * A page of a file is known by its inode and index. One in the swap cache is known by its slot,
 * which its mapping holds.
 */
static uint64_t hash_of(const struct folio *folio)
{
	uint64_t key = (uint64_t)(uintptr_t)folio->mapping;

	if (!folio_test(folio, FOLIO_SWAPCACHE))
		key = (key ^ key >> 29) * 0xbf58476d1ce4e5b9ULL + folio->index;
	key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9ULL;
	key = (key ^ key >> 27) * 0x94d049bb133111ebULL;
	return key ^ key >> 31;
}

static uint64_t *bucket_of(const struct ram *ram, uint64_t hash)
{
	return &ram->refaults.records[(hash & ram->refaults.mask) * RECORDS_IN_BUCKET];
}

/* Not 0. */
static uint64_t tag_of(uint64_t hash)
{
	return (hash >> 32 ? hash >> 32 : 1) << TAG_SHIFT;
}

static unsigned long distance(const struct ram *ram, uint64_t record)
{
	return (READ_ONCE(ram->refaults.age) - record) & AGE_MASK;
}

void folio_evicted(struct ram *ram, const struct folio *folio)
{
	const uint64_t hash = hash_of(folio), tag = tag_of(hash);
	const uint64_t age = atomic_add_return_relaxed(&ram->refaults.age, 1UL);
	uint64_t *bucket = bucket_of(ram, hash), *to = bucket;
	unsigned long oldest = 0;

	for (unsigned int i = 0; i < RECORDS_IN_BUCKET; i++) {
		const uint64_t record = READ_ONCE(bucket[i]);
		const unsigned long far = record ? distance(ram, record) : AGE_MASK + 1;

		if (record >> TAG_SHIFT == tag >> TAG_SHIFT) {
			to = &bucket[i];
			break;
		}
		if (far > oldest) {
			oldest = far;
			to = &bucket[i];
		}
	}
	WRITE_ONCE(*to,
		   tag | (age & AGE_MASK) | (folio_test(folio, FOLIO_WORKINGSET) ? WAS_ACTIVE : 0));
}

/* The page's record, which is no longer there; 0: there was none. */
static uint64_t take_record(struct ram *ram, const struct folio *folio)
{
	const uint64_t hash = hash_of(folio), tag = tag_of(hash);
	uint64_t *bucket = bucket_of(ram, hash);

	for (unsigned int i = 0; i < RECORDS_IN_BUCKET; i++) {
		uint64_t record = READ_ONCE(bucket[i]);

		if (record >> TAG_SHIFT == tag >> TAG_SHIFT &&
		    try_cmpxchg_acq_rel(&bucket[i], &record, 0))
			return record;
	}
	return 0;
}

static unsigned long could_be_shorter(const struct ram *ram, const struct folio *folio)
{
	const unsigned long anon = lru_size(ram, LRU_INACTIVE_ANON);
	const unsigned long active_anon = lru_size(ram, LRU_ACTIVE_ANON);
	const unsigned long file = lru_size(ram, LRU_INACTIVE_FILE);
	const unsigned long active_file = lru_size(ram, LRU_ACTIVE_FILE);

	if (folio_test(folio, FOLIO_SWAPBACKED))
		return active_anon + active_file + file;
	return active_file + (READ_ONCE(ram->refaults.anon_leaves) ? active_anon + anon : 0);
}

void folio_refaulted(struct ram *ram, struct folio *folio)
{
	const uint64_t record = take_record(ram, folio);

	if (!record)
		return;
	if (distance(ram, record) > could_be_shorter(ram, folio)) {
		vm_event_add(ram, REFAULT_COLD, 1);
		return;
	}
	folio_set(folio, FOLIO_ACTIVE | (record & WAS_ACTIVE ? FOLIO_WORKINGSET : 0));
	atomic_inc(&ram->refaults.age);
	vm_event_add(ram, REFAULT, 1);
	if (record & WAS_ACTIVE)
		lru_cost(ram, folio_test(folio, FOLIO_SWAPBACKED) ? LRU_ANON : LRU_FILE, 1);
}

void refault_anon_leaves(struct ram *ram, bool leaves)
{
	WRITE_ONCE(ram->refaults.anon_leaves, leaves);
}

void lru_cost(struct ram *ram, enum lru_type type, unsigned long n)
{
	unsigned long *cost = ram->refaults.cost, pages = 0;

	atomic_add(&cost[type], n);
	for (unsigned int list = 0; list < LRU_UNEVICTABLE; list++)
		pages += lru_size(ram, list);
	if (READ_ONCE(cost[LRU_ANON]) + READ_ONCE(cost[LRU_FILE]) <= pages / 4)
		return;
	/* Threads that do so at once forget more, which does no harm. */
	WRITE_ONCE(cost[LRU_ANON], READ_ONCE(cost[LRU_ANON]) / 2);
	WRITE_ONCE(cost[LRU_FILE], READ_ONCE(cost[LRU_FILE]) / 2);
}

unsigned long lru_cost_of(const struct ram *ram, enum lru_type type)
{
	return READ_ONCE(ram->refaults.cost[type]);
}
