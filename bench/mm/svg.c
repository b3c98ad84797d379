/* SPDX-License-Identifier: MIT */
/*
 * The growth of a call's cost with the number of VMAs, drawn. Both axes are
 * logarithmic; a dashed line from each curve's first point shows what growing as
 * the logarithm of the number would be.
 */
#include "mm.h"

#include <math.h>
#include <string.h>

#define WIDTH 760
#define HEIGHT 440
#define LEFT 64
#define RIGHT 190 /* room for the curves' names */
#define TOP 48
#define BOTTOM 52

/* A curve: the growth figures of one name, in the order in which they were measured. */
struct curve {
	const char *name, *colour;
	const struct figure *at[FIGURES_MAX];
	int n;
};

/* What the axes show: decades of VMAs, and of nanoseconds. */
struct axes {
	double from_vmas, to_vmas, from_ns, to_ns;
};

static double place(double v, double from, double to)
{
	return log10(v / from) / log10(to / from);
}

static double x_of(const struct axes *axes, double vmas)
{
	return LEFT + (WIDTH - LEFT - RIGHT) * place(vmas, axes->from_vmas, axes->to_vmas);
}

static double y_of(const struct axes *axes, double ns)
{
	return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * place(ns, axes->from_ns, axes->to_ns);
}

static void text(FILE *out, double x, double y, const char *anchor, const char *words)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
		words);
}

/* With a comma between thousands. */
static void grouped(char *out, size_t size, double v)
{
	const unsigned long n = (unsigned long)v;

	if (n >= 1000000)
		snprintf(out, size, "%lu,%03lu,%03lu", n / 1000000, n / 1000 % 1000, n % 1000);
	else if (n >= 1000)
		snprintf(out, size, "%lu,%03lu", n / 1000, n % 1000);
	else
		snprintf(out, size, "%lu", n);
}

static void line(FILE *out, double x1, double y1, double x2, double y2)
{
	fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x1, y1, x2, y2);
}

static void draw_axes(FILE *out, const struct axes *axes)
{
	const double left = x_of(axes, axes->from_vmas), right = x_of(axes, axes->to_vmas);
	const double bottom = y_of(axes, axes->from_ns), top = y_of(axes, axes->to_ns);
	char words[32];

	fputs("<g stroke=\"#d8d8d8\">\n", out);
	for (double v = axes->from_vmas; v <= axes->to_vmas * 1.001; v *= 10)
		line(out, x_of(axes, v), bottom, x_of(axes, v), top);
	for (double decade = axes->from_ns; decade < axes->to_ns; decade *= 10)
		for (int i = 1; i < 10 && decade * i <= axes->to_ns; i++)
			line(out, left, y_of(axes, decade * i), right, y_of(axes, decade * i));
	line(out, left, top, right, top);
	fputs("</g>\n", out);
	for (double v = axes->from_vmas; v <= axes->to_vmas * 1.001; v *= 10) {
		grouped(words, sizeof(words), v);
		text(out, x_of(axes, v), bottom + 20, "middle", words);
	}
	for (double decade = axes->from_ns; decade <= axes->to_ns * 1.001; decade *= 10) {
		for (int i = 1; i <= 5 && decade * i <= axes->to_ns; i += i == 2 ? 3 : 1) {
			grouped(words, sizeof(words), decade * i);
			text(out, left - 8, y_of(axes, decade * i) + 4, "end", words);
		}
	}
	text(out, (left + right) / 2, bottom + 42, "middle", "VMAs in the address space");
	text(out, left - 48, top - 14, "start", "nanoseconds a call");
}

/* What the cost at v VMAs would be, growing with the logarithm from that of the first point. */
static double by_log(const struct curve *curve, double v)
{
	const struct figure *first = curve->at[0];

	return median(&first->side[OURS]) / log2((double)first->vmas) * log2(v);
}

