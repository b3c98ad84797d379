/* SPDX-License-Identifier: MIT */
/*
 * samara replay: make the memory calls of a traced program again, and compare
 * answers and maps with the kernel's.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clean.h"
#include "common.h"
#include "replay/run.h"
#include "replay/summary.h"

static const char usage[] =
	"usage: samara replay [OPTION]... FILE...\n"
	"\n"
	"Make the memory calls of a traced program again and compare every answer, and the\n"
	"map at each process's end and at recorded snapshots, with the kernel's.\n"
	"\n"
	"FILE is what strace -f wrote (plain, gzip or zstd), a folder that tools/capture made,\n"
	"or the NAME of a set NAME.PID that strace -ff wrote.\n"
	"\n"
	"  --place=recorded   areas go where the kernel put them (the default)\n"
	"  --place=own        the library chooses; addresses of later calls are translated\n"
	"  --arch=NAME        the machine: x86_64, i386 (i386-3g under its own kernel), aarch64\n"
	"                     (48 bits) or aarch64-39; default: what the trace says\n"
	"  --maps=FILE        the recorded maps (default: maps.zst beside a trace.strace.zst,\n"
	"                     FILE.maps or FILE.maps.zst)\n"
	"  --final-map[=PID]  print the last map of the first process, or of PID\n"
	"  --json             the summary as JSON\n"
	"  -q, --quiet        no summary and no differences: the exit status tells\n"
	"  --help\n"
	"\n"
	"Exit status: 0 everything agrees, 1 something differs, 2 bad usage or unreadable input.\n";

struct options {
	struct run_options run;
	bool json, final_map;
	int final_pid; /* 0: the first process, which may have no number at first */
	const struct process *first;
	int kept_pid;
	FILE *final;
};

enum { OPT_PLACE = 256, OPT_ARCH, OPT_MAPS, OPT_FINAL_MAP, OPT_JSON, OPT_HELP };

static const struct option long_options[] = {
	{ "place", required_argument, NULL, OPT_PLACE },
	{ "arch", required_argument, NULL, OPT_ARCH },
	{ "maps", required_argument, NULL, OPT_MAPS },
	{ "final-map", optional_argument, NULL, OPT_FINAL_MAP },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

/* EXIT_SAME, or an exit status after the message; *done after --help. */
static int parse_options(int argc, char **argv, struct options *o, bool *done)
{
	int opt;

	*o = (struct options){ .run = { .command = "replay", .progress = true, .arch = -1 } };
	*done = false;
	while ((opt = getopt_long(argc, argv, ":q", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_PLACE:
			if (strcmp(optarg, "own") != 0 && strcmp(optarg, "recorded") != 0)
				return fail("replay", "--place is recorded or own, not %s", optarg);
			o->run.place = *optarg == 'o' ? PLACE_OWN : PLACE_RECORDED;
			break;
		case OPT_ARCH:
			if (run_arch("replay", optarg, &o->run.arch))
				return EXIT_USAGE;
			break;
		case OPT_MAPS:
			o->run.maps = optarg;
			break;
		case OPT_FINAL_MAP:
			o->final_map = true;
			if (optarg && parse_int(optarg, &o->final_pid))
				return fail("replay", "%s is no process number", optarg);
			break;
		case OPT_JSON:
			o->json = true;
			break;
		case 'q':
			o->run.quiet = true;
			break;
		case OPT_HELP:
			fputs(usage, stdout);
			*done = true;
			return EXIT_SAME;
		default:
			return bad_option("replay", argv, opt);
		}
	}
	if (optind == argc)
		return fail("replay", "no FILE given; see samara replay --help");
	return EXIT_SAME;
}

/* A process ends: keep the text of its map if it is the one that is asked for. */
static void keep_final_map(void *ctx, struct process *p)
{
	struct options *o = ctx;

	if (o->final_pid ? p->pid != o->final_pid : o->first && p != o->first)
		return;
	o->kept_pid = p->pid;
	if (o->final)
		fclose(o->final);
	o->final = tmpfile();
	if (o->final && samara_print_maps(p->space->mm, fileno(o->final)))
		fputs("(the map cannot be printed)\n", o->final);
}

static void print_final_map(struct options *o, FILE *to)
{
	char buf[4096];
	size_t len;

	if (!o->final)
		return;
	fprintf(to, "the last map of process %d:\n", o->kept_pid);
	rewind(o->final);
	while (fgets(buf, sizeof(buf), o->final)) { /* the names are the trace's */
		len = strcspn(buf, "\n");
		clean_put(buf, len, to);
		if (buf[len])
			fputc('\n', to);
	}
	fclose(o->final);
	o->final = NULL;
}

/* The first process of a trace: known as soon as its first step is done. */
static void note_first(void *ctx, struct process *p, unsigned long line)
{
	struct options *o = ctx;

	(void)line;
	if (!o->first)
		o->first = p;
}

static int replay_one(const char *path, struct options *o, json_t *all)
{
	struct replay r;
	int status;

	o->first = NULL;
	status = run_trace(&r, path, &o->run);

	if (status == 0) {
		status = summary_same(&r) ? EXIT_SAME : EXIT_DIFFERS;
		if (o->json)
			json_array_append_new(all, summary_json(&r, path));
		else if (!o->run.quiet)
			summary_print(&r, path, stdout);
		if (o->final_map && !o->json && !o->final)
			status = fail("replay", "%s: there is no process %d", path, o->final_pid);
	}
	print_final_map(o, stdout);
	replay_end(&r);
	return status;
}

static int run(int argc, char **argv)
{
	struct options o;
	bool done;
	int status = parse_options(argc, argv, &o, &done);
	json_t *all;

	if (status || done)
		return status;
	all = json_array();
	o.run.quiet |= o.json;
	if (o.final_map) {
		o.run.watch = note_first;
		o.run.ending = keep_final_map;
		o.run.ctx = &o;
	}
	for (int i = optind; i < argc; i++) {
		int one = replay_one(argv[i], &o, all);

		status = one > status ? one : status;
	}
	if (o.json) {
		json_t *root = json_pack("{s:b, s:O}", "same", status == EXIT_SAME, "traces", all);

		json_dumpf(root, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(root);
	}
	json_decref(all);
	return status;
}

const struct command command_replay = { "replay", "make a traced program's memory calls again",
					run };
