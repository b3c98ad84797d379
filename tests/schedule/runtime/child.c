/* SPDX-License-Identifier: MIT */
/*
 * One schedule: a forked child makes the world, runs the threads and checks. What it does depends
 * on its plan only: the parent has run nothing of the library, addresses are not random (main.c),
 * and the process keeps to one CPU. A crash, an assertion, a deadlock are results, which end the
 * child. One that has passed is put back to where it began (reset.c) and runs the next schedule.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_SECONDS 20
#define SCHEDULES_MOST 2000 /* of one child */

struct shared *shared;
const struct plan *plan;
static int own_stderr;

/* The child that is alive, if any. */
static pid_t child;
static int to_child[2], from_child[2];
static const struct scenario *served;
static unsigned int child_schedules; /* that it has run */

void schedule_prepare(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	own_stderr = memfd_create("stderr", MFD_CLOEXEC);
	if (shared == MAP_FAILED || own_stderr < 0)
		abort();
	shadow_prepare();
	heap_prepare();
	seats_prepare();
	memory_prepare();
	setenv("SAMARA_FATAL_WARNINGS", "1", 1);
	signal(SIGPIPE, SIG_IGN); /* a child may end between two schedules */
}

int schedule_stderr(void)
{
	return own_stderr;
}

void fail(enum verdict verdict, const char *format, ...)
{
	va_list args;

	self = NULL; /* nothing is scheduled from here on */
	if (shared->verdict == PASSED) {
		va_start(args, format);
		vsnprintf(shared->text, sizeof(shared->text), format, args);
		va_end(args);
		shared->verdict = verdict;
	}
	_exit(0);
}

void schedule_require_(bool holds, const char *text, const char *file, int line)
{
	const char *base = strrchr(file, '/');

	if (!holds)
		fail(NOT_HELD, "%s: not true: %s (%s:%d)", self ? self->name : "main", text,
		     base ? base + 1 : file, line);
}

void schedule_name(const void *word, const char *name)
{
	struct name *n = &shared->name[shared->names];

	if (shared->names == NAMES_MAX)
		return;
	n->addr = (uintptr_t)word;
	snprintf(n->text, sizeof(n->text), "%s", name);
	shared->names++;
}

long schedule_ghost(long *counter, long add)
{
	return *counter += add;
}

bool schedule_is_scheduled(void)
{
	return true;
}

/* crashes ----------------------------------------------------------------- */

static void crashed(int number, siginfo_t *info, void *context)
{
	const struct thread *t = self;
	const uintptr_t place = t ? t->op.place : 0;

	(void)context;
	if (number == SIGALRM)
		fail(BROKEN, "%d seconds in a call of the host", HANG_SECONDS);
	fail(CRASHED, "%s: %s (address %p); its last step was at {0x%lx}", t ? t->name : "main",
	     strsignal(number), number == SIGABRT ? NULL : info->si_addr, place);
}

static void watch_signals(void)
{
	static const int watched[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM };
	struct sigaction action = { .sa_sigaction = crashed, .sa_flags = SA_SIGINFO };

	for (unsigned int i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		sigaction(watched[i], &action, NULL);
}

/* the child --------------------------------------------------------------- */

static void *run_thread(void *arg)
{
	const struct scenario_thread *t = arg;

	t->run((void *)shared->world);
	return NULL;
}

static void run_schedule(const struct scenario *scenario)
{
	choose_begin();
	threads_begin();
	shared->world = (uintptr_t)heap_world(shared->world_size);
	if (scenario->setup)
		scenario->setup((void *)shared->world);
	for (unsigned int i = 0; i < SCHEDULE_THREADS && scenario->threads[i].name; i++)
		thread_new(scenario->threads[i].name, run_thread, (void *)&scenario->threads[i]);
	threads_run();
	if (scenario->check)
		scenario->check((void *)shared->world);
	self = NULL;
}

/* Schedules as long as they pass and the parent asks for more. */
__attribute__((noreturn)) static void run_child(const struct scenario *scenario)
{
	char byte = 0;

	dup2(own_stderr, STDERR_FILENO);
	dup2(to_child[0], FD_ORDERS);
	dup2(from_child[1], FD_RESULTS);
	close_range(3, FD_ORDERS - 1, 0);
	watch_signals();
	threads_prepare();
	seats_begin();
	reset_begin();
	while (read(FD_ORDERS, &byte, 1) == 1) {
		plan = &shared->plan;
		alarm(HANG_SECONDS);
		run_schedule(scenario);
		alarm(0);
		if (write(FD_RESULTS, &byte, 1) != 1)
			break;
		reset();
	}
	_exit(0);
}

/* the parent -------------------------------------------------------------- */

static void forget_results(void)
{
	shared->verdict = PASSED;
	shared->text[0] = '\0';
	shared->steps = 0;
	shared->alone_steps = 0;
	shared->switches = 0;
	shared->choices = 0;
	shared->events = 0;
	shared->names = 0;
	shared->hash = 0xcbf29ce484222325UL;
}

static bool child_start(const struct scenario *scenario)
{
	if (pipe2(to_child, O_CLOEXEC) || pipe2(from_child, O_CLOEXEC))
		abort();
	fflush(NULL);
	child = fork();
	if (!child)
		run_child(scenario);
	close(to_child[0]);
	close(from_child[1]);
	served = scenario;
	return child > 0;
}

/* Its exit status. */
static int child_end(void)
{
	int status = 0;

	close(to_child[1]);
	close(from_child[0]);
	waitpid(child, &status, 0);
	child = 0;
	return status;
}

static void child_died(void)
{
	const int status = child_end();

	if (shared->verdict == PASSED) {
		shared->verdict = CRASHED;
		snprintf(shared->text, sizeof(shared->text), "the process ended with status %#x",
			 (unsigned int)status);
	}
}

void schedule_run_alone(const struct scenario *scenario, const struct plan *what)
{
	if (child > 0)
		child_end();
	schedule_run(scenario, what);
}

bool schedule_was_first(void)
{
	return child_schedules == 1;
}

void schedule_run(const struct scenario *scenario, const struct plan *what)
{
	char byte = 0;

	if (child > 0 && (served != scenario || child_schedules == SCHEDULES_MOST))
		child_end();
	forget_results();
	shared->plan = *what;
	if (lseek(own_stderr, 0, SEEK_SET) < 0 || ftruncate(own_stderr, 0))
		abort();
	shared->world_size = scenario->world_size ? scenario->world_size : 1;
	if (child <= 0) {
		child_schedules = 0;
		if (!child_start(scenario))
			abort();
	}
	child_schedules++;
	if (write(to_child[1], &byte, 1) != 1 || read(from_child[0], &byte, 1) != 1)
		child_died();
}
