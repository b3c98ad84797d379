/* SPDX-License-Identifier: MIT */
/*
 * The geometries that are known by name, and what makes one possible.
 */
#include <errno.h>

#include <samara/mm.h>

#include "base/sized.h"
#include "core/geometry.h"

#define GIB (1UL << 30)
/* By how many bytes randomisation moves the stack's start at most: 64-bit, and up to 4 GiB. */
#define STACK_RANDOM (0x3fffffUL << 12)
#define STACK_RANDOM_4G (0x7ffUL << 12)

/* mmap(2) of MAP_32BIT: the second GiB; Documentation/arch/x86/x86_64/mm.rst for the rest. */
#define X86_64_COMMON \
	.size = sizeof(struct samara_geometry), .page_shift = 12, .huge_shift = 21, \
	.level_bits = 9, .map_window = (1UL << 47) - 4096, .map_min_addr = 65536, \
	.stack_gap = 256 * 4096, .low_start = GIB, .low_end = 2 * GIB, \
	.gate_start = 0xffffffffff600000UL, .gate_end = 0xffffffffff601000UL

static const struct samara_geometry x86_64 = {
	X86_64_COMMON,
	.levels = 4,
	.task_size = (1UL << 47) - 4096,
};

static const struct samara_geometry x86_64_la57 = {
	X86_64_COMMON,
	.levels = 5,
	.task_size = (1UL << 56) - 4096,
};

const struct samara_geometry *samara_geometry_x86_64(void)
{
	return &x86_64;
}

const struct samara_geometry *samara_geometry_x86_64_la57(void)
{
	return &x86_64_la57;
}

static bool aligned(const struct samara_geometry *geo)
{
	const unsigned long all = geo->task_size | geo->map_window | geo->map_min_addr |
				  geo->first_user_addr | geo->table_ceiling | geo->stack_gap |
				  geo->low_start | geo->low_end | geo->gate_start | geo->gate_end;

	return !(all & ((1UL << geo->page_shift) - 1));
}

/* Bits of an address that the tables translate, the page's own included. */
static unsigned int table_bits(const struct samara_geometry *geo)
{
	return geo->page_shift + geo->levels * geo->level_bits;
}

/* The members, whatever size says. */
static int check(const struct samara_geometry *geo)
{
	if (geo->page_shift < 12 || geo->page_shift > 16 || geo->huge_shift <= geo->page_shift ||
	    geo->huge_shift > 40 || !geo->levels || geo->levels > 6 || !geo->level_bits)
		return -EINVAL;
	/* A table holds at most 512 entries, and the top one must reach the last user address. */
	if (geo->level_bits > 9 || table_bits(geo) > 63 || geo->task_size > 1UL << table_bits(geo))
		return -EINVAL;
	if (!aligned(geo))
		return -EINVAL;
	if (!geo->task_size || geo->map_window > geo->task_size ||
	    geo->map_min_addr >= geo->map_window || geo->first_user_addr > geo->map_min_addr ||
	    geo->low_start > geo->low_end || geo->low_end > geo->task_size)
		return -EINVAL;
	/* Tables above the ceiling would never be freed. */
	if (geo->table_ceiling && geo->table_ceiling < geo->task_size)
		return -EINVAL;
	if (geo->gate_start != geo->gate_end &&
	    (geo->gate_start < geo->task_size || geo->gate_end <= geo->gate_start))
		return -EINVAL;
	return 0;
}

int geometry_get(struct samara_geometry *own, const struct samara_geometry *callers)
{
	int err = sized_get(own, sizeof(*own), callers);

	return err ? err : check(own);
}

int samara_geometry_check(const struct samara_geometry *geo)
{
	struct samara_geometry own;

	return geometry_get(&own, geo);
}

/*
 * The gap that execve leaves for the stack is its limit, the stack's own guard
 * and randomisation, but not less than 128 MiB and not more than 5/6 of the
 * space (measured on x86-64). In a space of which 128 MiB is more, 5/6 holds.
 */
unsigned long samara_mmap_base(const struct samara_geometry *geo, unsigned long stack_limit,
			       unsigned long rnd)
{
	const unsigned long window = geo->map_window;
	const unsigned long least = 128UL << 20, most = window / 6 * 5;
	unsigned long gap = stack_limit;
	unsigned long pad = geo->stack_gap;

	if (rnd) /* then the stack's start is moved too */
		pad += window > 4 * GIB ? STACK_RANDOM : STACK_RANDOM_4G;
	if (gap + pad > gap)
		gap += pad;
	gap = min(max(gap, least), most);
	rnd = min(rnd, window - gap);
	return ALIGN_UP(max(window - gap - rnd, geo->map_min_addr), 1UL << geo->page_shift);
}
