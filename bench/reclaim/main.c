/* SPDX-License-Identifier: MIT */
/*
 * bench/reclaim: options, and the table.
 */
#define _GNU_SOURCE
#include "reclaim.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum side { HOST, OURS, SIDES };

static struct {
	unsigned long ram; /* pages */
	size_t n;          /* accesses a page */
	const char *dir, *only;
	bool host;
} opt = { .ram = 4096, .n = 8, .dir = "/var/tmp", .host = true };

const char *swap_dir;
static bool failed;

static const char usage[] =
	"usage: reclaim [--ram=MIB] [--accesses=N] [--dir=DIR] [--only=TEXT] [--ours] [--quick]\n"
	"  --ram       of the machine and of the host's cgroup (16)\n"
	"  --accesses  for each page of the working set (8)\n"
	"  --dir       where the swap files are made (/var/tmp)\n"
	"  --only      rows whose name has that text\n"
	"  --ours      leave the host alone: no swap file and no cgroup of its own\n"
	"  --quick     small and soon over: shows that it runs, measures nothing\n";

static void print_head(void)
{
	printf("%-26s %10s %10s %6s %10s %10s %6s %9s %9s\n", "", "major", "host's", "of",
	       "us a page", "host's", "of", "seconds", "host's");
}

/* CPU time that a page costs which goes out and comes in again: in us. */
static double page_cost(const struct result *brief, const struct result *enough)
{
	const double pages = (double)(brief->in + brief->out) / 2;
	const double cpu = brief->cpu - enough->cpu;

	return pages > 0 && cpu > 0 ? cpu * 1e6 / pages : 0;
}

static void print_ratio(double ours, double host)
{
	if (host > 0)
		printf(" %6.2f", ours / host);
	else
		printf(" %6s", "-");
}

static void print_row(const struct string *s, struct result (*r)[2])
{
	const struct result *ours = r[OURS], *host = r[HOST];
	char name[64];

	snprintf(name, sizeof(name), "%s, %lu times RAM", s->name, s->pages / s->ram);
	printf("%-26s %10llu", name, ours[MEMORY_SHORT].major);
	if (!opt.host) {
		printf(" %10s %6s %10.2f %10s %6s %9.2f\n", "-", "-",
		       page_cost(&ours[MEMORY_SHORT], &ours[MEMORY_ENOUGH]), "-", "-",
		       ours[MEMORY_SHORT].wall);
		return;
	}
	printf(" %10llu", host[MEMORY_SHORT].major);
	print_ratio((double)ours[MEMORY_SHORT].major, (double)host[MEMORY_SHORT].major);
	printf(" %10.2f %10.2f", page_cost(&ours[MEMORY_SHORT], &ours[MEMORY_ENOUGH]),
	       page_cost(&host[MEMORY_SHORT], &host[MEMORY_ENOUGH]));
	print_ratio(page_cost(&ours[MEMORY_SHORT], &ours[MEMORY_ENOUGH]),
		    page_cost(&host[MEMORY_SHORT], &host[MEMORY_ENOUGH]));
	printf(" %9.2f %9.2f\n", ours[MEMORY_SHORT].wall, host[MEMORY_SHORT].wall);
}

static void run_string(struct string *s)
{
	void (*const runs[SIDES])(const struct string *, enum memory,
				  struct result *) = { host_run, ours_run };
	struct result r[SIDES][2] = { 0 };
	bool ok = true;

	for (int side = opt.host ? HOST : OURS; side < SIDES; side++) {
		for (enum memory memory = MEMORY_ENOUGH; memory <= MEMORY_SHORT; memory++) {
			struct result *one = &r[side][memory];

			measured(runs[side], s, memory, one);
			if (!one->error[0])
				continue;
			fprintf(stderr, "reclaim: %s, %s: %s\n", s->name,
				side == HOST ? "host" : "ours", one->error);
			ok = false;
		}
	}
	if (ok)
		print_row(s, r);
	failed |= !ok;
	fflush(stdout);
	string_free(s);
}

static void run_strings(void)
{
	void (*const make[])(struct string *, unsigned long, unsigned long,
			     size_t) = { string_sequential, string_zipf };

	print_head();
	for (int i = 0; i < 2; i++) {
		for (unsigned long times = 2; times <= 4; times += 2) {
			const unsigned long pages = times * opt.ram;
			struct string s;

			make[i](&s, opt.ram, pages, opt.n * pages);
			if (!opt.only || strstr(s.name, opt.only))
				run_string(&s);
			else
				string_free(&s);
		}
	}
}

static void run_compressed(void)
{
	static const char *const algorithms[] = { "lz4", "zstd" };
	unsigned char *pages;
	const unsigned long n = real_pages(&pages, 2 * opt.ram);

	printf("\n%-26s %12s %12s %8s\n", "compressed swap", "pages/s out", "pages/s in", "ratio");
	for (int i = 0; n && i < 2; i++) {
		struct compressed c;

		if (opt.only && !strstr("compressed", opt.only))
			continue;
		if (ours_compressed(algorithms[i], pages, n, &c)) {
			fprintf(stderr, "reclaim: compressed, %s: failed\n", algorithms[i]);
			failed = true;
			continue;
		}
		printf("%-26s %12.0f %12.0f %8.2f\n", algorithms[i], c.out, c.in, c.ratio);
	}
	free(pages);
}

/* False: bad arguments, or only asked for help. */
static bool parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ram", required_argument, NULL, 'r' },
		{ "accesses", required_argument, NULL, 'n' },
		{ "dir", required_argument, NULL, 'd' },
		{ "only", required_argument, NULL, 'o' },
		{ "ours", no_argument, NULL, 'u' },
		{ "quick", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			opt.ram = strtoul(optarg, NULL, 10) << 8;
		else if (c == 'n')
			opt.n = strtoul(optarg, NULL, 10);
		else if (c == 'd')
			opt.dir = optarg;
		else if (c == 'o')
			opt.only = optarg;
		else if (c == 'u')
			opt.host = false;
		else if (c == 'q')
			opt.ram = 512, opt.n = 2;
		else
			return false;
	}
	return optind == argc && opt.ram >= 256 && opt.ram <= 1UL << 20 && opt.n && opt.n <= 1000;
}

int main(int argc, char **argv)
{
	const char *why;

	if (!parse(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	swap_dir = opt.dir;
	why = opt.host ? host_open(opt.dir, opt.ram, 5 * opt.ram) : NULL;
	if (why) {
		printf("host: skipped, %s\n", why);
		opt.host = false;
	}
	run_strings();
	run_compressed();
	host_close();
	return failed;
}
