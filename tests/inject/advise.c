/* SPDX-License-Identifier: MIT */
/*
 * mremap, madvise, mlock and the reports on a rich address space (support/rich_mm.h) with every
 * allocation failing in turn (support/inject_run.h).
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/inject_run.h"

static struct samara_mm *self(struct rich *w)
{
	return w->view[RICH_SELF].mm;
}

static void now(struct rich *w, enum rich_row row, unsigned int from, unsigned int to, int what)
{
	rich_set(&w->view[RICH_SELF], row, from, to, what);
}

/* mremap ------------------------------------------------------------------- */

static int moved(struct rich *w, enum rich_row row, unsigned int from, unsigned int n, int flags)
{
	const unsigned long to = RICH_AT(RICH_SPARE, 0);
	struct rich_view *v = &w->view[RICH_SELF];
	const unsigned long ret =
		samara_mremap(self(w), RICH_AT(row, from), n * RICH_PAGE, n * RICH_PAGE,
			      MREMAP_MAYMOVE | MREMAP_FIXED | flags, to);

	if (SAMARA_IS_ERR_VALUE(ret))
		return (int)ret;
	for (unsigned int page = 0; page < n; page++) {
		v->byte[RICH_SPARE][page] = v->byte[row][from + page];
		v->byte[row][from + page] = flags & MREMAP_DONTUNMAP ? 0 : RICH_SEGV;
	}
	return 0;
}

static int move_whole(struct rich *w)
{
	return moved(w, RICH_OLD, 0, RICH_PAGES, 0);
}

static int move_middle(struct rich *w)
{
	return moved(w, RICH_OLD, 2, 4, 0);
}

static int move_and_keep(struct rich *w)
{
	return moved(w, RICH_OLD, 0, RICH_PAGES, MREMAP_DONTUNMAP);
}

static int move_private_file(struct rich *w)
{
	return moved(w, RICH_PRIVATE, 1, 3, 0);
}

static int move_device_middle(struct rich *w)
{
	return moved(w, RICH_DEVICE, 2, 3, 0);
}

/* What lies at the target goes. */
static int move_over_written(struct rich *w)
{
	struct rich_view *v = &w->view[RICH_SELF];
	const unsigned long ret =
		samara_mremap(self(w), RICH_AT(RICH_ANON, 0), 3 * RICH_PAGE, 3 * RICH_PAGE,
			      MREMAP_MAYMOVE | MREMAP_FIXED, RICH_AT(RICH_SHARED, 2));

	if (SAMARA_IS_ERR_VALUE(ret))
		return (int)ret;
	for (unsigned int page = 0; page < 3; page++) {
		v->byte[RICH_SHARED][page + 2] = v->byte[RICH_ANON][page];
		v->byte[RICH_ANON][page] = RICH_SEGV;
	}
	return 0;
}

static int copy_shared(struct rich *w)
{
	struct rich_view *v = &w->view[RICH_SELF];
	const unsigned long ret =
		samara_mremap(self(w), RICH_AT(RICH_SHARED, 0), 0, 3 * RICH_PAGE,
			      MREMAP_MAYMOVE | MREMAP_FIXED, RICH_AT(RICH_SPARE, 0));

	for (unsigned int page = 0; !SAMARA_IS_ERR_VALUE(ret) && page < 3; page++)
		v->byte[RICH_SPARE][page] = v->byte[RICH_SHARED][page];
	return SAMARA_IS_ERR_VALUE(ret) ? (int)ret : 0;
}

static int grow_in_place(struct rich *w)
{
	const unsigned long ret =
		samara_mremap(self(w), RICH_AT(RICH_LOCKED, 0), RICH_PAGES * RICH_PAGE,
			      (RICH_PAGES + 2) * RICH_PAGE, 0, 0);

	return SAMARA_IS_ERR_VALUE(ret) ? (int)ret : 0;
}

/* madvise, mlock ----------------------------------------------------------- */

static int advise(struct rich *w, enum rich_row row, unsigned int from, unsigned int to, int advice)
{
	return samara_madvise(self(w), RICH_AT(row, from), (to - from) * RICH_PAGE, advice);
}

static int dontneed(struct rich *w)
{
	const int err = advise(w, RICH_OLD, 0, 5, MADV_DONTNEED);

	if (!err)
		now(w, RICH_OLD, 0, 5, 0);
	return err;
}

static int lazyfree(struct rich *w)
{
	return advise(w, RICH_OLD, 0, RICH_PAGES, MADV_FREE);
}

