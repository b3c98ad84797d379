/* SPDX-License-Identifier: MIT */
/* ram_validate() names each invariant that is broken, and none that is not. */
#include <errno.h>

#include "fixture.h"

/*
 * What each test starts from: free blocks, cached frames (two at least), used
 * folios of two orders, folios on a list and one that waits.
 */
struct scene {
	struct ram *ram;
	struct folio *used, *big, *listed[3], *waiting;
};

static void scene_make(struct scene *s, struct ram *ram)
{
	struct ram_stats stats;

	s->ram = ram;
	s->used = must_alloc(ram, 0, FOLIO_RAW);
	s->big = must_alloc(ram, 4, FOLIO_RAW);
	for (int i = 0; i < 3; i++) {
		s->listed[i] = must_alloc(ram, 0, FOLIO_RAW);
		lru_add(ram, s->listed[i]);
	}
	ram_stats(ram, &stats); /* gets them on the list */
	s->waiting = must_alloc(ram, 0, FOLIO_RAW);
	lru_add(ram, s->waiting);
	assert_int_equal(frame_kind(s->waiting), FRAME_WAITING);
	assert_int_equal(frame_kind(s->listed[0]), FRAME_LISTED + LRU_INACTIVE_FILE);
	assert_true(stats.cached >= 2);
}

static void scene_end(struct scene *s)
{
	folio_put(s->ram, s->used);
	folio_put(s->ram, s->big);
	for (int i = 0; i < 3; i++)
		folio_put(s->ram, s->listed[i]);
	folio_put(s->ram, s->waiting);
}

static struct folio *cached(struct ram *ram)
{
	for (unsigned int i = 0; i < RAM_SHARDS; i++) {
		if (ram->shard[i].first)
			return frame_at(ram, ram->shard[i].first);
	}
	fail_msg("no frame is cached");
	return NULL;
}

static unsigned int an_order(const struct ram *ram)
{
	assert_int_not_equal(ram->buddy.nonempty, 0);
	return 31U - (unsigned int)__builtin_clz(ram->buddy.nonempty);
}

static struct folio *block(struct ram *ram)
{
	return frame_at(ram, ram->buddy.first[an_order(ram)]);
}

static uint8_t *note(struct ram *ram, const struct folio *folio)
{
	return &ram->view.notes[folio_pfn(ram, folio)];
}

#define KIND(kind) ((uint32_t)(kind) << LINK_BITS)

/* The word is wrong, which the validator says, and right again, which it says too. */
#define BREAK_WORD(s, lvalue, value, name) \
	do { \
		__typeof__(lvalue) *place_ = &(lvalue), was_ = *place_; \
		*place_ = (__typeof__(lvalue))(value); \
		assert_broken((s)->ram, (name), __LINE__); \
		*place_ = was_; \
		assert_int_equal(ram_validate((s)->ram, NULL), 0); \
	} while (0)

static void assert_broken(struct ram *ram, const char *name, int line)
{
	struct samara_report report = { 0 };

	if (ram_validate(ram, &report) != -EUCLEAN)
		fail_msg("line %d: nothing found, %s expected", line, name);
	if (strcmp(report.invariant, name) || !report.text[0])
		fail_msg("line %d: %s (%s), %s expected", line, report.invariant, report.text,
			 name);
}

static void a_busy_ram_is_valid(void **state)
{
	struct scene s;

	scene_make(&s, *state);
	assert_int_equal(ram_validate(s.ram, NULL), 0);
	assert_valid(s.ram);
	scene_end(&s);
}

