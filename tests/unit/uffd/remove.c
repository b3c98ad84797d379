/* SPDX-License-Identifier: MIT */
/*
 * REMOVE: which advice tells it, that the pages are there until it is read, and what the call does
 * with a map that has changed meanwhile. As tools/uffd_facts saw it on Linux 6.18.
 */
#include "told.h"

#include <samara/access.h>
#include <samara/file.h>

#include "support/advice.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static int advice;
static unsigned long from, pages;

static long advise(struct fixture *f)
{
	return samara_madvise(f->mm, AT(from), pages * PAGE, advice);
}

static void tells(struct told *t, int advice_, unsigned long from_, unsigned long to,
		  const char *events)
{
	advice = advice_;
	from = from_;
	pages = to - from_;
	call_tells(t, advise, 0, events);
}

static bool begins(struct told *t, int advice_, unsigned long from_, unsigned long to)
{
	advice = advice_;
	from = from_;
	pages = to - from_;
	return call_begins(t, advise);
}

static bool present(struct samara_mm *mm, unsigned long page)
{
	unsigned long long word;

	assert_int_equal(samara_pagemap(mm, AT(page), 1, &word), 0);
	return word >> 63;
}

static void advice_that_takes_pages_away_tells(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 16);
	tells(&t, MADV_DONTNEED, 8, 10, "remove 8-10");
	assert_true(!present(f->mm, 8) && !present(f->mm, 9) && present(f->mm, 10));
	tells(&t, MADV_DONTNEED_LOCKED, 10, 11, "remove 10-11");
	assert_false(present(f->mm, 10));
	tells(&t, MADV_FREE, 8, 10, "remove 8-10");
	tells(&t, MADV_PAGEOUT, 0, 2, "");
	tells(&t, MADV_COLD, 0, 2, "");
	tells(&t, MADV_GUARD_INSTALL, 10, 11, "");
	tells(&t, MADV_GUARD_REMOVE, 10, 11, "");
	tells(&t, MADV_WILLNEED, 0, 2, "");
	tells(&t, MADV_DONTFORK, 0, 16, "");
	told_close(&t);
}

static void each_mapping_of_a_range_is_told_on_its_own(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 16);
	assert_int_equal(samara_uffd_ioctl(t.handler[0], UFFDIO_UNREGISTER,
					   &(struct uffdio_range){ AT(11), PAGE }),
			 0);
	assert_int_equal(samara_mprotect(f->mm, AT(13), 3 * PAGE, PROT_READ), 0);
	tells(&t, MADV_DONTNEED, 8, 16, "remove 8-11, remove 12-13, remove 13-16");
	for (unsigned long n = 8; n < 16; n++)
		assert_false(present(f->mm, n));
	told_close(&t);
}

/* A hole is passed by, and answered with -ENOMEM, whichever side of what is told it is on. */
static void holes_are_answered(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 2, 4);
	map_told(f->mm, t.handler[0], 6, 8);
	map_pages(f->mm, 8, 9, RW, 0);
	advice = MADV_DONTNEED;
	for (from = 0; from < 4; from++) {
		pages = 9 - from;
		call_tells(&t, advise, -ENOMEM,
			   from < 3 ? "remove 2-4, remove 6-8" : "remove 3-4, remove 6-8");
	}
	from = 6;
	pages = 3;
	call_tells(&t, advise, 0, "remove 6-8");
	pages = 4;
	call_tells(&t, advise, -ENOMEM, "remove 6-8");
	told_close(&t);
}

static void pages_go_once_it_is_read(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	assert_true(begins(&t, MADV_DONTNEED, 0, 2));
	assert_true(present(f->mm, 0) && present(f->mm, 1));
	/* No lock is held meanwhile. */
	assert_int_equal(samara_mprotect(f->mm, AT(0), 4 * PAGE, PROT_READ), 0);
	read_event(&t);
	call_ends(&t);
	assert_false(present(f->mm, 0) || present(f->mm, 1));
	told_close(&t);
}

static void gone_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct told t = { .f = f };

	t.handler[0] = open_with(f->mm, UFFD_FEATURE_EVENT_REMOVE);
	map_told(f->mm, t.handler[0], 0, 8);
	assert_true(begins(&t, MADV_DONTNEED, 6, 8));
	assert_int_equal(samara_munmap(f->mm, AT(6), 2 * PAGE), 0);
	call_ends(&t);
	assert_string_equal(t.text, "remove 6-8");
	assert_int_equal(t.ret, -ENOMEM);
	told_close(&t);
}

