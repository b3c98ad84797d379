/* SPDX-License-Identifier: MIT */
/*
 * Atomic words, as C11 has them. Memory holds each word's newest value. Beside it a location keeps
 * the last few stores, and a load may see an old one unless something forbids it:
 *
 *   a newer store happens before the load
 *   the thread, or one that happens before the load, has seen a newer one (coherence)
 *   the one order of seq_cst operations and fences forbids it (C11 29.3; fences as C++20 has them)
 *
 * This is the operational model of Lidbury and Donaldson (2017). The order in which the stores of a
 * word were made is its modification order; C11 would also allow others. A read-modify-write sees
 * the newest. A thread that sees an old value twice in a row at one word sees the newest then, so
 * that a loop which waits for a store ends.
 *
 * A word that changes without us (its frame was reused by code that is not instrumented) starts
 * anew.
 */
#include "runtime.h"

#include <string.h>

#define STORES 8
#define STALE_MOST 2
#define LOCATIONS_MAX (1U << 16)
#define CLOCKS_MAX (1U << 19)

struct store {
	uint64_t value;
	unsigned int epoch;   /* of its thread; 0: before all */
	unsigned int sc_time; /* its place among the seq_cst operations; 0: it is none */
	unsigned int release; /* the clock that a load acquires; 0: none */
	unsigned char thread;
};

/* What a thread has seen: at the last of its epochs, and at one before. */
struct seen {
	unsigned int epoch[2], index[2];
};

struct location {
	uintptr_t addr;
	unsigned int size;
	unsigned int next; /* of the same 8 bytes */
	unsigned int last; /* index of the newest store */
	unsigned int kept; /* how many are known, the newest included */
	struct store store[STORES];
	struct seen seen[THREADS_MAX];
	unsigned char stale[THREADS_MAX]; /* old values that it has seen in a row */
};

static struct location *locations;
static unsigned int location_count = 1;
static struct clock *clocks;
static unsigned int clock_count = 1;
static unsigned int sc_time;
static struct clock sc_fences; /* of each thread, the epoch of its last seq_cst fence */

void memory_prepare(void)
{
	locations = lazy_memory(LOCATIONS_MAX * sizeof(*locations));
	clocks = lazy_memory(CLOCKS_MAX * sizeof(*clocks));
}

/* clocks ------------------------------------------------------------------ */

void clock_join(struct clock *clock, const struct clock *other)
{
	for (unsigned int i = 0; i < THREADS_MAX; i++) {
		if (clock->t[i] < other->t[i])
			clock->t[i] = other->t[i];
	}
}

void clock_tick(struct thread *t)
{
	t->clock.t[t->id]++;
}

static unsigned int clock_keep(const struct clock *clock)
{
	if (clock_count == CLOCKS_MAX)
		fail(TOO_LONG, "more than %u releases", CLOCKS_MAX);
	clocks[clock_count] = *clock;
	return clock_count++;
}

static bool acquires(int order)
{
	return order == __ATOMIC_ACQUIRE || order == __ATOMIC_CONSUME ||
	       order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static bool releases(int order)
{
	return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

/* locations --------------------------------------------------------------- */

uint64_t memory_newest(uintptr_t addr, unsigned int size)
{
	switch (size) {
	case 1:
		return *(volatile uint8_t *)addr;
	case 2:
		return *(volatile uint16_t *)addr;
	case 4:
		return *(volatile uint32_t *)addr;
	default:
		return *(volatile uint64_t *)addr;
	}
}

static void memory_write(uintptr_t addr, unsigned int size, uint64_t value)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)addr = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)addr = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)addr = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)addr = value;
	}
}

static struct store *store_at(struct location *l, unsigned int index)
{
	return &l->store[index % STORES];
}

/* One store, before everything; what it releases stays. */
static void start_anew(struct location *l, unsigned int release)
{
	l->last += STORES;
	l->kept = 1;
	memset(l->seen, 0, sizeof(l->seen));
	*store_at(l, l->last) =
		(struct store){ .value = memory_newest(l->addr, l->size), .release = release };
}

void memory_forget(unsigned int location)
{
	/* The word's location is 0 from now on; its memory is not used again. */
	while (location) {
		locations[location].size = 0;
		location = locations[location].next;
	}
}

static struct location *location_new(struct word *word, const struct op *op)
{
	struct location *l = &locations[location_count];

	if (location_count == LOCATIONS_MAX)
		fail(TOO_LONG, "more than %u atomic words", LOCATIONS_MAX);
	*l = (struct location){ .addr = op->addr, .size = op->size, .next = word->location };
	word->location = location_count++;
	start_anew(l, 0);
	return l;
}

static struct location *location_of(const struct op *op)
{
	struct word *word = shadow_word(op->addr);
	struct location *found = NULL;

