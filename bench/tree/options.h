/* SPDX-License-Identifier: MIT */
/*
 * What the command line asks for.
 */
#ifndef BENCH_TREE_OPTIONS_H
#define BENCH_TREE_OPTIONS_H

#include <cstddef>
#include <string>
#include <vector>

#include "../support/clock.h"

struct options {
	std::vector<size_t> sizes{ 100, 1000, 100000, 1000000, 10000000 };
	std::vector<std::string> peers{ "samara", "absl", "std", "judy" };
	std::vector<std::string> only; /* keys of rows; empty: all */
	int rounds = 7;
	size_t ops = 2000000; /* lookups a round, of a small tree; the rest follows from it */
	int cpu = 1;          /* and the reader of the last phase runs on the other */
	int reader_cpu = 0;
	bool json = false;
	bool progress = false;
	enum bench_clock clock = BENCH_CLOCK_WALL;
};

/* Exits on a bad argument (2), and after --help and --list (0). */
options parse_options(int argc, char **argv);

#endif
