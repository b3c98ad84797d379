/* SPDX-License-Identifier: MIT */
/*
 * samara bench: bench/mm as a command.
 */
#include "common.h"
#include "mm/mm.h"

static int run(int argc, char **argv)
{
	return bench_mm("samara bench", argc, argv);
}

const struct command command_bench = {
	.name = "bench",
	.summary = "measure memory calls and page faults beside the kernel's own",
	.run = run,
};
