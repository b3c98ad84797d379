/* SPDX-License-Identifier: MIT */
/*
 * mmap, munmap, brk, mprotect and mseal on a rich address space (support/rich_mm.h) with every
 * allocation failing in turn (support/inject_run.h): over, beside, across and inside what has
 * pages. The others are in inject/advise.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/inject_run.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)

static struct samara_mm *self(struct rich *w)
{
	return w->view[RICH_SELF].mm;
}

static void now(struct rich *w, enum rich_row row, unsigned int from, unsigned int to, int what)
{
	rich_set(&w->view[RICH_SELF], row, from, to, what);
}

/* mmap(2) of pages [from, to) of a row. 0 or -errno. */
static int map(struct rich *w, enum rich_row row, unsigned int from, unsigned int to,
	       const struct samara_mapping *how)
{
	const unsigned long addr = samara_mmap(self(w), RICH_AT(row, from), (to - from) * RICH_PAGE,
					       how->prot, how->flags, how->file, how->offset);

	if (SAMARA_IS_ERR_VALUE(addr))
		return (int)addr;
	assert_int_equal(addr, RICH_AT(row, from));
	for (unsigned int page = from; page < to; page++)
		now(w, row, page, page + 1,
		    how->file ? 0x40 + (int)(page - from + how->offset / RICH_PAGE) : 0);
	return 0;
}

/* mmap --------------------------------------------------------------------- */

static int map_over_written(struct rich *w)
{
	return map(w, RICH_OLD, 2, 6, &(struct samara_mapping){ .prot = RW, .flags = ANON });
}

static int map_between(struct rich *w)
{
	return map(w, RICH_SPARE, 0, 3, &(struct samara_mapping){ .prot = RW, .flags = ANON });
}

static int map_beside(struct rich *w)
{
	return map(w, RICH_ANON, 7, 8, &(struct samara_mapping){ .prot = RW, .flags = ANON });
}

static int map_populated(struct rich *w)
{
	return map(w, RICH_SPARE, 0, 4,
		   &(struct samara_mapping){ .prot = RW, .flags = ANON | MAP_POPULATE });
}

static int map_locked(struct rich *w)
{
	return map(w, RICH_SPARE, 0, 4,
		   &(struct samara_mapping){ .prot = RW, .flags = ANON | MAP_LOCKED });
}

static int map_shared_anon(struct rich *w)
{
	return map(w, RICH_WIPE, 2, 6,
		   &(struct samara_mapping){ .prot = RW,
					     .flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED });
}

static int map_file_over_anon(struct rich *w)
{
	return map(w, RICH_LOCKED, 3, 5,
		   &(struct samara_mapping){
			   .prot = RW, .flags = MAP_PRIVATE | MAP_FIXED, .file = w->file });
}

static int map_device_over_file(struct rich *w)
{
	const int err =
		map(w, RICH_PRIVATE, 0, RICH_PAGES,
		    &(struct samara_mapping){
			    .prot = RW, .flags = MAP_SHARED | MAP_FIXED, .file = w->device });

	for (unsigned int page = 0; !err && page < RICH_PAGES; page++)
		now(w, RICH_PRIVATE, page, page + 1, 0x70 + (int)page);
	return err;
}

static int install(struct rich *w)
{
	const struct samara_mapping mapping = { .start = RICH_AT(RICH_SPARE, 0),
						.end = RICH_AT(RICH_SPARE, 4),
						.prot = RW,
						.flags = MAP_PRIVATE,
						.touched = true };
	const int err = samara_mm_install(self(w), &mapping);

	if (!err)
		now(w, RICH_SPARE, 0, 4, 0);
	return err;
}

static int remap_file_pages_(struct rich *w)
{
	const int err =
		samara_remap_file_pages(self(w), RICH_AT(RICH_FILE, 2), 2 * RICH_PAGE, 0, 5, 0);

	if (!err) {
		now(w, RICH_FILE, 2, 3, 0x45);
		now(w, RICH_FILE, 3, 4, 0x46);
	}
	return err;
}

/* munmap, brk -------------------------------------------------------------- */

static int unmap(struct rich *w, enum rich_row row, unsigned int from, unsigned int to)
{
	const int err = samara_munmap(self(w), RICH_AT(row, from), (to - from) * RICH_PAGE);

	if (!err)
		now(w, row, from, to, RICH_SEGV);
	return err;
}

static int unmap_middle(struct rich *w)
{
	return unmap(w, RICH_OLD, 3, 5);
}

static int unmap_start(struct rich *w)
{
	return unmap(w, RICH_PRIVATE, 0, 3);
}

static int unmap_pinned_and_guards(struct rich *w)
{
	const int err = unmap(w, RICH_PINNED, 0, 1);

	return err ? err : unmap(w, RICH_GUARD, 1, 3);
}

