/* SPDX-License-Identifier: MIT */
/*
 * samara torture: options, threads, the summary.
 */
#include "torture/handlers.h"
#include "torture/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <samara/inject.h>
#include <samara/reclaim.h>

#include "common.h"

static const char usage[] =
	"usage: samara torture [OPTION]...\n"
	"\n"
	"Threads map, unmap, protect, move, discard, fork, pin, read and write pages of one\n"
	"address space at once. Each page says which it is, so that a wrong one is noticed.\n"
	"\n"
	"  --secs=N      how long (10)\n"
	"  --seed=N      of the threads' random numbers (1); threads meet differently each time\n"
	"  --threads=N   how many (twice the processors, at least 4)\n"
	"  --refuse=N    one of N operations has an allocation refused, and is made again\n"
	"  --ram=MIB     so little RAM that it runs out (from 1 on; 256)\n"
	"  --swap        pages leave memory (--ram=8, if it isn't given): swap areas come and go\n"
	"                and fail, pages move, frames go bad, a victim is chosen\n"
	"  --uffd        parts are registered with userfaultfds: threads wait for handlers,\n"
	"                which are closed and made again\n"
	"  --json        the summary as JSON\n"
	"  --help\n"
	"\n"
	"Exit status: 0 nothing wrong, 1 something is, 2 bad usage.\n";

const char *const op_names[OPS] = {
	"map",   "unmap",  "protect",  "write",      "read",    "stroll",   "discard",
	"guard", "move",   "fork",     "pin",        "cpu",     "exchange", "maps",
	"hole",  "sync",   "pageout",  "free",       "swapoff", "migrate",  "reclaim",
	"hog",   "poison", "register", "unregister", "shield",
};

/* Of 100. */
static const unsigned char weights[OPS] = { 9, 7, 8, 18, 16, 11, 3, 3, 4, 2, 3, 6, 4, 3, 2, 1 };

static enum op any_op(struct worker *w)
{
	unsigned long at;
	int op = 0;

	if (w->t->asked.swap && !roll(w, 8))
		return roll(w, 4) ? OP_PAGEOUT : OP_FREE;
	if (w->t->asked.uffd && !roll(w, 8))
		return roll(w, 5) ? roll(w, 2) ? OP_REGISTER : OP_SHIELD : OP_UNREGISTER;
	at = roll(w, 100);
	while (at >= weights[op])
		at -= weights[op++];
	return (enum op)op;
}

/* The operation, now and then with one of its first allocations refused. */
static void do_armed(struct worker *w, struct slot *s)
{
	w->armed = w->t->asked.refuse && !roll(w, (unsigned long)w->t->asked.refuse);
	if (w->armed)
		samara_inject_nth(1 + roll(w, 24));
	do_op(w, w->now, s);
	if (w->armed)
		samara_inject_nth(0);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct torture *t = w->t;

	samara_cpu_run(w->cpu, t->mm);
	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		struct slot *s = &t->slot[roll(w, SLOTS)];

		w->now = any_op(w);
		if (w->now == OP_STROLL || w->now == OP_MAPS || w->now == OP_SYNC) {
			do_armed(w, NULL);
		} else {
			if (pthread_mutex_trylock(&s->lock))
				continue;
			do_armed(w, s);
			pthread_mutex_unlock(&s->lock);
		}
		w->done[w->now]++;
	}
	samara_cpu_run(w->cpu, NULL);
	return NULL;
}

/* A file of the host without a name. */
static int open_host(struct torture *t)
{
	FILE *file = tmpfile();
	int err;

	if (!file)
		return -errno;
	err = ftruncate(fileno(file), SLOTS * SLOT_BYTES) ? -errno : 0;
	if (!err)
		err = samara_file_from_fd(t->machine, fileno(file), &t->host);
	fclose(file);
	return err;
}

static int set_up(struct torture *t)
{
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;
	int err;

	config.ram_bytes = (size_t)t->asked.ram << 20;
	config.overcommit = SAMARA_OVERCOMMIT_ALWAYS;
	err = samara_machine_create(&config, &t->machine);
	if (!err)
		err = samara_mm_create(t->machine, &t->mm);
	if (!err)
		err = samara_file_memfd(t->machine, "torture", SLOTS * SLOT_BYTES, &t->file);
	if (!err)
		err = open_host(t);
	t->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (!err && t->null < 0)
		err = -errno;
	pthread_mutex_init(&t->wrong.lock, NULL);
	for (int i = 0; i < SLOTS; i++) {
		/* Runs of one kind, so that slots merge. */
		t->slot[i].kind = (enum slot_kind)(i / 6 % SLOT_KINDS);
		pthread_mutex_init(&t->slot[i].lock, NULL);
	}
	return err;
}

