/* SPDX-License-Identifier: MIT */
/*
 * The command line.
 */
#include "options.h"

#include <getopt.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "rows.h"

static const char usage[] =
	"usage: tree [options]\n"
	"  --n=LIST         sizes, as 100,1k,100k,1M,10M (all of these)\n"
	"  --rounds=N       measured rounds, after one that warms up (7)\n"
	"  --ops=N          lookups in a round; other operations in proportion (2M)\n"
	"  --only=LIST      rows to measure, by key; --list names them\n"
	"  --peers=LIST     of samara,absl,std,judy (all)\n"
	"  --cpu=N          core to run on (1); --reader-cpu=N for the reader beside a writer (0)\n"
	"  --clock=cpu      CPU time of the process, for a busy machine (wall)\n"
	"  --quick          100,1k,100k in 3 short rounds: a smoke test (give it first)\n"
	"  --json           figures as JSON\n"
	"  --progress       say on stderr what is being done\n"
	"Exit status 1 when two structures gave different answers.\n";

static std::vector<std::string> split(const char *s)
{
	std::vector<std::string> v;

	for (const char *end; *s; s = *end ? end + 1 : end) {
		end = s + strcspn(s, ",");
		v.emplace_back(s, end);
	}
	return v;
}

/* A positive number with k or M behind it, or 0. */
static size_t number(const std::string &s)
{
	char *end;
	unsigned long v = strtoul(s.c_str(), &end, 10);

	if (*end == 'k')
		v *= 1000, end++;
	else if (*end == 'M')
		v *= 1000000, end++;
	return *end || s.empty() ? 0 : v;
}

[[noreturn]] static void bad(const char *what, const char *arg)
{
	fprintf(stderr, "tree: %s: %s\n%s", what, arg, usage);
	exit(2);
}

static size_t positive(const char *what, const std::string &s)
{
	size_t v = number(s);

	if (!v)
		bad(what, s.c_str());
	return v;
}

static void list_rows()
{
	for (int i = 0; i < NR_ROWS; i++)
		printf("%-16s %s, %s\n", rows[i].key, rows[i].title, rows[i].unit);
}

static int core(const char *s)
{
	char *end;
	long v = strtol(s, &end, 10);

	if (*end || end == s || v < 0 || v > 1023)
		bad("bad core", s);
	return static_cast<int>(v);
}

static std::vector<size_t> sizes(const char *s)
{
	std::vector<size_t> v;

	for (const std::string &one : split(s)) {
		v.push_back(positive("bad size", one));
		if (v.back() > 1000000000)
			bad("size too large", one.c_str());
	}
	return v;
}

static std::vector<std::string> row_keys(const char *s)
{
	std::vector<std::string> v = split(s);

	for (const std::string &key : v) {
		bool found = false;

		for (int i = 0; i < NR_ROWS; i++)
			found |= key == rows[i].key;
		if (!found)
			bad("no such row", key.c_str());
	}
	return v;
}

static std::vector<std::string> peer_names(const char *s)
{
	const std::vector<std::string> all = options().peers;
	std::vector<std::string> v = split(s);

	for (const std::string &name : v) {
		if (std::find(all.begin(), all.end(), name) == all.end())
			bad("no such structure", name.c_str());
	}
	return v;
}

static enum bench_clock clock_kind(const char *s)
{
	if (!strcmp(s, "cpu"))
		return BENCH_CLOCK_CPU;
	if (strcmp(s, "wall"))
		bad("no such clock", s);
	return BENCH_CLOCK_WALL;
}

static void quick(options &o)
{
	o.sizes = { 100, 1000, 100000 };
	o.rounds = 3;
	o.ops = 200000;
}

static const struct option known[] = {
	{ "n", required_argument, nullptr, 'n' },
	{ "rounds", required_argument, nullptr, 'r' },
	{ "ops", required_argument, nullptr, 'o' },
	{ "only", required_argument, nullptr, 'y' },
	{ "peers", required_argument, nullptr, 'p' },
	{ "cpu", required_argument, nullptr, 'c' },
	{ "reader-cpu", required_argument, nullptr, 'R' },
	{ "clock", required_argument, nullptr, 'C' },
	{ "quick", no_argument, nullptr, 'q' },
	{ "json", no_argument, nullptr, 'j' },
	{ "progress", no_argument, nullptr, 'v' },
	{ "list", no_argument, nullptr, 'l' },
	{ "help", no_argument, nullptr, 'h' },
	{ nullptr, 0, nullptr, 0 },
};

/* clang-format off */
static void take(options &o, int c)
{
	switch (c) {
	case 'n': o.sizes = sizes(optarg); break;
	case 'r': o.rounds = static_cast<int>(positive("bad number of rounds", optarg)); break;
	case 'o': o.ops = positive("bad number of operations", optarg); break;
	case 'y': o.only = row_keys(optarg); break;
	case 'p': o.peers = peer_names(optarg); break;
	case 'c': o.cpu = core(optarg); break;
	case 'R': o.reader_cpu = core(optarg); break;
	case 'C': o.clock = clock_kind(optarg); break;
	case 'q': quick(o); break;
	case 'j': o.json = true; break;
	case 'v': o.progress = true; break;
	case 'l': list_rows(); exit(0);
	case 'h': fputs(usage, stdout); exit(0);
	default: fputs(usage, stderr); exit(2);
	}
}
/* clang-format on */

options parse_options(int argc, char **argv)
{
	options o;

	for (int c; (c = getopt_long(argc, argv, "", known, nullptr)) != -1;)
		take(o, c);
	if (optind < argc)
		bad("unexpected", argv[optind]);
	return o;
}
