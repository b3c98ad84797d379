/* SPDX-License-Identifier: MIT */
/*
 * What gen_uffd.c and gen_lanes.c share.
 */
#ifndef CLI_CHECK_GEN_LANES_H
#define CLI_CHECK_GEN_LANES_H

#include "check/gen.h"

#define HANDLER 2U

static inline void in_lane(struct wire_op *op, unsigned int lane)
{
	op->look = (op->look & ((1U << LOOK_LANE_SHIFT) - 1)) | lane << LOOK_LANE_SHIFT;
}

/* A lane of the process whose turn it is. */
static inline bool sleeps(const struct gen *gen, unsigned int lane)
{
	return gen->uffd.asleep >> (gen->uffd.now * WIRE_LANES + lane) & 1;
}

#endif
