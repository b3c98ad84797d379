/* SPDX-License-Identifier: MIT */
/* What a task that shares the guest's memory can be asked to do, and how long that takes. */
#include "facts.h"

enum step { NOP, MAP, MAP_REG, FRESH, COW, ZAP, ZAP_64, PROT, STEPS };
static const char *const names[STEPS] = {
	"nothing",
	"mmap of a page of the frames over another",
	"... and REGISTER",
	"... first PROT_NONE, then REGISTER, then mprotect (no gap)",
	"mmap with MAP_POPULATE over a page, REGISTER (copy-on-write)",
	"MADV_DONTNEED of a page that is there",
	"MADV_DONTNEED of 64 pages that are there",
	"mprotect of a page",
};

static int own_uffd;

static void does(struct guest *g, enum step step, unsigned long i)
{
	char *at = g->at + i % 64 * 2 * PAGE;
	const off_t to = (off_t)((i % 64 * 2 + 300) * PAGE);
	const int rw = PROT_READ | PROT_WRITE, fixed = MAP_SHARED | MAP_FIXED;

	switch (step) {
	case MAP:
	case MAP_REG:
		mmap(at, PAGE, rw, fixed, g->ram.fd, to);
		if (step == MAP_REG)
			reg(own_uffd, at, 1, ALL_MODES);
		break;
	case FRESH:
		mmap(at, PAGE, PROT_NONE, fixed, g->ram.fd, to);
		reg(own_uffd, at, 1, ALL_MODES);
		mprotect(at, PAGE, rw);
		break;
	case COW:
		mmap(at, PAGE, rw, fixed | MAP_POPULATE, g->ram.fd, to);
		reg(own_uffd, at, 1, ALL_MODES);
		break;
	case ZAP:
		madvise(at, PAGE, MADV_DONTNEED);
		break;
	case ZAP_64:
		madvise(g->at, 64 * PAGE, MADV_DONTNEED);
		break;
	case PROT:
		mprotect(at, PAGE, i & 64 ? rw : PROT_READ);
		break;
	default:
		break;
	}
}

static void body(struct guest *g)
{
	own_uffd = (int)g->c->arg[0];
	for (unsigned int n = 2;; n++) {
		word_wait(&g->c->go, n);
		does(g, (enum step)g->c->arg[0], n);
		word_set(&g->c->done, n);
	}
}

static struct guest g;
static unsigned int asked = 1;

static void ask(void *arg, int i)
{
	(void)i;
	g.c->arg[0] = *(enum step *)arg;
	word_set(&g.c->go, ++asked);
	word_wait(&g.c->done, asked);
}

/* Pages are there before each. */
static double zapped(enum step step)
{
	double took[400];

	for (int i = 0; i < 400; i++) {
		cont(g.uffd, g.at, 128, 0);
		took[i] = now();
		ask(&step, 0);
		took[i] = now() - took[i];
		reg(g.uffd, g.at, 128, ALL_MODES);
	}
	return twentieth(took, 400);
}

void group_agent(void)
{
	g = guest_start(body, 600, ALL_MODES, 0);
	memset(g.ram.base, 1, 600 * PAGE);
	FACT(names[ZAP], P("%.2f", zapped(ZAP)));
	FACT(names[ZAP_64], P("%.2f", zapped(ZAP_64)));
	for (enum step step = 0; step < STEPS; step++)
		if (step != ZAP && step != ZAP_64)
			FACT(names[step], P("%.2f", best(1500, 1, ask, &step)));
	guest_end(&g);
}
