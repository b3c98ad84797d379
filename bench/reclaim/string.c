/* SPDX-License-Identifier: MIT */
/*
 * Reference strings, and running one in a child.
 */
#define _GNU_SOURCE
#include "reclaim.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/random.h"

#define ZIPF_S 0.99

static void *array(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p) {
		fprintf(stderr, "reclaim: out of memory\n");
		exit(1);
	}
	return p;
}

static void string_begin(struct string *s, const char *name, unsigned long ram, unsigned long pages,
			 size_t n)
{
	*s = (struct string){ .name = name, .ram = ram, .pages = pages, .n = n };
	s->at = array(n, sizeof(*s->at));
	s->last = array(pages, sizeof(*s->last));
}

/* Every other access writes. */
static void add(struct string *s, size_t i, uint32_t page, struct bench_random *r)
{
	const bool writes = bench_next(r) & 1;

	s->at[i] = page | (writes ? STRING_WRITES : 0);
	if (writes)
		s->last[page] = (uint32_t)i + 1;
}

void string_sequential(struct string *s, unsigned long ram, unsigned long pages, size_t n)
{
	struct bench_random r = { 1 };

	string_begin(s, "sequential", ram, pages, n);
	for (size_t i = 0; i < n; i++)
		add(s, i, (uint32_t)(i % pages), &r);
}

/* Ranks are given to pages at random: neighbours have nothing in common. */
void string_zipf(struct string *s, unsigned long ram, unsigned long pages, size_t n)
{
	struct bench_random r = { 2 };
	double *until = array(pages, sizeof(*until)), sum = 0;
	uint32_t *page_of = array(pages, sizeof(*page_of));

	string_begin(s, "zipf", ram, pages, n);
	for (uint32_t i = 0; i < pages; i++) {
		const uint32_t k = (uint32_t)bench_below(&r, i + 1UL);

		page_of[i] = page_of[k];
		page_of[k] = i;
		until[i] = sum += pow(i + 1, -ZIPF_S);
	}
	for (size_t i = 0; i < n; i++) {
		const double x = (double)(bench_next(&r) >> 11) / 0x1p53 * sum;
		size_t low = 0, high = pages - 1;

		while (low < high) {
			const size_t middle = (low + high) / 2;

			if (until[middle] > x)
				high = middle;
			else
				low = middle + 1;
		}
		add(s, i, page_of[low], &r);
	}
	free(until);
	free(page_of);
}

void string_free(struct string *s)
{
	free(s->at);
	free(s->last);
}

void measured(void (*run)(const struct string *s, enum memory memory, struct result *r),
	      const struct string *s, enum memory memory, struct result *r)
{
	const pid_t parent = getpid();
	struct result *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t child;

	if (shared == MAP_FAILED || (child = fork()) < 0) {
		snprintf(r->error, sizeof(r->error), "no process: %s", strerror(errno));
		return;
	}
	if (!child) {
		/* It does not outlive the program, which may be killed. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			run(s, memory, shared);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	*r = *shared;
	munmap(shared, sizeof(*shared));
	if (WIFSIGNALED(status))
		snprintf(r->error, sizeof(r->error), "ended by signal %d", WTERMSIG(status));
}