	for (unsigned int i = word->location; i; i = locations[i].next) {
		struct location *l = &locations[i];

		if (l->addr == op->addr && l->size == op->size)
			found = l;
		else if (l->addr < op->addr + op->size && op->addr < l->addr + l->size)
			start_anew(l, store_at(l, l->last)->release); /* another size */
	}
	if (!found)
		return location_new(word, op);
	if (store_at(found, found->last)->value != memory_newest(op->addr, op->size))
		start_anew(found, 0);
	return found;
}

/* which stores a load may see --------------------------------------------- */

/* Up to which epoch of thread u what it did is known to a load of that order. */
static unsigned int known(unsigned int u, int order)
{
	unsigned int epoch = self->clock.t[u];

	if (epoch < self->fence_seen.t[u])
		epoch = self->fence_seen.t[u];
	if (order == __ATOMIC_SEQ_CST && epoch < sc_fences.t[u])
		epoch = sc_fences.t[u];
	return epoch;
}

static bool must_see(const struct store *s, int order)
{
	if (s->epoch <= known(s->thread, order))
		return true;
	return s->sc_time && (order == __ATOMIC_SEQ_CST || s->sc_time <= self->fence_time);
}

/* The index of the oldest store that may be seen. */
static unsigned int oldest_visible(struct location *l, int order)
{
	unsigned int index = l->last, least = l->last - l->kept + 1;

	for (unsigned int u = 0; u < thread_count; u++) {
		const struct seen *seen = &l->seen[u];

		for (int i = 0; i < 2; i++) {
			if (seen->epoch[i] && seen->epoch[i] <= known(u, order) &&
			    seen->index[i] > least)
				least = seen->index[i];
		}
	}
	while (index > least && !must_see(store_at(l, index), order))
		index--;
	return index;
}

static void note_seen(struct location *l, unsigned int index)
{
	struct seen *seen = &l->seen[self->id];
	const unsigned int epoch = self->clock.t[self->id];

	if (seen->epoch[1] != epoch) {
		/* Two epochs are kept. What was seen between them counts from the first on. */
		if (!seen->epoch[0])
			seen->epoch[0] = seen->epoch[1];
		seen->index[0] = seen->index[1];
		seen->epoch[1] = epoch;
	}
	if (seen->index[1] < index)
		seen->index[1] = index;
}

static void acquire(const struct store *s, int order)
{
	if (!s->release)
		return;
	clock_join(acquires(order) ? &self->clock : &self->unacquired, &clocks[s->release]);
}

static unsigned int choose_age(struct location *l, int order)
{
	unsigned int age;

	if (plan->memory == MEMORY_SC || l->kept == 1 || l->stale[self->id] >= STALE_MOST) {
		l->stale[self->id] = 0;
		return 0;
	}
	age = choose(CHOICE_STORE, l->last - oldest_visible(l, order) + 1);
	l->stale[self->id] = age ? l->stale[self->id] + 1 : 0;
	return age;
}

/* operations -------------------------------------------------------------- */

static unsigned int sc_now(int order)
{
	return order == __ATOMIC_SEQ_CST ? ++sc_time : 0;
}

static const struct store *see(struct location *l, unsigned int age, int order)
{
	const struct store *s = store_at(l, l->last - age);

	sc_now(order);
	note_seen(l, l->last - age);
	acquire(s, order);
	event_value(s->value, age);
	return s;
}

uint64_t memory_load(struct op op)
{
	struct location *l = location_of(&op);

	return see(l, choose_age(l, op.order), op.order)->value;
}

uint64_t memory_rmw_load(struct op op)
{
	struct location *l = location_of(&op);

	return see(l, 0, op.order)->value;
}

static void add_store(const struct op *op, uint64_t value, unsigned int continued)
{
	struct location *l = location_of(op);
	unsigned int release = releases(op->order) ? clock_keep(&self->clock) : self->release;

	if (continued && release) {
		release = clock_keep(&clocks[release]);
		clock_join(&clocks[release], &clocks[continued]);
	} else if (continued) {
		release = continued;
	}
	l->last++;
	if (l->kept < STORES)
		l->kept++;
	*store_at(l, l->last) = (struct store){ .value = value,
						.epoch = self->clock.t[self->id],
						.sc_time = sc_now(op->order),
						.release = release,
						.thread = self->id };
	note_seen(l, l->last);
	memory_write(op->addr, op->size, value);
	if (releases(op->order))
		clock_tick(self);
	event_value(value, 0);
}

void memory_store(struct op op, uint64_t value)
{
	add_store(&op, value, 0);
}

void memory_rmw_store(struct op op, uint64_t value)
{
	struct location *l = location_of(&op);

	add_store(&op, value, store_at(l, l->last)->release);
}

void memory_fence(int order)
{
	if (acquires(order))
		clock_join(&self->clock, &self->unacquired);
	if (order == __ATOMIC_SEQ_CST) {
		clock_join(&self->fence_seen, &sc_fences);
		sc_fences.t[self->id] = self->clock.t[self->id];
		self->fence_time = ++sc_time;
	}
	if (releases(order)) {
		self->release = clock_keep(&self->clock);
		clock_tick(self);
	}
}
