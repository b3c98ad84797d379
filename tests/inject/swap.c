/* SPDX-License-Identifier: MIT */
/*
 * Swap areas beside a rich address space (support/rich_mm.h): switched on, used and switched off,
 * with every allocation failing in turn (support/inject_run.h).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/reclaim.h>

#include "support/cmocka_all.h"
#include "support/inject_run.h"

#define SLOTS 256UL

static unsigned char slots[SLOTS][RICH_PAGE];

static int read_slot(void *priv, unsigned long slot, void *page)
{
	(void)priv;
	memcpy(page, slots[slot], RICH_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	(void)priv;
	memcpy(slots[slot], page, RICH_PAGE);
	return 0;
}

static int on_ops(struct rich *w, struct samara_swap **area)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};

	return samara_swapon_ops(w->machine, &ops, NULL, SLOTS, 0, area);
}

/* All private pages leave as far as they can, and come back. */
static int out_and_in(struct rich *w, struct samara_swap *area)
{
	(void)samara_reclaim(w->machine, SLOTS);
	return samara_swapoff(area);
}

static int made(struct rich *w, int err, struct samara_swap *area)
{
	(void)w;
	return err ? err : samara_swapoff(area);
}

static int swap_ops(struct rich *w)
{
	struct samara_swap *area;
	const int err = on_ops(w, &area);

	return made(w, err, area);
}

static int swap_file(struct rich *w)
{
	const int fd = memfd_create("swap", 0);
	struct samara_swap *area;
	int err;

	assert_int_equal(ftruncate(fd, 16 * RICH_PAGE), 0);
	err = samara_swapon(w->machine, fd, 0, &area);
	close(fd);
	return made(w, err, area);
}

static int swap_lz4(struct rich *w)
{
	struct samara_swap *area;
	const int err = samara_swapon_compressed(w->machine, SLOTS * RICH_PAGE, "lz4", &area);

	return made(w, err, area);
}

static int swap_zstd(struct rich *w)
{
	struct samara_swap *area;
	const int err = samara_swapon_compressed(w->machine, SLOTS * RICH_PAGE, "zstd", &area);

	return made(w, err, area);
}

static int print_swaps(struct rich *w)
{
	const int fd = memfd_create("text", 0), err = samara_print_swaps(w->machine, fd);

	close(fd);
	return err;
}

/* An area that a refusal has left on ends with the machine. */
static int leave_and_come_back(struct rich *w)
{
	struct samara_swap *area;
	const int err = on_ops(w, &area);

	return err ? err : out_and_in(w, area);
}

static int leave_compressed(struct rich *w)
{
	struct samara_swap *area;
	const int err = samara_swapon_compressed(w->machine, SLOTS * RICH_PAGE, "lz4", &area);

	return err ? err : out_and_in(w, area);
}

#define OP(fn_, ...) \
	{ \
		.name = #fn_, .fn = fn_, __VA_ARGS__ \
	}

int main(void)
{
	static const struct inject_op ops[] = {
		OP(swap_ops),
		OP(swap_file),
		OP(swap_lz4),
		OP(swap_zstd),
		OP(print_swaps),
		OP(leave_and_come_back, .flags = INJECT_PARTIAL),
		OP(leave_compressed, .flags = INJECT_PARTIAL),
	};

	return inject_run("inject/swap", ops, sizeof(ops) / sizeof(ops[0]));
}