static void locked_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 8);
	assert_true(begins(&t, MADV_DONTNEED, 0, 6));
	assert_int_equal(samara_mlock(f->mm, AT(0), PAGE), 0);
	call_ends(&t);
	assert_string_equal(t.text, "remove 0-6");
	assert_int_equal(t.ret, -EINVAL);
	assert_true(present(f->mm, 1));
	told_close(&t);
}

static void cut_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 8);
	assert_true(begins(&t, MADV_DONTNEED, 0, 6));
	assert_int_equal(samara_mprotect(f->mm, AT(2), PAGE, PROT_READ), 0);
	call_ends(&t);
	assert_string_equal(t.text, "remove 0-6, remove 2-3, remove 3-6");
	assert_int_equal(t.ret, 0);
	for (unsigned long n = 0; n < 8; n++)
		assert_int_equal(present(f->mm, n), n >= 6);
	told_close(&t);
}

/* files ---------------------------------------------------------------------------- */

static void told_file(struct told *t, struct fixture *f)
{
	told_open(t, f);
	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	for (unsigned long n = 0; n < 8; n++)
		assert_int_equal(samara_write(f->mm, AT(n), "s", 1, NULL), 1);
	do_register(t->handler[0], 0, 8);
}

static unsigned char byte_of_file(struct fixture *f, unsigned long page)
{
	unsigned char byte = 0;

	assert_int_equal(samara_file_pread(f->file, &byte, 1, page * PAGE), 1);
	return byte;
}

static void shared_memory_tells_advice_and_no_change_of_the_file(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_file(&t, f);
	assert_int_equal(byte_of_file(f, 0), 's');
	tells(&t, MADV_REMOVE, 0, 1, "remove 0-1");
	assert_int_equal(byte_of_file(f, 0), 0);
	tells(&t, MADV_DONTNEED, 1, 2, "remove 1-2");
	/* As Linux: told, and then refused. */
	advice = MADV_FREE;
	call_tells(&t, advise, -EINVAL, "remove 1-2");
	assert_int_equal(samara_file_punch_hole(f->file, 2 * PAGE, PAGE), 0);
	assert_int_equal(samara_file_set_length(f->file, 4 * PAGE), 0);
	assert_int_equal(unread(t.handler[0]), 0);
	told_close(&t);
}

static void a_hole_is_made_though_its_mapping_has_gone(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_file(&t, f);
	samara_uffd_put(t.handler[0]);
	t.handler[0] = open_with(f->mm, UFFD_FEATURE_EVENT_REMOVE);
	do_register(t.handler[0], 0, 8);
	assert_true(begins(&t, MADV_REMOVE, 0, 2));
	assert_int_equal(samara_munmap(f->mm, AT(0), 8 * PAGE), 0);
	call_ends(&t);
	assert_int_equal(t.ret, 0);
	assert_true(!byte_of_file(f, 0) && !byte_of_file(f, 1) && byte_of_file(f, 2) == 's');
	told_close(&t);
}

static void advice_that_does_not_fit_the_mapping_tells_nothing(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	from = 0;
	pages = 4;
	advice = MADV_REMOVE;
	call_tells(&t, advise, -EINVAL, "");
	assert_int_equal(samara_mlock(f->mm, AT(0), 4 * PAGE), 0);
	advice = MADV_DONTNEED;
	call_tells(&t, advise, -EINVAL, "");
	advice = MADV_DONTNEED_LOCKED;
	call_tells(&t, advise, 0, "remove 0-4");
	told_close(&t);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(advice_that_takes_pages_away_tells),
		T(each_mapping_of_a_range_is_told_on_its_own),
		T(holes_are_answered),
		T(pages_go_once_it_is_read),
		T(gone_meanwhile),
		T(locked_meanwhile),
		T(cut_meanwhile),
		T(shared_memory_tells_advice_and_no_change_of_the_file),
		T(a_hole_is_made_though_its_mapping_has_gone),
		T(advice_that_does_not_fit_the_mapping_tells_nothing),
	};

	return cmocka_run_group_tests_name("unit/uffd/remove", tests, NULL, NULL);
}
