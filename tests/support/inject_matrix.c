/* SPDX-License-Identifier: MIT */
#include "support/inject_matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <samara/inject.h>

#define SITES_MAX 128

/* By name: sites that come late are in front of the others. */
static struct seen {
	const char *name;
	unsigned long before, recovered;
} seen[SITES_MAX];

static const char *matrix_file(void)
{
	return getenv("SAMARA_INJECT_MATRIX");
}

static struct seen *seen_of(const char *name)
{
	for (int i = 0; i < SITES_MAX; i++) {
		if (!seen[i].name)
			seen[i].name = name;
		if (!strcmp(seen[i].name, name))
			return &seen[i];
	}
	fprintf(stderr, "more than %d allocation sites\n", SITES_MAX);
	abort();
}

static void note(const struct samara_site_info *site, void *arg)
{
	(void)arg;
	seen_of(site->name)->before = site->refused;
}

static void recovered(const struct samara_site_info *site, void *arg)
{
	struct seen *s = seen_of(site->name);

	(void)arg;
	s->recovered += site->refused - s->before;
}

void inject_arm(enum inject_how how, unsigned long nth)
{
	if (matrix_file())
		samara_inject_each_site(note, NULL);
	(void)samara_inject_count();
	if (how == INJECT_ONCE)
		samara_inject_nth(nth);
	else
		samara_inject_from(nth);
}

unsigned long inject_disarm(enum inject_outcome outcome)
{
	const unsigned long asked = samara_inject_count();

	samara_inject_nth(0);
	if (matrix_file() && outcome == INJECT_SUCCEEDED)
		samara_inject_each_site(recovered, NULL);
	return asked;
}

struct matrix {
	FILE *file;
	const char *program;
};

static void print(const struct samara_site_info *site, void *arg)
{
	const struct matrix *matrix = arg;

	fprintf(matrix->file, "%s %s %lu %lu %lu\n", matrix->program, site->name, site->asked,
		site->refused, seen_of(site->name)->recovered);
}

int inject_matrix(const char *program, int result)
{
	struct matrix matrix = { .program = program };

	if (!matrix_file())
		return result;
	matrix.file = fopen(matrix_file(), "a");
	if (!matrix.file) {
		perror(matrix_file());
		return 1;
	}
	samara_inject_each_site(print, &matrix);
	return fclose(matrix.file) ? 1 : result;
}
