/* SPDX-License-Identifier: MIT */
/*
 * Requests of a userfaultfd on a rich address space (support/rich_mm.h) with every allocation
 * failing in turn (support/inject_run.h): making it, registering, the request, closing.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/uffd.h>

#include "support/cmocka_all.h"
#include "support/inject_run.h"

#define P RICH_PAGE
#define BYTE 0x5c

static struct samara_mm *self(struct rich *w)
{
	return w->view[RICH_SELF].mm;
}

static void now(struct rich *w, enum rich_row row, unsigned int page, int what)
{
	rich_set(&w->view[RICH_SELF], row, page, page + 1, what);
}

/* That request, by a userfaultfd with which those pages are registered, and no longer behind it. */
static int ask(struct rich *w, const struct uffdio_range *pages, unsigned long request, void *arg)
{
	struct uffdio_register reg = { .range = *pages, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	struct samara_uffd *uffd;
	int err = samara_uffd_create(self(w), O_NONBLOCK, &uffd);

	if (err)
		return err;
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), 0);
	err = samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &reg);
	if (!err)
		err = samara_uffd_ioctl(uffd, request, arg);
	samara_uffd_put(uffd);
	return err;
}

/* Two pages that were written to, to where nothing was. */
static int move(struct rich *w)
{
	const struct uffdio_range to = { RICH_AT(RICH_ANON, 6), 2 * P };
	struct uffdio_move arg = { to.start, RICH_AT(RICH_ANON, 0), to.len, 0, 0 };
	struct rich_view *v = &w->view[RICH_SELF];
	const int err = ask(w, &to, UFFDIO_MOVE, &arg);

	for (unsigned int page = 0; !err && page < 2; page++) {
		now(w, RICH_ANON, 6 + page, v->byte[RICH_ANON][page]);
		now(w, RICH_ANON, page, 0);
	}
	return err;
}

/* To memory without a table or a family. */
static int move_to_new_memory(struct rich *w)
{
	const struct uffdio_range to = { RICH_AT(RICH_SPARE, 3), P };
	struct uffdio_move arg = { to.start, RICH_AT(RICH_ANON, 0), to.len, 0, 0 };
	const unsigned long addr = samara_mmap(self(w), to.start, P, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	int err;

	if (SAMARA_IS_ERR_VALUE(addr))
		return (int)addr;
	now(w, RICH_SPARE, 3, 0);
	err = ask(w, &to, UFFDIO_MOVE, &arg);
	if (err)
		return err;
	now(w, RICH_SPARE, 3, w->view[RICH_SELF].byte[RICH_ANON][0]);
	now(w, RICH_ANON, 0, 0);
	return 0;
}

static int copy(struct rich *w)
{
	static unsigned char bytes[RICH_PAGE];
	const struct uffdio_range to = { RICH_AT(RICH_ANON, 6), P };
	struct uffdio_copy arg = { .dst = to.start, .src = (uintptr_t)bytes, .len = P };
	int err;

	memset(bytes, BYTE, sizeof(bytes));
	err = ask(w, &to, UFFDIO_COPY, &arg);
	if (!err)
		now(w, RICH_ANON, 6, BYTE);
	return err;
}

static int zeropage(struct rich *w)
{
	struct uffdio_zeropage arg = { .range = { RICH_AT(RICH_ANON, 6), 2 * P } };

	return ask(w, &arg.range, UFFDIO_ZEROPAGE, &arg);
}

/* Its pages are in the cache. */
static int continue_shared(struct rich *w)
{
	struct uffdio_continue arg = { .range = { RICH_AT(RICH_SHARED, 1), 2 * P } };

	assert_int_equal(samara_madvise(self(w), arg.range.start, arg.range.len, MADV_DONTNEED), 0);
	return ask(w, &arg.range, UFFDIO_CONTINUE, &arg);
}

static int poison(struct rich *w)
{
	struct uffdio_poison arg = { .range = { RICH_AT(RICH_ANON, 6), P } };
	const int err = ask(w, &arg.range, UFFDIO_POISON, &arg);

	if (!err)
		assert_int_equal(samara_madvise(self(w), arg.range.start, P, MADV_DONTNEED), 0);
	return err;
}

#define OP(fn_) \
	{ \
		.name = #fn_, .fn = fn_, .flags = INJECT_PARTIAL \
	}

int main(void)
{
	static const struct inject_op ops[] = {
		OP(move),     OP(move_to_new_memory), OP(copy),
		OP(zeropage), OP(continue_shared),    OP(poison),
	};

	return inject_run("inject/uffd", ops, sizeof(ops) / sizeof(ops[0]));
}