static void draw_curve(FILE *out, const struct axes *axes, const struct curve *curve)
{
	const struct figure *first = curve->at[0], *last = curve->at[curve->n - 1];

	fprintf(out,
		"<g fill=\"none\" stroke=\"%s\">\n<polyline stroke-dasharray=\"3 5\" points=\"",
		curve->colour);
	for (double v = (double)first->vmas; v <= (double)last->vmas * 1.001; v *= pow(10, 0.25))
		fprintf(out, "%.1f,%.1f ", x_of(axes, v), y_of(axes, by_log(curve, v)));
	fputs("\"/>\n<polyline stroke-width=\"2\" points=\"", out);
	for (int i = 0; i < curve->n; i++)
		fprintf(out, "%.1f,%.1f ", x_of(axes, (double)curve->at[i]->vmas),
			y_of(axes, median(&curve->at[i]->side[OURS])));
	fprintf(out, "\"/>\n</g>\n<g fill=\"%s\">\n", curve->colour);
	for (int i = 0; i < curve->n; i++) {
		const double ns = median(&curve->at[i]->side[OURS]);

		fprintf(out,
			"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"><title>%zu VMAs: %.0f ns"
			"</title></circle>\n",
			x_of(axes, (double)curve->at[i]->vmas), y_of(axes, ns), curve->at[i]->vmas,
			ns);
	}
	text(out, x_of(axes, (double)last->vmas) + 10, y_of(axes, median(&last->side[OURS])) + 4,
	     "start", curve->name);
	fputs("</g>\n", out);
}

/* The figures that growth has, by name. */
static int find_curves(const struct run *r, struct curve *curves, int most)
{
	static const char *const colours[] = { "#1b6ca8", "#b4541a", "#3a7d34" };
	int n = 0;

	for (int i = 0; i < r->n_figures; i++) {
		const struct figure *f = &r->figure[i];
		int c = 0;

		if (!f->growth)
			continue;
		while (c < n && strcmp(curves[c].name, f->name))
			c++;
		if (c == n && n < most)
			curves[n++] = (struct curve){ .name = f->name, .colour = colours[c] };
		if (c < n)
			curves[c].at[curves[c].n++] = f;
	}
	return n;
}

static struct axes fit(const struct curve *curves, int n)
{
	struct axes axes = { 1e9, 0, 1e9, 0 };
	double decade;

	for (int c = 0; c < n; c++) {
		for (int i = 0; i < curves[c].n; i++) {
			const double ns = median(&curves[c].at[i]->side[OURS]);

			axes.from_vmas = fmin(axes.from_vmas, (double)curves[c].at[i]->vmas);
			axes.to_vmas = fmax(axes.to_vmas, (double)curves[c].at[i]->vmas);
			axes.from_ns = fmin(axes.from_ns, ns);
			axes.to_ns =
				fmax(axes.to_ns,
				     fmax(ns, by_log(&curves[c], (double)curves[c].at[i]->vmas)));
		}
	}
	axes.from_ns = pow(10, floor(log10(axes.from_ns)));
	decade = pow(10, floor(log10(axes.to_ns)));
	axes.to_ns = decade * (axes.to_ns < 2 * decade ? 2 : axes.to_ns < 5 * decade ? 5 : 10);
	return axes;
}

bool print_svg(FILE *out, const struct run *r)
{
	struct curve curves[3];
	const int n = find_curves(r, curves, 3);
	struct axes axes;

	if (!n || curves[0].n < 2)
		return false;
	axes = fit(curves, n);
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
		"height=\"%d\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n"
		"<title>Cost of a memory call by the number of VMAs</title>\n"
		"<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
		WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
	text(out, (LEFT + WIDTH - RIGHT) / 2.0, TOP - 14, "middle",
	     "solid: measured; dashed: growth with log(VMAs)");
	draw_axes(out, &axes);
	for (int c = 0; c < n; c++)
		draw_curve(out, &axes, &curves[c]);
	fputs("</svg>\n", out);
	return !ferror(out);
}