static void free_blocks(void **state)
{
	struct scene s;
	struct ram *ram = *state;
	struct folio *tail, *odd;
	struct shard *shard, was;

	scene_make(&s, ram);
	odd = folio_pfn(ram, s.listed[0]) % 2 ? s.listed[0] : s.listed[1];
	assert_int_equal(folio_pfn(ram, odd) % 2, 1);
	/* A used frame without a reference; a frame that nobody has; one with two owners. */
	BREAK_WORD(&s, s.used->state, 0, "free_blocks");
	BREAK_WORD(&s, cached(ram)->lru_prev, 0, "free_blocks");
	BREAK_WORD(&s, s.used->lru_prev, KIND(FRAME_FREE), "free_state");
	BREAK_WORD(&s, s.used->lru_prev, KIND(FRAME_KINDS), "free_blocks");
	/* A block that no list has, one that two have, a list that ends early, a ring. */
	BREAK_WORD(&s, ram->buddy.first[an_order(ram)], 0, "free_blocks");
	BREAK_WORD(&s, ram->buddy.first[0], ram->buddy.first[an_order(ram)], "free_blocks");
	BREAK_WORD(&s, ram->buddy.nonempty, 0, "free_blocks");
	BREAK_WORD(&s, block(ram)->lru_prev, KIND(FRAME_FREE + an_order(ram)) | 3, "free_blocks");
	BREAK_WORD(&s, block(ram)->lru_next, ram->buddy.first[an_order(ram)], "free_blocks");
	BREAK_WORD(&s, block(ram)->lru_next, FRAMES - 1, "free_blocks");
	/* A block where none of its size can be; a kind inside a block. */
	BREAK_WORD(&s, *note(ram, odd), NOTE_USED_BEFORE | 1, "free_blocks");
	tail = s.big + 3;
	BREAK_WORD(&s, tail->lru_prev, KIND(FRAME_CACHED), "free_blocks");
	/* Cached frames that the shard has lost, and one that is not cached. */
	BREAK_WORD(&s, cached(ram)->lru_next, (uint32_t)folio_pfn(ram, s.used), "free_blocks");
	shard = &ram->shard[shard_number()];
	was = *shard;
	shard->first = 0;
	shard->count = 0;
	assert_broken(ram, "free_blocks", __LINE__);
	*shard = was;
	scene_end(&s);
}

static void buddies_that_are_not_joined(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 9, FOLIO_RAW);
	const uint32_t pfn = (uint32_t)folio_pfn(ram, folio);

	assert_valid(ram);
	/* Two halves of what is in use, each said to be free. */
	link_set_prev(folio, FRAME_FREE + 8, 0);
	link_set_prev(frame_at(ram, pfn + 256), FRAME_FREE + 8, 0);
	folio->state = 0;
	assert_broken(ram, "free_blocks", __LINE__);
	link_set_prev(folio, FRAME_USED, 0);
	link_set_prev(frame_at(ram, pfn + 256), FRAME_USED, 0);
	folio->state = 1;
	folio_put(ram, folio);
}

static void free_state(void **state)
{
	struct scene s;

	scene_make(&s, *state);
	BREAK_WORD(&s, cached(s.ram)->state, FOLIO_REF_ONE, "free_state");
	BREAK_WORD(&s, cached(s.ram)->mapping, &s, "free_state");
	BREAK_WORD(&s, cached(s.ram)->index, 1, "free_state");
	BREAK_WORD(&s, block(s.ram)->state, FOLIO_MAP_ONE, "free_state");
	BREAK_WORD(&s, block(s.ram)->mapping, &s, "free_state");
	BREAK_WORD(&s, block(s.ram)[1].index, 1, "free_state"); /* behind the first */
	BREAK_WORD(&s, s.big[15].state, 1, "free_state");
	scene_end(&s);
}

static void order(void **state)
{
	struct scene s;
	struct ram *ram = *state;

	scene_make(&s, ram);
	BREAK_WORD(&s, *note(ram, s.used), NOTE_USED_BEFORE | 15, "order");
	BREAK_WORD(&s, *note(ram, cached(ram)), NOTE_USED_BEFORE | 2, "order");
	BREAK_WORD(&s, *note(ram, block(ram)), 1, "order");
	BREAK_WORD(&s, *note(ram, block(ram) + 1), 1, "order"); /* behind the first */
	BREAK_WORD(&s, *note(ram, s.big + 15), NOTE_USED_BEFORE, "order");
	BREAK_WORD(&s, *note(ram, frame_at(ram, ZERO_FRAME)), 1, "zero_frame");
	scene_end(&s);
}