static int punch(struct rich *w)
{
	const int err = advise(w, RICH_SHARED, 1, 4, MADV_REMOVE);

	if (!err)
		now(w, RICH_SHARED, 1, 4, 0);
	return err;
}

static int populate_read(struct rich *w)
{
	return advise(w, RICH_HOST, 0, RICH_PAGES, MADV_POPULATE_READ);
}

static int populate_write(struct rich *w)
{
	return advise(w, RICH_OLD, 0, RICH_PAGES, MADV_POPULATE_WRITE);
}

static int dontfork_middle(struct rich *w)
{
	return advise(w, RICH_OLD, 3, 5, MADV_DONTFORK);
}

static int wipe_tail(struct rich *w)
{
	return advise(w, RICH_OLD, 5, RICH_PAGES, MADV_WIPEONFORK);
}

static int guard_middle(struct rich *w)
{
	const int err = advise(w, RICH_ANON, 3, 7, MADV_GUARD_INSTALL);

	if (!err)
		now(w, RICH_ANON, 3, 7, RICH_SEGV);
	return err;
}

static int guard_untouched(struct rich *w)
{
	const int err = advise(w, RICH_FAMILY, 0, 4, MADV_GUARD_INSTALL);

	if (!err)
		now(w, RICH_FAMILY, 0, 4, RICH_SEGV);
	return err;
}

static int guard_file(struct rich *w)
{
	const int err = advise(w, RICH_FILE, 5, 7, MADV_GUARD_INSTALL);

	if (!err)
		now(w, RICH_FILE, 5, 7, RICH_SEGV);
	return err;
}

static int guards_away(struct rich *w)
{
	const int err = advise(w, RICH_GUARD, 0, RICH_PAGES, MADV_GUARD_REMOVE);

	if (!err)
		now(w, RICH_GUARD, 2, 4, 0);
	return err;
}

static int lock_middle(struct rich *w)
{
	return samara_mlock(self(w), RICH_AT(RICH_OLD, 2), 4 * RICH_PAGE);
}

static int lock_on_fault(struct rich *w)
{
	return samara_mlock2(self(w), RICH_AT(RICH_OLD, 2), 4 * RICH_PAGE, 1 /* MLOCK_ONFAULT */);
}

static int unlock_middle(struct rich *w)
{
	return samara_munlock(self(w), RICH_AT(RICH_LOCKED, 2), 4 * RICH_PAGE);
}

static int lock_all(struct rich *w)
{
	return samara_mlockall(self(w), MCL_CURRENT);
}

static int write_back(struct rich *w)
{
	return samara_msync(self(w), RICH_AT(RICH_FILE, 0), RICH_PAGES * RICH_PAGE, MS_SYNC);
}

static int who_is_there(struct rich *w)
{
	unsigned char vec[RICH_PAGES];

	return samara_mincore(self(w), RICH_AT(RICH_OLD, 0), RICH_PAGES * RICH_PAGE, vec);
}

static int print_smaps(struct rich *w)
{
	const int fd = open("/dev/null", O_WRONLY);
	const int err = samara_print_smaps(self(w), fd);

	close(fd);
	return err;
}

#define OP(fn_, ...) \
	{ \
		.name = #fn_, .fn = fn_, __VA_ARGS__ \
	}

int main(void)
{
	static const struct inject_op ops[] = {
		OP(move_whole),
		OP(move_middle),
		OP(move_and_keep),
		OP(move_private_file),
		OP(move_device_middle, .flags = INJECT_PARTIAL),
		OP(move_over_written),
		OP(copy_shared),
		OP(grow_in_place),
		OP(dontneed, .flags = INJECT_NO_MEMORY),
		OP(lazyfree, .flags = INJECT_NO_MEMORY),
		OP(punch, .flags = INJECT_NO_MEMORY),
		OP(populate_read, .flags = INJECT_PARTIAL),
		OP(populate_write, .flags = INJECT_PARTIAL),
		OP(dontfork_middle),
		OP(wipe_tail),
		OP(guard_middle, .flags = INJECT_NO_MEMORY),
		OP(guard_untouched),
		OP(guard_file, .flags = INJECT_NO_MEMORY),
		OP(guards_away, .flags = INJECT_NO_MEMORY),
		OP(lock_middle, .flags = INJECT_PARTIAL),
		OP(lock_on_fault),
		OP(unlock_middle),
		OP(lock_all, .flags = INJECT_NEVER),
		OP(write_back, .flags = INJECT_NO_MEMORY),
		OP(who_is_there, .flags = INJECT_NO_MEMORY),
		OP(print_smaps),
	};

	return inject_run("inject/advise", ops, sizeof(ops) / sizeof(ops[0]));
}
