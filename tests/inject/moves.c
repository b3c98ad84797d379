/* SPDX-License-Identifier: MIT */
/*
 * Moving pages and bad memory on a rich address space (support/rich_mm.h) with every allocation
 * failing in turn (support/inject_run.h).
 */
#include <errno.h>

#include <samara/reclaim.h>

#include "support/cmocka_all.h"
#include "support/inject_run.h"
#include "support/mem.h"

#define ADV_HWPOISON 100
#define ADV_SOFT_OFFLINE 101

static struct samara_mm *self(struct rich *w)
{
	return w->view[RICH_SELF].mm;
}

static int migrate(struct rich *w, enum rich_row row, long expected)
{
	const long n = samara_migrate_pages(self(w), RICH_AT(row, 0), RICH_PAGES);

	if (n < 0)
		return (int)n;
	assert_true(n <= expected);
	return n == expected ? 0 : -ENOMEM;
}

static int migrate_one(struct rich *w)
{
	const long n = samara_migrate_pages(self(w), RICH_AT(RICH_ANON, 0), 1);

	return n < 0 ? (int)n : n == 1 ? 0 : -ENOMEM;
}

static int migrate_anon(struct rich *w)
{
	return migrate(w, RICH_ANON, 4);
}

static int migrate_inherited(struct rich *w)
{
	return migrate(w, RICH_OLD, 8);
}

static int migrate_shared(struct rich *w)
{
	return migrate(w, RICH_SHARED, 6);
}

static int migrate_pinned(struct rich *w)
{
	return migrate(w, RICH_PINNED, 6);
}

static int migrate_device(struct rich *w)
{
	return migrate(w, RICH_DEVICE, 0);
}

static int compact_most(struct rich *w)
{
	return samara_compact(w->machine, 8);
}

static int soft_offline(struct rich *w)
{
	int err;

	samara_set_caps(self(w), SAMARA_CAP_SYS_ADMIN);
	err = samara_madvise(self(w), RICH_AT(RICH_OLD, 4), 2 * RICH_PAGE, ADV_SOFT_OFFLINE);
	samara_set_caps(self(w), 0);
	return err;
}

/* A page that is not there yet is read before. */
static int hwpoison(struct rich *w)
{
	int err;

	samara_set_caps(self(w), SAMARA_CAP_SYS_ADMIN);
	err = samara_madvise(self(w), RICH_AT(RICH_HOST, 5), RICH_PAGE, ADV_HWPOISON);
	samara_set_caps(self(w), 0);
	return err;
}

static int fail_frame(struct rich *w)
{
	const struct mem m = { .machine = w->machine, .mm = self(w) };
	const unsigned long pfn = pte_pfn(mem_pte(&m, RICH_AT(RICH_OLD, 4)));
	const int err = samara_memory_failure(w->machine, pfn, 0);

	assert_int_equal(err, 0);
	rich_set(&w->view[RICH_SELF], RICH_OLD, 4, 5, RICH_BUS);
	return 0;
}

#define OP(fn_, ...) \
	{ \
		.name = #fn_, .fn = fn_, __VA_ARGS__ \
	}

int main(void)
{
	static const struct inject_op ops[] = {
		OP(migrate_one),
		OP(migrate_anon, .flags = INJECT_PARTIAL),
		OP(migrate_inherited, .flags = INJECT_PARTIAL),
		OP(migrate_shared, .flags = INJECT_PARTIAL),
		OP(migrate_pinned, .flags = INJECT_PARTIAL),
		OP(migrate_device, .flags = INJECT_NO_MEMORY),
		OP(compact_most, .flags = INJECT_PARTIAL),
		OP(soft_offline, .flags = INJECT_PARTIAL),
		OP(hwpoison),
		OP(fail_frame, .flags = INJECT_NO_MEMORY),
	};

	return inject_run("inject/moves", ops, sizeof(ops) / sizeof(ops[0]));
}