/* From the middle of one to the middle of another, all between included. */
static int unmap_across(struct rich *w)
{
	const unsigned long from = RICH_AT(RICH_SHARED, 3), to = RICH_AT(RICH_WIPE, 2);
	const int err = samara_munmap(self(w), from, to - from);

	if (err)
		return err;
	now(w, RICH_SHARED, 3, RICH_PAGES, RICH_SEGV);
	for (int row = RICH_SHARED + 1; row < RICH_WIPE; row++)
		now(w, row, 0, RICH_PAGES, RICH_SEGV);
	now(w, RICH_WIPE, 0, 2, RICH_SEGV);
	return 0;
}

static int unmap_device_whole(struct rich *w)
{
	return unmap(w, RICH_DEVICE, 0, RICH_PAGES);
}

/* A driver is told of each part that goes: so the parts become VMAs first, and stay that. */
static int unmap_device_middle(struct rich *w)
{
	return unmap(w, RICH_DEVICE, 2, 5);
}

static int brk_to(struct rich *w, unsigned int page)
{
	const unsigned long to = RICH_AT(RICH_HEAP, page);

	return samara_brk(self(w), to) == to ? 0 : -ENOMEM;
}

static int heap_grows(struct rich *w)
{
	const int err = brk_to(w, 7);

	if (!err)
		now(w, RICH_HEAP, 4, 7, 0);
	return err;
}

static int heap_shrinks(struct rich *w)
{
	const int err = brk_to(w, 1);

	if (!err)
		now(w, RICH_HEAP, 1, 4, RICH_SEGV);
	return err;
}

/* Growing populates; undone, nothing is locked any more. */
static int heap_grows_locked(struct rich *w)
{
	int err;

	assert_int_equal(samara_mlockall(self(w), MCL_FUTURE), 0);
	err = heap_grows(w);
	if (err)
		assert_int_equal(samara_munlockall(self(w)), 0);
	return err;
}

/* mprotect, mseal ---------------------------------------------------------- */

static int protect_middle(struct rich *w)
{
	return samara_mprotect(self(w), RICH_AT(RICH_OLD, 3), 2 * RICH_PAGE, PROT_READ);
}

static int protect_into_neighbour(struct rich *w)
{
	return samara_mprotect(self(w), RICH_AT(RICH_EDGE, 4), 4 * RICH_PAGE, RW);
}

static int protect_part_into_neighbour(struct rich *w)
{
	return samara_mprotect(self(w), RICH_AT(RICH_EDGE, 4), 2 * RICH_PAGE, RW);
}

/* The neighbour below, which has no family yet, takes over what has one. */
static int protect_gives_family(struct rich *w)
{
	return samara_mprotect(self(w), RICH_AT(RICH_FAMILY, 4), 4 * RICH_PAGE, PROT_READ);
}

static int protect_part_gives_family(struct rich *w)
{
	return samara_mprotect(self(w), RICH_AT(RICH_FAMILY, 4), 2 * RICH_PAGE, PROT_READ);
}

static int protect_file(struct rich *w)
{
	return samara_mprotect(self(w), RICH_AT(RICH_PRIVATE, 2), 3 * RICH_PAGE, PROT_READ);
}

static int seal_middle(struct rich *w)
{
	return samara_mseal(self(w), RICH_AT(RICH_OLD, 3), 2 * RICH_PAGE, 0);
}

#define OP(fn_, ...) \
	{ \
		.name = #fn_, .fn = fn_, __VA_ARGS__ \
	}

int main(void)
{
	static const struct inject_op ops[] = {
		OP(map_over_written),
		OP(map_between),
		OP(map_beside, .flags = INJECT_NO_MEMORY),
		OP(map_populated),
		OP(map_locked),
		OP(map_shared_anon),
		OP(map_file_over_anon),
		OP(map_device_over_file),
		OP(install),
		OP(remap_file_pages_),
		OP(unmap_middle),
		OP(unmap_start),
		OP(unmap_pinned_and_guards, .flags = INJECT_PARTIAL),
		OP(unmap_across),
		OP(unmap_device_whole, .flags = INJECT_NO_MEMORY),
		OP(unmap_device_middle, .flags = INJECT_PARTIAL),
		OP(heap_grows),
		OP(heap_shrinks),
		OP(heap_grows_locked, .flags = INJECT_PARTIAL),
		OP(protect_middle),
		OP(protect_into_neighbour),
		OP(protect_part_into_neighbour),
		OP(protect_gives_family),
		OP(protect_part_gives_family),
		OP(protect_file),
		OP(seal_middle),
	};

	return inject_run("inject/calls", ops, sizeof(ops) / sizeof(ops[0]));
}
