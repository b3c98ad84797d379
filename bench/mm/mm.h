/* SPDX-License-Identifier: MIT */
/*
 * bench/mm and `samara bench`: memory calls of the library beside the host kernel's own.
 *
 * Both sides get the same map, and then the same calls in turn:
 *
 *     spare                slot 0        slot 1        slot 2
 *   ............           [rw rw rw].   [rw rw rw].   [rw rw rw].  ...
 *                                     ^ a hole of one page
 */
#ifndef BENCH_MM_H
#define BENCH_MM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "../support/clock.h"

/* The whole program; name is what messages begin with. Returns the exit status. */
int bench_mm(const char *name, int argc, char **argv);
extern const char *bench_name;

#define PAGE 4096UL
#define SLOT_PAGES 3UL /* a VMA */
#define SLOT_STRIDE 4UL
#define ROUNDS_MAX 101

enum side_kind { HOST, OURS, SIDES };

/* One address space. */
struct side {
	enum side_kind kind;
	struct samara_mm *mm; /* ours */
	unsigned long base;   /* of slot 0 */
	unsigned long spare;  /* where calls work that need room */
	size_t vmas;          /* slots */
};

/* The calls; a failure ends the program: nothing here may fail. */
unsigned long side_map(const struct side *s, unsigned long addr, unsigned long pages, int prot);
void side_unmap(const struct side *s, unsigned long addr, unsigned long pages);
void side_protect(const struct side *s, unsigned long addr, unsigned long pages, int prot);
void side_move(const struct side *s, unsigned long from, unsigned long pages, unsigned long to);

/* An address space with so many slots; the host's is this process. */
void side_begin(struct side *s, enum side_kind kind, size_t vmas);
void side_end(struct side *s);
/* What our address spaces belong to, once one is open. */
/* Whether reading untouched memory maps a page that all share. Our machine is as the host. */
bool host_has_zero_page(void);
struct samara_machine *ours_machine(void);
/* Bytes the library has taken from its allocator and has some use for. */
size_t ours_bytes(void);
void ours_count_bytes(void);

struct samples {
	double ns[ROUNDS_MAX];
	int n;
};

double median(const struct samples *s);
double least(const struct samples *s);
double most(const struct samples *s);

/* One line of the table: nanoseconds a call. */
struct figure {
	char name[64];
	size_t vmas;
	struct samples side[SIDES]; /* n 0: not measured */
	double goal;                /* ours at most so much of the host's; 0: no goal */
	bool growth;                /* one of the rows of measure_growth() */
};

struct check {
	char name[96];
	double is, goal; /* is at most goal */
};

#define FIGURES_MAX 80
#define CHECKS_MAX 16

struct run {
	int rounds;
	double scale; /* of the number of calls in a round */
	bool tell;    /* what is being measured, on stderr */
	enum bench_clock kind;
	struct bench_clock_state clock;
	struct figure figure[FIGURES_MAX];
	int n_figures;
	struct check check[CHECKS_MAX];
	int n_checks;
};

void run_tell(const struct run *r, const char *what);
struct figure *run_figure(struct run *r, const char *name, size_t vmas, double goal);
void run_check(struct run *r, const char *name, double is, double goal);

/* A batch of n calls: the nanoseconds of one call. */
typedef double (*batch_fn)(const struct run *r, const struct side *s, size_t n);
#define BATCH static __attribute__((noinline)) double /* a name that profilers find */

static inline double per_call(const struct run *r, double start, size_t calls)
{
	return bench_elapsed(&r->clock, start, bench_read(&r->clock)) / (double)calls;
}

/* Batches of so many calls on each side that is open, in turn. Returns f. */
struct figure *measure(struct run *r, struct figure *f, struct side *sides, batch_fn batch,
		       size_t calls);
void open_sides(struct side *sides, size_t vmas);
void close_sides(struct side *sides);

/* rows.c: what is measured. */
void measure_calls(struct run *r, size_t vmas);
void measure_places(struct run *r, size_t few, size_t many);
void measure_clearing(struct run *r);
void measure_bytes(struct run *r, size_t vmas);
void measure_growth(struct run *r, const size_t *vmas, int n);

/* pages.c: the same where there are pages; quick: small, and no forks of a GiB. */
void measure_pages(struct run *r, bool quick);
void measure_hits(struct run *r);
void measure_two_threads(struct run *r);

/* uffd.c: userfaultfd and PAGEMAP_SCAN; quick: without the scan of a GiB. */
void measure_uffd(struct run *r, bool quick);

/* print.c */
void print_table(FILE *out, const struct run *r);
void print_json(FILE *out, const struct run *r);

/* svg.c: the growth rows as a picture; false: there are none, or out fails. */
bool print_svg(FILE *out, const struct run *r);

#endif
