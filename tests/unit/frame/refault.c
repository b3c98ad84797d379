/* SPDX-License-Identifier: MIT */
/* Pages that have left and come back, and watermarks (frame/refault.c, ram.c, shard.c). */
#include "fixture.h"

#define OWNER ((void *)0x1000) /* stands for an inode: only compared */

static struct folio *page_of(struct ram *ram, void *owner, unsigned long index)
{
	struct folio *folio = must_alloc(ram, 0, FOLIO_RAW);

	folio->mapping = owner;
	folio->index = index;
	return folio;
}

static void evict(struct ram *ram, void *owner, unsigned long index, unsigned int flags)
{
	struct folio *folio = page_of(ram, owner, index);

	folio_set(folio, flags);
	folio_evicted(ram, folio);
	folio_put(ram, folio);
}

/* The flags that the page has when it has come back. */
static unsigned int come_back(struct ram *ram, void *owner, unsigned long index, unsigned int flags)
{
	struct folio *folio = page_of(ram, owner, index);
	unsigned int now;

	folio_set(folio, flags);
	folio_refaulted(ram, folio);
	now = folio_flags(folio);
	folio_put(ram, folio);
	return now & (FOLIO_ACTIVE | FOLIO_WORKINGSET);
}

static void fill_list(struct ram *ram, struct folio **out, unsigned int n, unsigned int flags)
{
	for (unsigned int i = 0; i < n; i++) {
		out[i] = must_alloc(ram, 0, FOLIO_RAW);
		folio_set(out[i], flags);
		lru_add(ram, out[i]);
	}
	lru_drain(ram);
}

static void put_all(struct ram *ram, struct folio **folios, unsigned int n)
{
	while (n--)
		folio_put(ram, folios[n]);
}

static void soon_is_within_the_active_list(void **state)
{
	struct ram *ram = *state;
	struct folio *active[10];

	fill_list(ram, active, 10, FOLIO_ACTIVE);
	for (unsigned long i = 0; i < 100; i++)
		evict(ram, OWNER, i, i == 95 ? FOLIO_WORKINGSET : 0);
	/* Page 99 left last: its distance is 0. */
	assert_int_equal(come_back(ram, OWNER, 89, 0), FOLIO_ACTIVE);
	assert_int_equal(vm_event_sum(ram, REFAULT), 1);
	/* That counted as one more: page 90 is at 9 + 1. */
	assert_int_equal(come_back(ram, OWNER, 90, 0), FOLIO_ACTIVE);
	assert_int_equal(come_back(ram, OWNER, 50, 0), 0);
	assert_int_equal(vm_event_sum(ram, REFAULT_COLD), 1);
	assert_int_equal(come_back(ram, OWNER, 95, 0), FOLIO_ACTIVE | FOLIO_WORKINGSET);
	assert_int_equal(lru_cost_of(ram, LRU_FILE), 1);
	assert_int_equal(lru_cost_of(ram, LRU_ANON), 0);
	put_all(ram, active, 10);
}

static void a_record_is_used_once(void **state)
{
	struct ram *ram = *state;
	struct folio *active[10];

	fill_list(ram, active, 10, FOLIO_ACTIVE);
	evict(ram, OWNER, 7, 0);
	assert_int_equal(come_back(ram, OWNER, 8, 0), 0);
	assert_int_equal(come_back(ram, (char *)OWNER + 8, 7, 0), 0);
	assert_int_equal(come_back(ram, OWNER, 7, 0), FOLIO_ACTIVE);
	assert_int_equal(come_back(ram, OWNER, 7, 0), 0);
	assert_int_equal(vm_event_sum(ram, REFAULT) + vm_event_sum(ram, REFAULT_COLD), 1);
	put_all(ram, active, 10);
}

