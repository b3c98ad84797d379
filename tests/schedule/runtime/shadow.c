/* SPDX-License-Identifier: MIT */
/*
 * What is known of each word of memory: a hash table of pages of 512 bytes, and 64 words for each.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES_MAX (1U << 17) /* of 512 bytes; a power of two */
#define PAGE_SHIFT 9
#define WORDS_OF_PAGE (1U << (PAGE_SHIFT - 3))

/* Where the kernel maps nothing by itself; the same in each run. */
#define LAZY_FIRST 0x200000000000UL
#define LAZY_ALIGN (1UL << 21)

struct slot {
	uintptr_t page;
	struct word *words;
};

static struct slot *slots;
static struct word *arena;
static unsigned int *used_slots; /* used of them */
static unsigned int used;
static uintptr_t last_page;
static struct word *last_words;

void *lazy_memory(size_t size)
{
	static uintptr_t next = LAZY_FIRST;
	void *p = mmap((void *)next, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	next += (size + LAZY_ALIGN - 1) & ~(LAZY_ALIGN - 1);
	return p;
}

void shadow_prepare(void)
{
	used_slots = lazy_memory(PAGES_MAX / 2 * sizeof(*used_slots));
	slots = lazy_memory(PAGES_MAX * sizeof(*slots));
	arena = lazy_memory(PAGES_MAX / 2 * WORDS_OF_PAGE * sizeof(*arena));
}

static struct slot *slot_of(uintptr_t page)
{
	unsigned int i = (unsigned int)(page * 0x9e3779b97f4a7c15UL >> 47);

	while (slots[i].words && slots[i].page != page)
		i = (i + 1) % PAGES_MAX;
	return &slots[i];
}

struct word *shadow_find(uintptr_t addr)
{
	const uintptr_t page = addr >> PAGE_SHIFT;

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
	slot = slot_of(addr >> PAGE_SHIFT);
	slot->page = addr >> PAGE_SHIFT;
	used_slots[used] = (unsigned int)(slot - slots);
	slot->words = arena + (size_t)used++ * WORDS_OF_PAGE;
	return shadow_find(addr);
}

void shadow_reset(void)
{
	for (unsigned int i = 0; i < used; i++)
		slots[used_slots[i]].words = NULL;
	memset(arena, 0, (size_t)used * WORDS_OF_PAGE * sizeof(*arena));
}