static void tear_down(struct torture *t)
{
	samara_file_put(t->file);
	samara_file_put(t->host);
	close(t->null);
	samara_mm_exit(t->mm);
	pressure_end(t);
	samara_machine_destroy(t->machine);
}

/* Until the time is over or something is wrong. */
static void wait_for_end(struct torture *t, bool show)
{
	struct progress progress;
	struct timespec nap = { 0, 50000000 };

	progress_begin(&progress, "torture", show);
	for (int i = 0; i < t->asked.secs * 20 && !__atomic_load_n(&t->stop, __ATOMIC_RELAXED);
	     i++) {
		progress_at(&progress, (double)i / (t->asked.secs * 20));
		nanosleep(&nap, NULL);
	}
	progress_end(&progress);
	__atomic_store_n(&t->stop, true, __ATOMIC_RELAXED);
}

static int run_threads(struct torture *t, struct worker *workers, bool show)
{
	int n = 0, err = 0;

	for (; n < t->asked.threads && !err; n++) {
		struct worker *w = &workers[n];

		w->t = t;
		w->random = t->asked.seed * 1000003 + (uint64_t)n;
		err = samara_cpu_create(t->machine, &w->cpu);
		if (!err)
			err = -pthread_create(&w->thread, NULL, work, w);
		if (err) {
			samara_cpu_destroy(w->cpu);
			break;
		}
	}
	if (err)
		__atomic_store_n(&t->stop, true, __ATOMIC_RELAXED);
	else
		wait_for_end(t, show);
	for (int i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		samara_cpu_destroy(workers[i].cpu);
	}
	return err;
}

/* What all threads did. */
struct sums {
	unsigned long done[OPS], all, refused, ran_out, lost;
	unsigned long killed;          /* victims */
	unsigned long answers, events; /* of handlers */
	unsigned long live;            /* objects that are left */
};

