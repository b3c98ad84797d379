/* SPDX-License-Identifier: MIT */
/* What a fork costs the host where the memory is a window of frames. */
#include "facts.h"

#define PAGES 4096UL

static void body(struct guest *g)
{
	for (unsigned int n = 2;; n++) {
		word_wait(&g->c->go, n);
		g->c->took = forks(200);
		word_set(&g->c->done, n);
	}
}

static volatile bool over;

/* Reads the messages of forks, and closes the children's descriptors. */
static void *reads(void *arg)
{
	struct guest *g = arg;
	struct uffd_msg msg;

	while (!over)
		if (next_message(g->uffd, &msg, 10) && msg.event == UFFD_EVENT_FORK)
			close((int)msg.arg.fork.ufd);
	return NULL;
}

static void one(uint64_t modes, uint64_t features, unsigned long there, const char *name)
{
	struct guest g = guest_start(body, PAGES, modes, features);
	double on = 1e9;
	pthread_t thread;

	memset(g.ram.base, 1, there * PAGE);
	if (modes && there)
		must(!cont(g.uffd, g.at, there, 0), "continue");
	for (int b = 0; modes && there && b < 20; b++) {
		double start = now();

		protect(g.uffd, g.at, PAGES, true);
		start = now() - start;
		on = start < on ? start : on;
		protect(g.uffd, g.at, PAGES, false);
	}
	if (modes)
		protect(g.uffd, g.at, PAGES, true);
	over = false;
	pthread_create(&thread, NULL, reads, &g);
	word_set(&g.c->go, 2);
	word_wait(&g.c->done, 2);
	over = true;
	pthread_join(thread, NULL);
	FACT(name, P("fork, exit, wait %.0f", g.c->took),
	     P(on < 1e9 ? "; WRITEPROTECT before it %.1f" : "", on));
	guest_end(&g);
}

void group_fork(void)
{
	one(0, 0, 0, "window not registered");
	one(ALL_MODES, 0, 64, "registered, no EVENT_FORK: the child's is not, 64 pages there");
	one(ALL_MODES, UFFD_FEATURE_EVENT_FORK, 0, "EVENT_FORK, no page there");
	one(ALL_MODES, UFFD_FEATURE_EVENT_FORK, 64, "EVENT_FORK, 64 pages there");
	one(ALL_MODES, UFFD_FEATURE_EVENT_FORK, 1024, "EVENT_FORK, 1,024 pages there");
	one(ALL_MODES, UFFD_FEATURE_EVENT_FORK, 4096, "EVENT_FORK, 4,096 pages there");
}
