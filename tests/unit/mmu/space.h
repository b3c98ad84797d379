/* SPDX-License-Identifier: MIT */
/*
 * An mm for tests of the page tables alone: a machine that is a struct on the stack, and
 * RAM (for the TLB) that is a few pages of the host's.
 */
#ifndef SAMARA_TEST_MMU_SPACE_H
#define SAMARA_TEST_MMU_SPACE_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"
#include "support/huge_entry.h"

#include <samara/inject.h>

#include "frame/frame.h"
#include "mmu/table.h"

#define PAGE 4096UL

struct space {
	struct samara_machine machine;
	struct call_gate gate;
	struct samara_mm *mm;
	struct ram_view ram;
};

/* Spaces that are up, and the objects that were there before the first. */
static unsigned int spaces_up;
static unsigned long live_before;

static inline void space_up(struct space *s, const struct samara_geometry *geo)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(samara_geometry_check(geo), 0);
	if (!spaces_up++)
		live_before = samara_live_objects();
	s->machine.geo = *geo;
	assert_int_equal(gate_init(&s->gate), 0);
	s->machine.gate = &s->gate;
	s->mm = mm_alloc(&s->machine);
	assert_non_null(s->mm);
}

/* Frames with memory behind them, for tests that follow an entry. */
static inline void space_ram(struct space *s, unsigned long frames)
{
	s->ram.page_shift = s->machine.geo.page_shift;
	s->ram.nr_frames = frames;
	s->ram.base = aligned_alloc(PAGE, frames << s->ram.page_shift);
	assert_non_null(s->ram.base);
	memset(s->ram.base, 0, frames << s->ram.page_shift);
	s->machine.ram = (struct ram *)&s->ram;
}

/* Nothing may be left after the last one. */
static inline void space_down(struct space *s)
{
	struct samara_report report = { 0 };

	if (pgtable_validate(s->mm, &report))
		fail_msg("%s: %s", report.invariant, report.text);
	pgd_free(s->mm);
	mm_free(s->mm);
	free(s->ram.base);
	if (!--spaces_up)
		assert_int_equal(samara_live_objects(), live_before);
}

static inline struct table *must_get(struct samara_mm *mm, unsigned long addr)
{
	struct table *leaf;

	assert_int_equal(table_get(mm, addr, &leaf), 0);
	return leaf;
}

/* Whatever is there becomes pte. */
static inline void set_entry(struct samara_mm *mm, unsigned long addr, pte_t pte)
{
	struct table *leaf = must_get(mm, addr);
	pte_t *at = table_pte(mm, leaf, addr);

	table_lock(leaf);
	if (!pte_none(pte_read(at)))
		table_clear(leaf, at);
	if (!pte_none(pte))
		table_fill(leaf, at, pte);
	table_unlock(leaf);
}

/* Where page tables end at the task size and begin above 0, as on 32-bit ARM; 3 levels of 512. */
static inline struct samara_geometry geometry_ceiling(void)
{
	struct samara_geometry geo = *samara_geometry_x86_64();

	geo.levels = 3;
	geo.task_size = geo.map_window = geo.table_ceiling = 3UL << 30;
	geo.map_min_addr = geo.first_user_addr = 2 * PAGE;
	return geo;
}

#endif
