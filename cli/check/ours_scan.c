/* SPDX-License-Identifier: MIT */
/*
 * The library's side of the check: PAGEMAP_SCAN, pins, and accesses as a debugger's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <samara/uffd.h>

#include "check/lanes.h"
#include "check/pattern.h"
#include "check/wire_scan.h"

#define WORD 8UL

static long scan(struct lane *lane)
{
	static __thread struct page_region regions[WIRE_REGIONS];
	struct pm_scan_arg arg = wire_scan(&lane->call.op, regions);
	const long ret = samara_pagemap_scan(lane->call.view.mm, &arg);

	lane->call.out[0] = (int64_t)arg.walk_end;
	if (ret > 0)
		lane->call.out[1] =
			sum_answer(sum_add(0, regions, 0, (uint64_t)ret * sizeof(*regions)));
	return ret;
}

/* The word that is in the page, or comes into it. */
static long move_word(const struct wire_op *op, void *at)
{
	uint64_t word;

	if (op->arg[1]) {
		pattern_fill(&word, op->arg[0] & -WORD, WORD, op->arg[2]);
		memcpy(at, &word, WORD);
		return WORD;
	}
	memcpy(&word, at, WORD);
	return sum_answer(sum_add(0, &word, 0, WORD));
}

static long pin(struct lane *lane)
{
	const struct wire_op *const op = &lane->call.op;
	struct samara_pin pin;
	long ret = samara_pin_pages(lane->call.view.mm, op->arg[0] & -PAGE, 1,
				    op->arg[1] ? SAMARA_PIN_WRITE : 0, &pin);

	if (ret < 0)
		return ret;
	ret = move_word(op, (char *)pin.host + (op->arg[0] & -WORD) % PAGE);
	samara_unpin_pages(&pin, 1, op->arg[1] != 0);
	return ret;
}

static long poke(struct lane *lane)
{
	const struct wire_op *const op = &lane->call.op;
	struct samara_fault fault;
	uint64_t word = 0;
	long ret;

	if (op->arg[1])
		pattern_fill(&word, op->arg[0] & -WORD, WORD, op->arg[2]);
	ret = samara_access(lane->call.view.mm, op->arg[0] & -WORD, &word, WORD,
			    SAMARA_FORCE | (op->arg[1] ? SAMARA_WRITE : SAMARA_READ), &fault);
	if (ret < 0 || op->arg[1])
		return ret ? ret : -EIO;
	return ret ? sum_answer(sum_add(0, &word, 0, WORD)) : -EIO;
}

long ours_lane_perform(struct lane *lane)
{
	switch (lane->call.op.nr) {
	case OP_SCAN:
		return scan(lane);
	case OP_PIN:
		return pin(lane);
	case OP_POKE:
		return poke(lane);
	default:
		return ours_perform(&lane->call.view, &lane->call.op, &lane->call.vec);
	}
}
