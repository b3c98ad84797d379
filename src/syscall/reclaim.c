/* SPDX-License-Identifier: MIT */
/*
 * samara_reclaim() of <samara/reclaim.h>.
 */
#include <limits.h>

#include <samara/reclaim.h>

#include "reclaim/reclaim.h"
#include "store/file.h"

long samara_reclaim(struct samara_machine *machine, unsigned long nr_pages)
{
	const int refused = gate_check(machine->gate);
	unsigned long pages;

	if (refused)
		return refused;
	pages = nr_pages ? reclaim_direct(machine, min(nr_pages, (unsigned long)LONG_MAX)) : 0;
	ram_trim(machine->ram);
	return (long)pages;
}