static void lru(void **state)
{
	struct scene s;
	struct ram *ram = *state;
	struct lru_ends *ends = &ram->lru.list[LRU_INACTIVE_FILE];
	const uint64_t flag = (uint64_t)FOLIO_LRU << FOLIO_FLAGS_SHIFT;
	struct lru_batch *b;

	scene_make(&s, ram);
	BREAK_WORD(&s, s.listed[1]->state, s.listed[1]->state & ~flag, "lru");
	BREAK_WORD(&s, s.used->state, s.used->state | flag, "lru");
	BREAK_WORD(&s, ends->cold, 0, "lru");
	BREAK_WORD(&s, ends->hot, ends->cold, "lru");
	BREAK_WORD(&s, ends->count, ends->count + 1, "lru");
	BREAK_WORD(&s, ram->lru.list[LRU_ACTIVE_ANON].cold, ends->cold, "lru");
	BREAK_WORD(&s, s.listed[1]->lru_next, 0, "lru");
	BREAK_WORD(&s, s.listed[1]->lru_next, FRAMES - 1, "lru");
	BREAK_WORD(&s, s.listed[2]->lru_prev, s.listed[2]->lru_prev - 1, "lru");
	BREAK_WORD(&s, s.listed[0]->lru_prev, KIND(FRAME_LISTED + LRU_ACTIVE_FILE), "lru");
	b = &ram->lru.batch[link_prev(s.waiting)];
	BREAK_WORD(&s, b->pfn[link_next(s.waiting)], 0, "lru");
	BREAK_WORD(&s, b->pfn[link_next(s.waiting)], folio_pfn(ram, s.used), "lru");
	BREAK_WORD(&s, b->nr, 0, "lru");
	scene_end(&s);
}

static void counts(void **state)
{
	struct scene s;
	struct ram *ram = *state;
	struct shard *shard;

	scene_make(&s, ram);
	shard = &ram->shard[shard_number()];
	BREAK_WORD(&s, ram->buddy.free, ram->buddy.free - 1, "counts");
	BREAK_WORD(&s, ram->buddy.used, ram->buddy.used + 1, "counts");
	BREAK_WORD(&s, shard->used, shard->used - 1, "counts");
	BREAK_WORD(&s, shard->count, shard->count + 1, "counts");
	scene_end(&s);
}

static void zero_frame(void **state)
{
	struct scene s;
	struct folio *zero = frame_at(*state, ZERO_FRAME);
	char *bytes = pfn_to_virt(*state, ZERO_FRAME);

	scene_make(&s, *state);
	BREAK_WORD(&s, zero->state, FOLIO_MAP_ONE, "zero_frame");
	BREAK_WORD(&s, zero->mapping, &s, "zero_frame");
	BREAK_WORD(&s, bytes[0], 1, "zero_frame");
	BREAK_WORD(&s, bytes[PAGE - 1], 1, "zero_frame");
	scene_end(&s);
}

static void the_first_finding_is_kept(void **state)
{
	struct samara_report report = { 0 };
	struct ram *ram = *state;

	ram->buddy.free++;
	assert_int_equal(ram_validate(ram, &report), -EUCLEAN);
	ram->buddy.free--;
	assert_string_equal(report.invariant, "counts");
	assert_int_equal(ram_validate(ram, &report), 0);
	assert_string_equal(report.invariant, "counts");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ram_test(a_busy_ram_is_valid),
		ram_test(free_blocks),
		ram_test(buddies_that_are_not_joined),
		ram_test(free_state),
		ram_test(order),
		ram_test(lru),
		ram_test(counts),
		ram_test(zero_frame),
		ram_test(the_first_finding_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
