/* SPDX-License-Identifier: MIT */
/*
 * Names of words: what the scenario called them, or where in the world they are.
 */
#include "runtime.h"

#include <stdio.h>

/* The name that is at or nearest below addr, on the same cache line or two. */
static const struct name *nearest(uintptr_t addr)
{
	const struct name *best = NULL;

	for (unsigned int i = 0; i < shared->names; i++) {
		const struct name *n = &shared->name[i];

		if (n->addr <= addr && addr - n->addr < 128 && (!best || n->addr > best->addr))
			best = n;
	}
	return best;
}

void describe_word(uintptr_t addr, char *out, size_t size)
{
	const struct name *n = nearest(addr);

	if (!addr)
		snprintf(out, size, "-");
	else if (n && addr == n->addr)
		snprintf(out, size, "%s", n->text);
	else if (n)
		snprintf(out, size, "%s+%lu", n->text, addr - n->addr);
	else if (addr - shared->world < shared->world_size)
		snprintf(out, size, "world+%lu", addr - shared->world);
	else
		snprintf(out, size, "<0x%lx>", addr);
}
