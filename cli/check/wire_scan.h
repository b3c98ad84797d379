/* SPDX-License-Identifier: MIT */
/*
 * The arguments of an OP_SCAN, as both sides make them.
 */
#ifndef CLI_CHECK_WIRE_SCAN_H
#define CLI_CHECK_WIRE_SCAN_H

#include <samara/uffd_abi.h>

#include "wire.h"

/* regions: where there is room for WIRE_REGIONS of them. */
static inline struct pm_scan_arg wire_scan(const struct wire_op *op, const void *regions)
{
	const uint64_t *const a = op->arg;

	return (struct pm_scan_arg){
		.size = sizeof(struct pm_scan_arg),
		.flags = a[2],
		.start = a[0],
		.end = a[1],
		.vec = a[4] ? (uintptr_t)regions : 0,
		.vec_len = a[4] < WIRE_REGIONS ? a[4] : WIRE_REGIONS,
		.max_pages = a[5],
		.category_inverted = wire_mask(a[3], MASK_INVERTED),
		.category_mask = wire_mask(a[3], MASK_ALL),
		.category_anyof_mask = wire_mask(a[3], MASK_ANY),
		.return_mask = wire_mask(a[3], MASK_RETURN),
	};
}

#endif
