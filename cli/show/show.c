/* SPDX-License-Identifier: MIT */
/*
 * samara show: an address space of a replayed trace as a picture, and the range
 * tree that holds it.
 */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "clean.h"
#include "common.h"
#include "replay/run.h"
#include "show/picture.h"

static const char usage[] =
	"usage: samara show [--map] [--svg=FILE] [--tree] [OPTION]... FILE\n"
	"\n"
	"Replay FILE (see samara replay --help) and show one process's address space: at the\n"
	"process's end, or after a line of the trace.\n"
	"\n"
	"  --map         a map of its mappings, coloured on a terminal (the default)\n"
	"  --svg=FILE    the same as SVG, to FILE (- is standard output)\n"
	"  --tree        the range tree that holds them, as Graphviz text: nodes, pivots, gaps\n"
	"  --pid=PID     the process (default: the first)\n"
	"  --line=N      after line N of the trace instead of at the process's end\n"
	"  --arch=NAME   the machine, as for samara replay\n"
	"  --maps=FILE   the recorded maps, as for samara replay\n"
	"  --help\n"
	"\n"
	"No colours when NO_COLOR is set. `samara show --tree FILE | dot -Tsvg` draws the tree.\n"
	"Exit status: 0, or 2 on bad usage, unreadable input or when there is no such process.\n";

struct options {
	bool map, tree, done;
	const char *svg, *maps;
	int pid; /* 0: the first process, which may have no number at first */
	int line, arch;
	const struct process *first;
	int status; /* of showing */
};

enum { OPT_MAP = 256, OPT_SVG, OPT_TREE, OPT_PID, OPT_LINE, OPT_ARCH, OPT_MAPS, OPT_HELP };

static const struct option long_options[] = {
	{ "map", no_argument, NULL, OPT_MAP },
	{ "svg", required_argument, NULL, OPT_SVG },
	{ "tree", no_argument, NULL, OPT_TREE },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "line", required_argument, NULL, OPT_LINE },
	{ "arch", required_argument, NULL, OPT_ARCH },
	{ "maps", required_argument, NULL, OPT_MAPS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int parse_options(int argc, char **argv, struct options *o, bool *help)
{
	int opt;

	*o = (struct options){ .arch = -1 };
	*help = false;
	while ((opt = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_MAP:
			o->map = true;
			break;
		case OPT_SVG:
			o->svg = optarg;
			break;
		case OPT_TREE:
			o->tree = true;
			break;
		case OPT_PID:
			if (parse_int(optarg, &o->pid))
				return fail("show", "%s is no process number", optarg);
			break;
		case OPT_LINE:
			if (parse_int(optarg, &o->line) || !o->line)
				return fail("show", "%s is no line number", optarg);
			break;
		case OPT_ARCH:
			if (run_arch("show", optarg, &o->arch))
				return EXIT_USAGE;
			break;
		case OPT_MAPS:
			o->maps = optarg;
			break;
		case OPT_HELP:
			fputs(usage, stdout);
			*help = true;
			return EXIT_SAME;
		default:
			return bad_option("show", argv, opt);
		}
	}
	if (optind + 1 != argc)
		return fail("show", "%s; see samara show --help",
			    optind == argc ? "no FILE given" : "one FILE at a time");
	o->map |= !o->svg && !o->tree;
	return EXIT_SAME;
}

static int show_svg(const struct picture *p, const char *path)
{
	FILE *to = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
	int err;

	if (!to)
		return fail("show", "%s: %s", path, strerror(errno));
	err = picture_svg(p, to);
	if (to != stdout && fclose(to))
		err = -EIO;
	return err ? fail("show", "%s: cannot write", path) : EXIT_SAME;
}

static int show_process(struct options *o, const struct process *p)
{
	bool colours = colours_wanted(stdout);
	struct picture picture;
	char title[160], command[120];

	o->done = true;
	if (o->map || o->svg) {
		snprintf(title, sizeof(title), "process %d, %s", p->pid,
			 clean(p->command, command, sizeof(command)));
		if (picture_of(p->space->mm, title, &picture))
			return fail("show", "out of memory");
		if (o->map)
			picture_print(&picture, stdout, &colours);
		if (o->svg)
			o->status = show_svg(&picture, o->svg);
		picture_free(&picture);
	}
	if (o->tree && !o->status) {
		fflush(stdout);
		if (samara_mm_print_tree(p->space->mm, STDOUT_FILENO))
			return fail("show", "the tree cannot be printed");
	}
	return o->status;
}

/* A process ends. */
static void at_end(void *ctx, struct process *p)
{
	struct options *o = ctx;

	if (!o->line && !o->done && (o->pid ? p->pid == o->pid : !o->first || p == o->first))
		o->status = show_process(o, p);
}

static void at_step(void *ctx, struct process *p, unsigned long line)
{
	struct options *o = ctx;

	(void)line;
	if (!o->first)
		o->first = p;
}

static int run(int argc, char **argv)
{
	struct replay r;
	struct options o;
	bool help;
	int status = parse_options(argc, argv, &o, &help);
	struct run_options how = { .command = "show", .quiet = true, .progress = true, .ctx = &o };

	if (status || help)
		return status;
	how.maps = o.maps;
	how.arch = o.arch;
	how.watch = at_step;
	how.ending = at_end;
	how.stop_line = (unsigned long)o.line;
	status = run_trace(&r, argv[optind], &how);
	if (!status && o.line) {
		const struct process *p = o.pid ? world_process(&r.world, o.pid) : o.first;

		if (p && p->space)
			o.status = show_process(&o, p);
	}
	if (!status && !o.done)
		o.status = fail("show", "%s: process %d is not there%s", argv[optind], o.pid,
				o.line ? " after that line" : "");
	o.done = true;
	replay_end(&r);
	return status ? status : o.status;
}

const struct command command_show = { "show", "draw an address space of a replayed trace", run };
