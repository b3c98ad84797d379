/* SPDX-License-Identifier: MIT */
/*
 * Swapped memory whose reads or writes fail: each one in turn, alone and with all that follow,
 * each time on a fresh rich address space (support/rich_mm.h).
 *
 *   rich_up, an area, perhaps all pages leave -> the operation with its nth read (write) failing
 *        validators
 *   I/O works again: each page of each view reads as the table says; the area can be switched off
 *
 * Only swapoff may lose a page by a read that fails: all that map its slot get SIGBUS from then on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/inject.h>
#include <samara/reclaim.h>

#include "support/cmocka_all.h"
#include "support/rich_mm.h"

#include "core/mm.h"
#include "store/swap.h"

#define SLOTS 256UL
#define IO_MAX 1000UL
#define ROW (RICH_PAGES * RICH_PAGE)

enum io { IO_READ, IO_WRITE, IOS };

static unsigned char slots[SLOTS][RICH_PAGE];

struct disk {
	unsigned long made[IOS], failed; /* calls since it was armed */
	enum io fails;
	unsigned long nth; /* 0: none fails */
	bool on;           /* those that follow fail, too */
};

struct op {
	const char *name;
	void (*fn)(struct rich *w, struct samara_swap **area);
	bool out;   /* all pages leave before */
	bool loses; /* what cannot be read */
	bool no_io;
};

static struct disk disk;

/* -EIO where the plan says so. */
static int fails(enum io io)
{
	const unsigned long n = ++disk.made[io];

	if (!disk.nth || io != disk.fails || n < disk.nth || (n > disk.nth && !disk.on))
		return 0;
	disk.failed++;
	return -EIO;
}

static int read_slot(void *priv, unsigned long slot, void *page)
{
	(void)priv;
	if (fails(IO_READ))
		return -EIO;
	memcpy(page, slots[slot], RICH_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	(void)priv;
	if (fails(IO_WRITE)) {
		memset(slots[slot], 0xee, RICH_PAGE); /* half written, say */
		return -EIO;
	}
	memcpy(slots[slot], page, RICH_PAGE);
	return 0;
}

static struct samara_swap *area_on(struct rich *w)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};
	struct samara_swap *area;

	assert_int_equal(samara_swapon_ops(w->machine, &ops, NULL, SLOTS, 0, &area), 0);
	return area;
}

static void all_leave(struct rich *w, struct samara_swap **area)
{
	(void)area;
	assert_in_range(samara_reclaim(w->machine, SLOTS), 0, SLOTS);
	assert_in_range(samara_reclaim(w->machine, SLOTS), 0, SLOTS);
}

/* the operations ------------------------------------------------------------------ */

static void page_out(struct rich *w, struct samara_swap **area)
{
	(void)area;
	for (unsigned int row = 0; row < RICH_ROWS; row++) {
		const int err = samara_madvise(w->view[RICH_SELF].mm, RICH_AT(row, 0), ROW,
					       MADV_PAGEOUT);

		assert_true(!err || err == -EINVAL || err == -ENOMEM);
	}
}

static void touch(struct rich *w, struct samara_swap **area)
{
	(void)area;
	for (unsigned int view = 0; view < RICH_VIEWS; view++) {
		for (unsigned int row = 0; w->view[view].mm && row < RICH_ROWS; row++) {
			for (unsigned int page = 0; page < RICH_PAGES; page++) {
				const int want = w->view[view].byte[row][page], got =
					want < 0 ? want : rich_read(w, view, row, page);

				if (got != want && !(got == RICH_BUS && disk.failed))
					fail_msg("view %u, row %u, page %u: %d, not %d", view, row,
						 page, got, want);
			}
		}
	}
}

static void change(struct rich *w, struct samara_swap **area)
{
	static const enum rich_row rows[] = { RICH_OLD,    RICH_ANON, RICH_SHARED, RICH_PRIVATE,
					      RICH_FILE,   RICH_HEAP, RICH_LOCKED, RICH_PINNED,
					      RICH_DONTFORK };

	(void)area;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned int page = 0; page < RICH_PAGES; page += 2) {
			const short was = w->view[RICH_SELF].byte[rows[i]][page];
			const int err = was < 0 ? 0 : rich_write(w, RICH_SELF, rows[i], page, 0x55);

			assert_true(!err || (err == RICH_BUS && disk.failed));
		}
	}
}

static void fork_and_change(struct rich *w, struct samara_swap **area)
{
	struct rich_view *child = &w->view[RICH_CHILD];

	assert_int_equal(samara_fork(w->view[RICH_SELF].mm, &child->mm), 0);
	memcpy(child->byte, w->view[RICH_SELF].byte, sizeof(child->byte));
	rich_set(child, RICH_DONTFORK, 0, RICH_PAGES, RICH_SEGV);
	rich_set(child, RICH_WIPE, 0, RICH_PAGES, 0);
	change(w, area);
	touch(w, area);
}

static void lock(struct rich *w, struct samara_swap **area)
{
	(void)area;
	for (unsigned int row = 0; row <= RICH_ANON; row++) {
		const int err = samara_mlock(w->view[RICH_SELF].mm, RICH_AT(row, 0), ROW);

		assert_true(!err || disk.failed);
	}
}