static void a_slot_is_known_without_the_index(void **state)
{
	struct ram *ram = *state;
	struct folio *active[10];

	fill_list(ram, active, 10, FOLIO_ACTIVE | FOLIO_SWAPBACKED);
	evict(ram, (void *)0x301, 77, FOLIO_SWAPCACHE | FOLIO_SWAPBACKED);
	assert_int_equal(come_back(ram, (void *)0x301, 0, FOLIO_SWAPCACHE | FOLIO_SWAPBACKED),
			 FOLIO_ACTIVE);
	put_all(ram, active, 10);
}

/* Anonymous memory counts for a file's page only where it could leave instead. */
static void anonymous_memory_competes_if_it_can_leave(void **state)
{
	struct ram *ram = *state;
	struct folio *anon[20];

	fill_list(ram, anon, 20, FOLIO_SWAPBACKED);
	for (unsigned long i = 0; i < 10; i++)
		evict(ram, OWNER, i, 0);
	assert_int_equal(come_back(ram, OWNER, 0, 0), 0);
	refault_anon_leaves(ram, true);
	assert_int_equal(come_back(ram, OWNER, 1, 0), FOLIO_ACTIVE);
	put_all(ram, anon, 20);
}

/* As many as the machine has frames are remembered, but for what buckets lose. */
static void most_of_as_many_as_frames_are_remembered(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = page_of(ram, OWNER, 0);
	unsigned long known;

	for (unsigned long i = 0; i < 10 * FRAMES; i++) {
		folio->index = i;
		folio_evicted(ram, folio);
	}
	for (unsigned long i = 9 * FRAMES; i < 10 * FRAMES; i++) {
		folio->index = i;
		folio_refaulted(ram, folio);
	}
	known = vm_event_sum(ram, REFAULT_COLD);
	assert_in_range(known, FRAMES * 3 / 4, FRAMES);
	folio_put(ram, folio);
}

static void costs_are_forgotten(void **state)
{
	struct ram *ram = *state;
	struct folio *page[40];

	fill_list(ram, page, 40, 0);
	lru_cost(ram, LRU_ANON, 4);
	lru_cost(ram, LRU_FILE, 6);
	assert_int_equal(lru_cost_of(ram, LRU_ANON), 4);
	lru_cost(ram, LRU_FILE, 1); /* 11 of 40: more than a quarter */
	assert_int_equal(lru_cost_of(ram, LRU_ANON), 2);
	assert_int_equal(lru_cost_of(ram, LRU_FILE), 3);
	put_all(ram, page, 40);
}

/* watermarks ----------------------------------------------------------------------- */

static void count_call(void *arg)
{
	++*(unsigned long *)arg;
}

static void the_watcher_is_told_when_few_are_free(void **state)
{
	static struct folio *folio[FRAMES];
	struct ram *ram = *state;
	const struct ram_marks marks = ram_marks(ram);
	unsigned long calls = 0, n = 0;

	assert_int_equal(marks.low, FRAMES / 64);
	assert_int_equal(marks.high, FRAMES / 64 + FRAMES / 128);
	ram_watch(ram, count_call, &calls);
	while (ram_free_frames(ram) > marks.low + SHARD_BATCH)
		folio[n++] = must_alloc(ram, 0, FOLIO_RAW);
	assert_int_equal(calls, 0);
	while ((folio[n] = folio_alloc(ram, 0, FOLIO_RAW)))
		n++;
	assert_in_range(calls, 1, 4);
	assert_int_equal(ram_free_frames(ram), 0);
	put_all(ram, folio, (unsigned int)n);
	assert_int_equal(ram_free_frames(ram), FRAMES - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ram_test(soon_is_within_the_active_list),
		ram_test(a_record_is_used_once),
		ram_test(a_slot_is_known_without_the_index),
		ram_test(anonymous_memory_competes_if_it_can_leave),
		ram_test(most_of_as_many_as_frames_are_remembered),
		ram_test(costs_are_forgotten),
		ram_test(the_watcher_is_told_when_few_are_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