static void print_json(const struct torture *t, const struct sums *sums)
{
	json_t *ops = json_object();
	json_t *out;

	for (int i = 0; i < OPS; i++)
		json_object_set_new(ops, op_names[i], json_integer((json_int_t)sums->done[i]));
	out = json_pack(
		"{s:I, s:i, s:i, s:i, s:i, s:b, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:s}",
		"seed", (json_int_t)t->asked.seed, "threads", t->asked.threads, "seconds",
		t->asked.secs, "refuse", t->asked.refuse, "ram", t->asked.ram, "swap",
		t->asked.swap, "uffd", t->asked.uffd, "operations", ops, "refused",
		(json_int_t)sums->refused, "ran_out", (json_int_t)sums->ran_out, "lost",
		(json_int_t)sums->lost, "victims", (json_int_t)sums->killed, "answers",
		(json_int_t)sums->answers, "events", (json_int_t)sums->events, "live_objects",
		(json_int_t)sums->live, "wrong", t->wrong.text);
	json_dumpf(out, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(out);
}

static bool is_asked_for(const struct torture *t, enum op op)
{
	return op < OP_PAGEOUT || (op < OP_REGISTER ? t->asked.swap : t->asked.uffd);
}

static void print_text(const struct torture *t, const struct sums *sums)
{
	printf("%lu operations by %d threads in %d s:", sums->all, t->asked.threads, t->asked.secs);
	for (int i = 0; i < OPS; i++)
		if (is_asked_for(t, (enum op)i))
			printf("%s %s %lu", i ? "," : "", op_names[i], sums->done[i]);
	putchar('\n');
	if (t->asked.refuse)
		printf("%lu of them had an allocation refused, and said so\n", sums->refused);
	if (t->asked.ram)
		printf("%lu times there was no frame left\n", sums->ran_out);
	if (t->asked.swap)
		printf("%lu victims, %lu accesses to pages that could not be read from swap\n",
		       sums->killed, sums->lost);
	if (t->asked.uffd)
		printf("%lu page faults answered, %lu events read\n", sums->answers, sums->events);
	if (!t->wrong.text[0] && !sums->live) {
		puts("nothing wrong, nothing left");
		return;
	}
	if (t->wrong.text[0])
		printf("wrong: %s\n", t->wrong.text);
	if (sums->live)
		printf("wrong: %lu objects are left\n", sums->live);
	printf("again: samara torture --secs=%d --seed=%lu --threads=%d", t->asked.secs,
	       (unsigned long)t->asked.seed, t->asked.threads);
	if (t->asked.refuse)
		printf(" --refuse=%d", t->asked.refuse);
	if (t->asked.ram)
		printf(" --ram=%d", t->asked.ram);
	if (t->asked.swap)
		printf(" --swap");
	if (t->asked.uffd)
		printf(" --uffd");
	putchar('\n');
}

static void add_worker(struct sums *sums, const struct worker *w)
{
	for (int i = 0; i < OPS; i++) {
		sums->done[i] += w->done[i];
		sums->all += w->done[i];
	}
	sums->refused += w->refused;
	sums->ran_out += w->ran_out;
	sums->lost += w->lost;
}

static void add_up(const struct torture *t, const struct worker *workers, struct sums *sums)
{
	for (int n = 0; n < t->asked.threads; n++)
		add_worker(sums, &workers[n]);
	for (int n = 0; t->pressure && n < MINDERS; n++)
		add_worker(sums, &t->pressure->minder[n].w);
	if (t->pressure)
		sums->killed = t->pressure->victim.killed;
}

static void wrong_in_the_end(struct torture *t, const struct samara_report *report)
{
	snprintf(t->wrong.text, sizeof(t->wrong.text), "in the end: %s: %.200s", report->invariant,
		 report->text);
}

/* All pages of all slots, the whole address space, and the machine. */
static void check_all(struct torture *t, struct worker *w)
{
	struct samara_report report = { 0 };

	w->now = OP_READ;
	for (int i = 0; i < SLOTS; i++)
		for (unsigned int page = 0; page < SLOT_PAGES; page++)
			check_page(w, t->mm, page_addr(t, &t->slot[i], page),
				   &t->slot[i].page[page]);
	if (!t->wrong.text[0] && samara_mm_validate(t->mm, &report))
		wrong_in_the_end(t, &report);
	if (!t->wrong.text[0] && samara_machine_validate(t->machine, &report))
		wrong_in_the_end(t, &report);
}

static int torture(struct torture *t, bool json)
{
	static struct worker workers[MOST_THREADS];
	struct sums sums = { .all = 0 };
	int err = set_up(t);

	if (err)
		return fail("torture", "cannot set up: %s", strerror(-err));
	if (t->asked.swap)
		err = pressure_start(t);
	if (!err && t->asked.uffd)
		err = handlers_start(t);
	if (!err)
		err = run_threads(t, workers, !json);
	pressure_stop(t);
	handlers_stop(t, &sums.answers, &sums.events);
	if (!err && !t->wrong.text[0])
		check_all(t, &workers[0]);
	add_up(t, workers, &sums);
	tear_down(t);
	if (err)
		return fail("torture", "cannot start threads: %s", strerror(-err));
	sums.live = samara_live_objects();
	(json ? print_json : print_text)(t, &sums);
	return t->wrong.text[0] || sums.live ? EXIT_DIFFERS : EXIT_SAME;
}

static int positive(const char *option, const char *text, int most, int *out)
{
	if (parse_int(text, out) || *out < 1 || *out > most)
		return fail("torture", "--%s=%s: not a number from 1 to %d", option, text, most);
	return EXIT_SAME;
}

static int parse_seed(const char *text, struct torture *t)
{
	int number;

	if (parse_int(text, &number))
		return fail("torture", "--seed=%s: not a number", text);
	t->asked.seed = (uint64_t)number;
	return EXIT_SAME;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "secs", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "threads", required_argument, NULL, 't' },
		{ "refuse", required_argument, NULL, 'f' },
		{ "ram", required_argument, NULL, 'm' },
		{ "swap", no_argument, NULL, 'w' },
		{ "uffd", no_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct torture t;
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int opt, status = EXIT_SAME;
	bool json = false;

	t.asked.seed = 1;
	t.asked.secs = 10;
	t.asked.threads = cpus > 2 ? (int)(2 * cpus > MOST_THREADS ? MOST_THREADS : 2 * cpus) : 4;
	while (!status && (opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			status = positive("secs", optarg, 1000000, &t.asked.secs);
			break;
		case 'r':
			status = parse_seed(optarg, &t);
			break;
		case 't':
			status = positive("threads", optarg, MOST_THREADS, &t.asked.threads);
			break;
		case 'f':
			status = positive("refuse", optarg, 1000000, &t.asked.refuse);
			break;
		case 'm':
			status = positive("ram", optarg, 65536, &t.asked.ram);
			break;
		case 'w':
			t.asked.swap = true;
			break;
		case 'u':
			t.asked.uffd = true;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SAME;
		default:
			return bad_option("torture", argv, opt);
		}
	}
	if (status)
		return status;
	if (t.asked.swap && !t.asked.ram)
		t.asked.ram = 8;
	if (optind < argc)
		return fail("torture", "%s: torture takes no argument", argv[optind]);
	return torture(&t, json);
}

const struct command command_torture = {
	"torture",
	"many threads on one address space, every page checked",
	run,
};
