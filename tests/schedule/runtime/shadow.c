/* SPDX-License-Identifier: MIT */
/*
 * What is known of each word of memory: a hash table of pages, and 512 words for a page. Pages are
 * not given back; a child is short.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PAGES_MAX (1U << 14) /* a power of two */
#define WORDS_OF_PAGE 512

struct slot {
	uintptr_t page;
	struct word *words;
};

static struct slot *slots;
static struct word *arena;
static unsigned int used;
static uintptr_t last_page;
static struct word *last_words;

void *lazy_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

void shadow_prepare(void)
{
	slots = lazy_memory(PAGES_MAX * sizeof(*slots));
	arena = lazy_memory(PAGES_MAX / 2 * WORDS_OF_PAGE * sizeof(*arena));
}

static struct slot *slot_of(uintptr_t page)
{
	unsigned int i = (unsigned int)(page * 0x9e3779b97f4a7c15UL >> 50);

	while (slots[i].words && slots[i].page != page)
		i = (i + 1) % PAGES_MAX;
	return &slots[i];
}

struct word *shadow_find(uintptr_t addr)
{
	const uintptr_t page = addr >> 12;

	if (page != last_page || !last_words) {
		struct slot *slot = slot_of(page);

		if (!slot->words)
			return NULL;
		last_page = page;
		last_words = slot->words;
	}
	return &last_words[addr >> 3 & (WORDS_OF_PAGE - 1)];
}

struct word *shadow_word(uintptr_t addr)
{
	struct word *word = shadow_find(addr);
	struct slot *slot;

	if (word)
		return word;
	if (used == PAGES_MAX / 2)
		fail(BROKEN, "more than %u pages of memory in one schedule", used);
	slot = slot_of(addr >> 12);
	slot->page = addr >> 12;
	slot->words = arena + (size_t)used++ * WORDS_OF_PAGE;
	return shadow_find(addr);
}
