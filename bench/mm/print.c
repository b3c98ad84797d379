/* SPDX-License-Identifier: MIT */
/*
 * Figures gathered, and shown.
 */
#include "mm.h"

#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(const struct samples *s)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, s->ns, sizeof(sorted[0]) * (size_t)s->n);
	qsort(sorted, (size_t)s->n, sizeof(sorted[0]), ascending);
	return s->n % 2 ? sorted[s->n / 2] : (sorted[s->n / 2 - 1] + sorted[s->n / 2]) / 2;
}

double least(const struct samples *s)
{
	double v = s->ns[0];

	for (int i = 1; i < s->n; i++)
		v = s->ns[i] < v ? s->ns[i] : v;
	return v;
}

double most(const struct samples *s)
{
	double v = s->ns[0];

	for (int i = 1; i < s->n; i++)
		v = s->ns[i] > v ? s->ns[i] : v;
	return v;
}

void run_tell(const struct run *r, const char *what)
{
	if (r->tell)
		fprintf(stderr, "\r\033[K%s", what);
}

struct figure *run_figure(struct run *r, const char *name, size_t vmas, double goal)
{
	struct figure *f = &r->figure[r->n_figures];

	if (r->n_figures == FIGURES_MAX) {
		fprintf(stderr, "%s: more than %d figures\n", bench_name, FIGURES_MAX);
		exit(1);
	}
	run_tell(r, name);
	r->n_figures++;
	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->vmas = vmas;
	f->goal = goal;
	return f;
}

void run_check(struct run *r, const char *name, double is, double goal)
{
	struct check *c = &r->check[r->n_checks];

	if (r->n_checks == CHECKS_MAX) {
		fprintf(stderr, "%s: more than %d checks\n", bench_name, CHECKS_MAX);
		exit(1);
	}
	run_tell(r, name);
	r->n_checks++;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->is = is;
	c->goal = goal;
}

static double ratio(const struct figure *f)
{
	return median(&f->side[OURS]) / median(&f->side[HOST]);
}

static const char *verdict(double is, double goal)
{
	return is <= goal ? "pass" : "MISS";
}

static void print_figure(FILE *out, const struct figure *f)
{
	const struct samples *ours = &f->side[OURS], *host = &f->side[HOST];

	fprintf(out, "%-26s %8zu %8.0f (%.0f-%.0f)", f->name, f->vmas, median(ours), least(ours),
		most(ours));
	if (host->n)
		fprintf(out, " %8.0f (%.0f-%.0f)  1/%.1f", median(host), least(host), most(host),
			1 / ratio(f));
	if (host->n && f->goal > 0)
		fprintf(out, "  %s (1/%.0f)", verdict(ratio(f), f->goal), 1 / f->goal);
	fputc('\n', out);
}

static const char *clock_name(const struct run *r)
{
	return r->kind == BENCH_CLOCK_CPU ? "CPU" : "wall";
}

void print_table(FILE *out, const struct run *r)
{
	fprintf(out, "%-26s %8s  samara (least-most)  host kernel (least-most)  ratio  goal\n",
		"ns", "VMAs");
	for (int i = 0; i < r->n_figures; i++)
		print_figure(out, &r->figure[i]);
	fputc('\n', out);
	for (int i = 0; i < r->n_checks; i++)
		fprintf(out, "%-58s %8.2f  %s (at most %.2f)\n", r->check[i].name, r->check[i].is,
			verdict(r->check[i].is, r->check[i].goal), r->check[i].goal);
	fprintf(out, "\nmedians of %d rounds after a warm-up, both sides in turn; %s time\n",
		r->rounds, clock_name(r));
}

static void json_side(FILE *out, const char *name, const struct samples *s)
{
	if (s->n)
		fprintf(out, ", \"%s\": {\"median\": %.1f, \"least\": %.1f, \"most\": %.1f}", name,
			median(s), least(s), most(s));
}

void print_json(FILE *out, const struct run *r)
{
	fprintf(out, "{\"rounds\": %d, \"clock\": \"%s\", \"figures\": [", r->rounds,
		clock_name(r));
	for (int i = 0; i < r->n_figures; i++) {
		const struct figure *f = &r->figure[i];

		fprintf(out, "%s\n  {\"name\": \"%s\", \"vmas\": %zu", i ? "," : "", f->name,
			f->vmas);
		json_side(out, "samara_ns", &f->side[OURS]);
		json_side(out, "host_ns", &f->side[HOST]);
		if (f->side[HOST].n)
			fprintf(out, ", \"ratio\": %.4f", ratio(f));
		if (f->goal > 0)
			fprintf(out, ", \"goal\": %.4f", f->goal);
		fputc('}', out);
	}
	fprintf(out, "],\n \"checks\": [");
	for (int i = 0; i < r->n_checks; i++)
		fprintf(out, "%s\n  {\"name\": \"%s\", \"is\": %.3f, \"goal\": %.3f}", i ? "," : "",
			r->check[i].name, r->check[i].is, r->check[i].goal);
	fprintf(out, "]}\n");
}
