/* SPDX-License-Identifier: MIT */
/*
 * A small RAM for each test; at its end every frame must be free again and
 * nothing may live.
 */
#ifndef SAMARA_TEST_FRAME_FIXTURE_H
#define SAMARA_TEST_FRAME_FIXTURE_H

#include "support/cmocka_all.h"

#include <string.h>

#include <samara/inject.h>

#include "base/assert.h"
#include "frame/frame.h"
#include "frame/ram.h"

#define PAGE 4096UL
#define FRAMES 4096UL

static inline struct ram *ram_of(unsigned long frames)
{
	const struct ram_config config = { .bytes = frames * PAGE, .page_shift = 12 };
	struct ram *ram;

	assert_int_equal(ram_create(&config, &ram), 0);
	return ram;
}

static inline void assert_valid(struct ram *ram)
{
	struct samara_report report = { 0 };
	struct ram_stats stats;

	if (ram_validate(ram, &report))
		fail_msg("%s: %s", report.invariant, report.text);
	ram_stats(ram, &stats);
	assert_int_equal(stats.frames, ram_view(ram)->nr_frames - 1);
}

/* Frames that are not in use. */
static inline unsigned long unused(struct ram *ram)
{
	struct ram_stats stats;

	ram_stats(ram, &stats);
	return stats.free + stats.cached;
}

static inline struct folio *must_alloc(struct ram *ram, unsigned int order, enum folio_fill fill)
{
	struct folio *folio = folio_alloc(ram, order, fill);

	assert_non_null(folio);
	return folio;
}

static inline int ram_up(void **state)
{
	*state = ram_of(FRAMES);
	return 0;
}

static inline int ram_down(void **state)
{
	struct ram *ram = *state;

	samara_inject_nth(0);
	samara_inject_site("frame", 0);
	assert_valid(ram);
	assert_int_equal(unused(ram), ram_view(ram)->nr_frames - 1);
	ram_destroy(ram);
	assert_int_equal(samara_warnings(), 0);
	return samara_live_objects() != 0;
}

#define ram_test(name) cmocka_unit_test_setup_teardown(name, ram_up, ram_down)

#endif
