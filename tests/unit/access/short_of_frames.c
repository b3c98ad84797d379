/* SPDX-License-Identifier: MIT */
/*
 * Accesses that need two frames where one can be had: the page that was read from swap for them
 * does not leave again to make room for its own copy.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <samara/access.h>
#include <samara/mm.h>
#include <samara/reclaim.h>

#include "support/cmocka_all.h"

#define PAGE 4096UL
#define FRAMES 256UL
#define SLOTS 1024UL
#define BASE 0x200000000000UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)

static char slot_bytes[SLOTS][PAGE];
static unsigned long reads;

static int read_slot(void *priv, unsigned long slot, void *page)
{
	(void)priv;
	reads++;
	memcpy(page, slot_bytes[slot], PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	(void)priv;
	memcpy(slot_bytes[slot], page, PAGE);
	return 0;
}

/* A page of parent and child that is in swap, and a third one that has locked all frames. */
struct scene {
	struct samara_machine *machine;
	struct samara_mm *parent, *child, *locker;
};

static struct samara_mm *new_mm(struct samara_machine *machine, unsigned long pages)
{
	struct samara_mm *mm;

	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_int_equal(samara_set_rlimit(mm, RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY), 0);
	assert_int_equal(samara_mmap(mm, BASE, pages * PAGE, RW, ANON, NULL, 0), BASE);
	return mm;
}

static void scene_begin(struct scene *s)
{
	const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_swap *area;
	unsigned long long entry;
	unsigned long n = 0;

	config.ram_bytes = FRAMES * PAGE;
	config.overcommit = SAMARA_OVERCOMMIT_ALWAYS;
	assert_int_equal(samara_machine_create(&config, &s->machine), 0);
	assert_int_equal(samara_swapon_ops(s->machine, &ops, NULL, SLOTS, 0, &area), 0);
	s->parent = new_mm(s->machine, 1);
	assert_int_equal(samara_write(s->parent, BASE, "parent", 6, NULL), 6);
	assert_int_equal(samara_fork(s->parent, &s->child), 0);
	s->locker = new_mm(s->machine, 2 * FRAMES);
	while (!samara_mlock(s->locker, BASE + n * PAGE, PAGE))
		assert_true(++n <= FRAMES);
	assert_int_equal(samara_pagemap(s->parent, BASE, 1, &entry), 0);
	assert_true(entry & SAMARA_PM_SWAP);
	reads = 0;
}

static void scene_end(struct scene *s)
{
	samara_mm_exit(s->parent);
	samara_mm_exit(s->child);
	samara_mm_exit(s->locker);
	samara_machine_destroy(s->machine);
}

static void free_frames(struct scene *s, unsigned long n)
{
	assert_int_equal(samara_munlock(s->locker, BASE, n * PAGE), 0);
	assert_int_equal(samara_madvise(s->locker, BASE, n * PAGE, MADV_DONTNEED), 0);
}

static void one_frame_for_a_page_and_its_copy_is_too_little(void **state)
{
	struct scene s;
	char text[6];

	(void)state;
	scene_begin(&s);
	free_frames(&s, 1);
	assert_int_equal(samara_write(s.parent, BASE, "PARENT", 6, NULL), -ENOMEM);
	assert_in_range(reads, 1, 4);
	/* To read it one is enough. */
	assert_int_equal(samara_read(s.parent, BASE, text, 6, NULL), 6);
	assert_memory_equal(text, "parent", 6);
	scene_end(&s);
}

static void two_are_enough(void **state)
{
	struct scene s;
	char text[6];

	(void)state;
	scene_begin(&s);
	free_frames(&s, 2);
	assert_int_equal(samara_write(s.parent, BASE, "PARENT", 6, NULL), 6);
	assert_int_equal(samara_read(s.child, BASE, text, 6, NULL), 6);
	assert_memory_equal(text, "parent", 6);
	scene_end(&s);
}

static void pins_and_populating_end_as_well(void **state)
{
	struct samara_pin pin;
	struct scene s;

	(void)state;
	scene_begin(&s);
	free_frames(&s, 1);
	assert_int_equal(samara_pin_pages(s.parent, BASE, 1, SAMARA_PIN_WRITE, &pin), -ENOMEM);
	assert_in_range(reads, 1, 4);
	reads = 0;
	assert_int_equal(samara_madvise(s.child, BASE, PAGE, 23 /* POPULATE_WRITE */), -ENOMEM);
	assert_in_range(reads, 0, 4);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_frame_for_a_page_and_its_copy_is_too_little),
		cmocka_unit_test(two_are_enough),
		cmocka_unit_test(pins_and_populating_end_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
