/* SPDX-License-Identifier: MIT */
/*
 * One schedule: a forked child that makes the world, runs the threads and checks. What it does
 * depends on its plan only: the parent has run nothing of the library, addresses are not random
 * (main.c), and the process keeps to one CPU. A crash, an assertion, a deadlock are results.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_SECONDS 20

struct shared *shared;
const struct plan *plan;
static int own_stderr;

void schedule_prepare(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	own_stderr = memfd_create("stderr", MFD_CLOEXEC);
	if (shared == MAP_FAILED || own_stderr < 0)
		abort();
	mallopt(M_ARENA_MAX, 1); /* an arena for each thread costs more than the schedule */
	shadow_prepare();
	memory_prepare();
	setenv("SAMARA_FATAL_WARNINGS", "1", 1);
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
	alarm(HANG_SECONDS);
}

/* the child --------------------------------------------------------------- */

static void *run_thread(void *arg)
{
	const struct scenario_thread *t = arg;

	t->run((void *)shared->world);
	return NULL;
}

/* A child of fork(2) that the scenario made: it has one thread, which nothing schedules. */
static void leave(void)
{
	self = NULL;
}

static void run_child(const struct scenario *scenario)
{
	watch_signals();
	dup2(own_stderr, STDERR_FILENO);
	pthread_atfork(NULL, NULL, leave);
	choose_begin();
	threads_begin();
	if (scenario->setup)
		scenario->setup((void *)shared->world);
	for (unsigned int i = 0; i < SCHEDULE_THREADS && scenario->threads[i].name; i++)
		thread_new(scenario->threads[i].name, run_thread, (void *)&scenario->threads[i]);
	threads_run();
	if (scenario->check)
		scenario->check((void *)shared->world);
	_exit(0);
}

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
	shared->threads = 0;
	shared->hash = 0xcbf29ce484222325UL;
}

void schedule_run(const struct scenario *scenario, const struct plan *what)
{
	int status;
	pid_t child;

	plan = what;
	forget_results();
	if (lseek(own_stderr, 0, SEEK_SET) < 0 || ftruncate(own_stderr, 0))
		abort();
	shared->world_size = scenario->world_size ? scenario->world_size : 1;
	fflush(NULL);
	child = fork();
	if (!child) {
		shared->world = (uintptr_t)calloc(1, shared->world_size);
		run_child(scenario);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		shared->verdict = BROKEN;
		snprintf(shared->text, sizeof(shared->text), "no child: %m");
	} else if (shared->verdict == PASSED && (!WIFEXITED(status) || WEXITSTATUS(status))) {
		shared->verdict = CRASHED;
		snprintf(shared->text, sizeof(shared->text), "the process ended with status %#x",
			 status);
	}
}
