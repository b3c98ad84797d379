/* SPDX-License-Identifier: MIT */
/*
 * A machine whose RAM is really full: nothing is refused on purpose, but another mm holds every
 * frame. Accesses that need one say so and change nothing, fork too where a pinned page has to be
 * copied; what needs none goes on. Once the hog has gone, all of it works.
 */
#include <errno.h>
#include <sys/mman.h>

#include <samara/inject.h>

#include "support/cmocka_all.h"
#include "support/inject_matrix.h"
#include "support/rich_mm.h"

#define NEW 0x77

struct full {
	struct rich w;
	struct samara_mm *hog;
	struct rich_snap *before, *after;
};

/* Every frame that is left. */
static void fill_ram(struct full *f)
{
	const unsigned long len = 64UL << 20;
	struct samara_fault fault = { 0 };
	unsigned long addr, at;

	assert_int_equal(samara_mm_create(f->w.machine, &f->hog), 0);
	addr = samara_mmap(f->hog, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   NULL, 0);
	assert_false(SAMARA_IS_ERR_VALUE(addr));
	for (at = addr; at < addr + len; at += RICH_PAGE)
		if (samara_write(f->hog, at, "x", 1, &fault) != 1)
			break;
	assert_in_range(at, addr + RICH_PAGE, addr + len - RICH_PAGE);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(fault.code, -ENOMEM);
}

static int up(void **state)
{
	static struct full f;

	rich_up(&f.w);
	fill_ram(&f);
	f.before = rich_snap_new();
	f.after = rich_snap_new();
	rich_snap_take(&f.w, f.before);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct full *f = *state;

	samara_mm_exit(f->hog);
	rich_down(&f->w);
	rich_snap_free(f->before);
	rich_snap_free(f->after);
	return 0;
}

static void nothing_has_changed(struct full *f, const char *when)
{
	rich_validate(&f->w, when);
	rich_snap_take(&f->w, f->after);
	rich_snap_same(f->before, f->after, when);
}

static void let_go(struct full *f)
{
	samara_mm_exit(f->hog);
	f->hog = NULL;
}

static const struct {
	enum rich_row row;
	unsigned int page;
} needy[] = {
	{ RICH_ANON, 6 },    { RICH_ANON, 4 },    { RICH_OLD, 0 },
	{ RICH_PRIVATE, 0 }, { RICH_PRIVATE, 6 }, { RICH_SHARED, 7 },
	{ RICH_HOST, 5 },    { RICH_HEAP, 3 },    { RICH_WIPE, 0 },
};

static void a_write_that_needs_a_frame_says_so(void **state)
{
	struct full *f = *state;
	const size_t n = sizeof(needy) / sizeof(needy[0]) - 1; /* the last is there already */

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(rich_write(&f->w, RICH_SELF, needy[i].row, needy[i].page, NEW),
				 -ENOMEM);
		nothing_has_changed(f, "a write to full RAM");
	}
	assert_int_equal(rich_read(&f->w, RICH_SELF, RICH_HOST, 5), -ENOMEM);
	nothing_has_changed(f, "a read to full RAM");
	assert_int_equal(rich_write(&f->w, RICH_SELF, needy[n].row, needy[n].page, NEW), 0);
	let_go(f);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(rich_write(&f->w, RICH_SELF, needy[i].row, needy[i].page, NEW), 0);
	rich_check(&f->w, "with RAM again");
}

static void fork_that_must_copy_a_pinned_page_says_so(void **state)
{
	struct full *f = *state;
	struct samara_mm *child = NULL;

	assert_int_equal(samara_fork(f->w.view[RICH_SELF].mm, &child), -ENOMEM);
	assert_null(child);
	nothing_has_changed(f, "fork with full RAM");
	assert_int_equal(rich_write(&f->w, RICH_SELF, RICH_ANON, 0, 0x80), 0);
	nothing_has_changed(f, "a write after it");
	/* Without pins every page can be shared. */
	samara_unpin_pages(f->w.pin, 2, 0);
	assert_int_equal(samara_fork(f->w.view[RICH_SELF].mm, &child), 0);
	samara_mm_exit(child);
	let_go(f);
	assert_int_equal(samara_pin_pages(f->w.view[RICH_SELF].mm, RICH_AT(RICH_PINNED, 0), 2,
					  SAMARA_PIN_WRITE, f->w.pin),
			 2);
	rich_check(&f->w, "with RAM again");
}

static void pins_and_populating_say_so(void **state)
{
	struct full *f = *state;
	struct samara_mm *mm = f->w.view[RICH_SELF].mm;
	struct samara_pin pin;

	assert_int_equal(samara_pin_pages(mm, RICH_AT(RICH_ANON, 6), 1, SAMARA_PIN_WRITE, &pin),
			 -ENOMEM);
	nothing_has_changed(f, "a pin with full RAM");
	assert_int_equal(samara_madvise(mm, RICH_AT(RICH_ANON, 6), RICH_PAGE, MADV_POPULATE_WRITE),
			 -ENOMEM);
	nothing_has_changed(f, "populating with full RAM");
	assert_int_equal(samara_mlock(mm, RICH_AT(RICH_ANON, 6), RICH_PAGE), -EAGAIN);
	assert_int_equal(samara_munlock(mm, RICH_AT(RICH_ANON, 6), RICH_PAGE), 0);
	nothing_has_changed(f, "locking with full RAM");
	let_go(f);
	rich_check(&f->w, "with RAM again");
}

static void everything_can_leave(void **state)
{
	struct full *f = *state;
	struct samara_mm *mm = f->w.view[RICH_SELF].mm;

	assert_int_equal(samara_munmap(mm, RICH_AT(RICH_ANON, 1), RICH_PAGE), 0);
	rich_set(&f->w.view[RICH_SELF], RICH_ANON, 1, 2, RICH_SEGV);
	assert_int_equal(samara_madvise(mm, RICH_AT(RICH_OLD, 4), RICH_PAGE, MADV_DONTNEED), 0);
	rich_set(&f->w.view[RICH_SELF], RICH_OLD, 4, 5, 0);
	/* Their frames are somebody's at once. */
	assert_int_equal(rich_write(&f->w, RICH_SELF, RICH_ANON, 6, NEW), 0);
	let_go(f);
	rich_check(&f->w, "with RAM again");
}

static unsigned long live;

static int count_live(void **state)
{
	live = samara_live_objects();
	return 0;
}

static int none_left(void **state)
{
	return samara_live_objects() != live;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_write_that_needs_a_frame_says_so, up, down),
		cmocka_unit_test_setup_teardown(fork_that_must_copy_a_pinned_page_says_so, up,
						down),
		cmocka_unit_test_setup_teardown(pins_and_populating_say_so, up, down),
		cmocka_unit_test_setup_teardown(everything_can_leave, up, down),
	};

	return inject_matrix("inject/frames", cmocka_run_group_tests(tests, count_live, none_left));
}
