/* SPDX-License-Identifier: MIT */
/*
 * bench/tree: the range tree beside std::map, absl::btree_map and JudyL.
 * docs/performance.md says how it measures and what it showed.
 */
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "../support/pin.h"
#include "session.h"

/* kB of huge pages behind this process's anonymous memory. */
static long huge_kb()
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "AnonHugePages: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

/* Jiffies that the machine was busy (and stolen), all cores. */
static void machine(unsigned long long *busy, unsigned long long *stolen)
{
	FILE *f = fopen("/proc/stat", "r");
	unsigned long long u = 0, ni = 0, s = 0, idle = 0, io = 0, hi = 0, si = 0, st = 0;

	if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &u, &ni, &s, &idle, &io,
			&hi, &si, &st) < 8)
		st = 0;
	if (f)
		fclose(f);
	*busy = u + ni + s + hi + si;
	*stolen = st;
}

/* Seconds of this process and of those it has waited for; how often they were preempted. */
static double own_time(long *preempted)
{
	double s = 0;

	*preempted = 0;
	for (int who : { RUSAGE_SELF, RUSAGE_CHILDREN }) {
		struct rusage ru;

		getrusage(who, &ru);
		s += static_cast<double>(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec);
		s += static_cast<double>(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1e-6;
		*preempted += ru.ru_nivcsw;
	}
	return s;
}

static void conditions(FILE *out, const options &o, const bench_clock_state &c, const results &r,
		       unsigned long long busy, unsigned long long stolen)
{
	double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
	unsigned long long busy_now, stolen_now;
	long preempted;

	machine(&busy_now, &stolen_now);
	double own = own_time(&preempted);
	double others = static_cast<double>(busy_now - busy) * tick - own;

	fprintf(out, "\n%d rounds after a warm-up, structures in turn; %s time, %.0f ns a read\n",
		o.rounds, o.clock == BENCH_CLOCK_CPU ? "CPU" : "wall", c.overhead);
	fprintf(out, "own CPU time %.1f s, other programs' %.1f s, stolen by the host %.1f s; ",
		own, others > 0 ? others : 0, static_cast<double>(stolen_now - stolen) * tick);
	fprintf(out, "preempted %ld times%s\n", preempted,
		others > own / 20 ? " (the machine was busy: look at the minima)" : "");
	fprintf(out, "huge pages in use at the end:");
	for (const auto &[n, mib] : r.huge_mib)
		fprintf(out, " %zu: %ld MiB", n, mib);
	fprintf(out, "\n");
}

/* One size, in this process. False: the structures' answers differ. */
static bool measure(const options &o, const bench_clock_state &c, size_t n, results &r)
{
	session s(o, c, r, n);
	bool agreed = s.run();

	r.huge_mib[n] = huge_kb() / 1024;
	return agreed;
}

/*
 * One size, in a process of its own, so that each starts with a fresh heap and
 * a fresh library whatever was measured before it.
 */
static bool measure_apart(const options &o, const bench_clock_state &c, size_t n, results &r)
{
	int fds[2], status = 0;

	if (pipe(fds))
		return measure(o, c, n, r);
	pid_t child = fork();

	if (child < 0) {
		close(fds[0]);
		close(fds[1]);
		return measure(o, c, n, r);
	}
	FILE *f = fdopen(fds[child ? 0 : 1], child ? "r" : "w");

	close(fds[child ? 1 : 0]);
	if (!child) {
		results own;
		bool agreed = measure(o, c, n, own);

		own.send(f);
		fclose(f);
		_exit(agreed ? 0 : 1);
	}
	r.receive(f);
	fclose(f);
	waitpid(child, &status, 0);
	if (!WIFEXITED(status))
		fprintf(stderr, "tree: the run over %zu ranges ended by signal %d\n", n,
			WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
	options o = parse_options(argc, argv);
	unsigned long long busy, stolen;
	bool agreed = true;
	results r;

	/* Freed memory stays with the process, for all alike: page faults aren't measured. */
	mallopt(M_TRIM_THRESHOLD, -1);
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 64 << 20);
	if (bench_pin(o.cpu))
		fprintf(stderr, "tree: cannot keep to core %d: figures will vary more\n", o.cpu);
	machine(&busy, &stolen);

	bench_clock_state c = bench_clock_open(o.clock);

	for (size_t n : o.sizes) {
		bool apart = o.sizes.size() > 1;

		agreed &= apart ? measure_apart(o, c, n, r) : measure(o, c, n, r);
	}
	if (o.json)
		r.json(stdout, o.sizes);
	else
		r.table(stdout, o.sizes, o.peers);
	conditions(o.json ? stderr : stdout, o, c, r, busy, stolen);
	return agreed ? 0 : 1;
}
