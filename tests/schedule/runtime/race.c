/* SPDX-License-Identifier: MIT */
/*
 * Which accesses are not ordered (FastTrack: Flanagan and Freund, 2009). Each word keeps its last
 * few accesses, each with its thread's epoch. An access that overlaps one of them, of which one
 * writes and one is not atomic, must come after it by happens-before.
 *
 * An access may leave for a newer one of its thread that conflicts with all that it does, or for
 * want of room: then a race may not be seen in this schedule.
 */
#include "runtime.h"

#include <string.h>

#define FREED_MOST (1UL << 16) /* of a freed block, bytes that are watched */

static bool is_before(const struct cell *c)
{
	return c->epoch <= self->clock.t[c->thread];
}

static bool conflict(const struct cell *c, unsigned int bytes, enum access access)
{
	return c->bytes & bytes && (c->access | access) & ACCESS_WRITE &&
	       !(c->access & access & ACCESS_ATOMIC);
}

/* Whether all that conflicts with the old access does with the new one. */
static bool covers(unsigned int bytes, enum access access, const struct cell *old)
{
	return !(old->bytes & ~bytes) && (access & ACCESS_WRITE || !(old->access & ACCESS_WRITE)) &&
	       (!(access & ACCESS_ATOMIC) || old->access & ACCESS_ATOMIC);
}

static const char *access_text(enum access access)
{
	static const char *const text[] = { "read", "write", "atomic read", "atomic write" };

	return access == ACCESS_FREE ? "free" : text[access];
}

static void fail_race(uintptr_t addr, const struct cell *c, enum access access, uintptr_t place)
{
	char word[64];

	describe_word(addr, word, sizeof(word));
	fail(access == ACCESS_FREE ? USED_FREED : DATA_RACE,
	     "race on %s: %s of %s at {0x%lx}, not ordered after %s of %s at {0x%x}", word,
	     access_text(access), self->name, place, access_text(c->access),
	     threads[c->thread]->name, c->place);
}

static void access_word(uintptr_t addr, unsigned int bytes, enum access access, uintptr_t place)
{
	struct word *word = shadow_word(addr);
	struct cell *room = NULL;

	if (word->freed) {
		char text[64];

		describe_word(addr, text, sizeof(text));
		fail(USED_FREED, "%s of freed memory, %s, by %s at {0x%lx}; freed at {0x%x}",
		     access_text(access), text, self->name, place, word->freed);
	}
	if (!(access & ACCESS_ATOMIC) && access & ACCESS_WRITE && word->location) {
		memory_forget(word->location);
		word->location = 0;
	}
	for (unsigned int i = 0; i < CELLS; i++) {
		struct cell *c = &word->cell[i];

		if (c->epoch && c->thread != self->id && conflict(c, bytes, access) &&
		    !is_before(c))
			fail_race(addr, c, access, place);
		if (!c->epoch || (is_before(c) && covers(bytes, access, c)))
			room = c;
		else if (c->thread == self->id && c->epoch == self->clock.t[self->id] &&
			 c->access == access && !(bytes & ~c->bytes))
			return; /* noted already */
	}
	if (!room)
		room = &word->cell[shared->steps % CELLS];
	*room = (struct cell){ .epoch = self->clock.t[self->id],
			       .place = (unsigned int)place,
			       .thread = self->id,
			       .bytes = bytes,
			       .access = access };
}

void race_access(uintptr_t addr, size_t size, enum access access, uintptr_t place)
{
	const uintptr_t end = addr + size;

	if (!self || is_only_thread())
		return;
	while (addr < end) {
		const unsigned int first = addr & 7;
		const size_t left = end - addr;
		const unsigned int n = left < 8 - first ? (unsigned int)left : 8 - first;

		access_word(addr & ~7UL, (0xffU >> (8 - n)) << first, access, place);
		addr += n;
	}
}

void race_freed(uintptr_t addr, size_t size, uintptr_t place)
{
	if (size > FREED_MOST)
		size = FREED_MOST;
	race_access(addr, size, ACCESS_FREE, place);
	for (uintptr_t at = (addr + 7) & ~7UL; at + 8 <= addr + size; at += 8)
		shadow_word(at)->freed = (unsigned int)place;
}

void race_fresh(uintptr_t addr, size_t size)
{
	for (uintptr_t at = addr & ~7UL; at < addr + size;) {
		struct word *word = shadow_find(at);

		if (!word) {
			at = (at | 511) + 1;
			continue;
		}
		if (word->location)
			memory_forget(word->location);
		memset(word, 0, sizeof(*word));
		at += 8;
	}
}