static void move_and_cut(struct rich *w, struct samara_swap **area)
{
	struct samara_mm *mm = w->view[RICH_SELF].mm;
	struct rich_view *v = &w->view[RICH_SELF];

	assert_int_equal(samara_mremap(mm, RICH_AT(RICH_OLD, 0), ROW, ROW,
				       MREMAP_MAYMOVE | MREMAP_FIXED, RICH_AT(RICH_SPARE, 0)),
			 RICH_AT(RICH_SPARE, 0));
	memcpy(v->byte[RICH_SPARE], v->byte[RICH_OLD], sizeof(v->byte[RICH_OLD]));
	rich_set(v, RICH_OLD, 0, RICH_PAGES, RICH_SEGV);
	assert_int_equal(samara_munmap(mm, RICH_AT(RICH_ANON, 2), 2 * RICH_PAGE), 0);
	rich_set(v, RICH_ANON, 2, 4, RICH_SEGV);
	assert_int_equal(samara_mprotect(mm, RICH_AT(RICH_HEAP, 0), RICH_PAGE, PROT_READ), 0);
	touch(w, area);
}

static void file_io(struct rich *w, struct samara_swap **area)
{
	unsigned char page[RICH_PAGE];

	(void)area;
	for (unsigned int i = 0; i < RICH_PAGES; i++) {
		const long n = samara_file_pread(w->file, page, sizeof(page), i * RICH_PAGE);

		assert_true(n == (long)sizeof(page) || (n == -EIO && disk.failed));
		if (n > 0)
			assert_int_equal(page[1], w->view[RICH_SELF].byte[RICH_FILE][i]);
	}
}

static void move_frames(struct rich *w, struct samara_swap **area)
{
	(void)area;
	for (unsigned int row = 0; row < RICH_ROWS; row++)
		(void)samara_migrate_pages(w->view[RICH_SELF].mm, RICH_AT(row, 0), RICH_PAGES);
	(void)samara_compact(w->machine, 3);
}

static void back_and_out(struct rich *w, struct samara_swap **area)
{
	touch(w, area);
	all_leave(w, area);
	change(w, area);
	all_leave(w, area);
}

static void off(struct rich *w, struct samara_swap **area)
{
	const int err = samara_swapoff(*area);

	(void)w;
	assert_true(!err || disk.failed);
	if (!err)
		*area = NULL;
}

/* one run ------------------------------------------------------------------------- */

/* Two mappings of one file's pages. */
static unsigned int memory_of(unsigned int row)
{
	return row == RICH_PRIVATE ? RICH_FILE : row;
}

/* What is lost reads so for ever; one failed read loses one page of memory at most. */
static void find_lost(struct rich *w, bool alone, const char *when)
{
	unsigned int at = 0, first = 0;

	for (unsigned int view = 0; view < RICH_VIEWS; view++) {
		for (unsigned int row = 0; w->view[view].mm && row < RICH_ROWS; row++) {
			for (unsigned int page = 0; page < RICH_PAGES; page++) {
				short *want = &w->view[view].byte[row][page];

				if (*want < 0 || rich_read(w, view, row, page) != RICH_BUS)
					continue;
				*want = RICH_BUS;
				at = memory_of(row) * RICH_PAGES + page + 1;
				first = first ? first : at;
				if (alone && at != first)
					fail_msg("%s: one failed read lost two pages", when);
			}
		}
	}
	if (at && !disk.failed)
		fail_msg("%s: a page is lost, and no read failed", when);
}

/* How many calls of that kind it made. */
static unsigned long run(const struct op *op, enum io io, unsigned long nth, bool on)
{
	struct samara_report report;
	struct samara_swap *area;
	struct rich w;
	unsigned long made;
	char when[128];

	snprintf(when, sizeof(when), "%s, %s %lu%s fails", op->name,
		 io == IO_READ ? "read" : "write", nth, on ? " and on" : "");
	rich_up(&w);
	area = area_on(&w);
	if (op->out)
		all_leave(&w, &area);
	disk = (struct disk){ .fails = io, .nth = nth, .on = on };
	op->fn(&w, &area);
	made = disk.made[io];
	disk.nth = 0;
	rich_validate(&w, when);
	if (swap_validate(w.machine->store, &report))
		fail_msg("%s: %s", when, report.text);
	if (op->loses)
		find_lost(&w, !on, when);
	rich_check(&w, when);
	if (area)
		assert_int_equal(samara_swapoff(area), 0);
	rich_check(&w, when);
	rich_down(&w);
	return made;
}

static void each_call_in_turn(void **state)
{
	const struct op *op = *state;
	const unsigned long live = samara_live_objects();
	unsigned long made = 0;

	for (int on = 0; on < 2; on++) {
		for (enum io io = IO_READ; io < IOS; io++) {
			unsigned long nth = 1;

			for (; run(op, io, nth, on) >= nth; nth++)
				assert_in_range(nth, 1, IO_MAX);
			made += nth - 1;
		}
	}
	assert_int_equal(!made, op->no_io);
	assert_int_equal(samara_live_objects(), live);
}

#define OP(fn_, ...) \
	{ \
		.name = #fn_, .fn = fn_, __VA_ARGS__ \
	}

int main(void)
{
	static const struct op ops[] = {
		OP(all_leave),
		OP(page_out),
		OP(touch, .out = true),
		OP(change, .out = true),
		OP(fork_and_change, .out = true),
		OP(lock, .out = true),
		OP(move_and_cut, .out = true),
		OP(file_io, .out = true),
		OP(move_frames, .out = true, .no_io = true),
		OP(back_and_out, .out = true),
		OP(off, .out = true, .loses = true),
	};
	struct CMUnitTest tests[sizeof(ops) / sizeof(ops[0])];

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		tests[i] = (struct CMUnitTest){ .name = ops[i].name,
						.test_func = each_call_in_turn,
						.initial_state = (void *)&ops[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
