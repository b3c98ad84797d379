/* SPDX-License-Identifier: MIT */
/*
 * Random calls of the profile `swap': those of the profile `pages', and pages that leave memory.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>

#include "check/gen.h"

static void gen_swapon(struct gen *gen, struct wire_op *op)
{
	*op = (struct wire_op){ .nr = SYS_swapon, .arg = { below(gen, SWAP_BACKENDS) } };
	gen->swap.begun = true;
}

bool gen_area(struct gen *gen, struct wire_op *op)
{
	if (gen->profile != PROFILE_SWAP || (gen->swap.begun && (gen->swap.on || !one_in(gen, 12))))
		return false;
	gen_swapon(gen, op);
	return true;
}

unsigned long gen_swap_advice(struct gen *gen, struct wire_op *op, unsigned long which)
{
	static const unsigned char leave[] = { MADV_PAGEOUT, MADV_PAGEOUT, MADV_PAGEOUT,
					       MADV_PAGEOUT, MADV_COLD,    MADV_FREE };

	if (one_in(gen, 2))
		which = PICK(gen, leave);
	if (which == MADV_FREE && !gen->swap.lazy)
		which = MADV_PAGEOUT;
	if (which == MADV_PAGEOUT && one_in(gen, 3)) {
		op->arg[0] = WIRE_WINDOW;
		op->arg[1] = gen->set->plan.window * PAGE;
	}
	return which;
}
