/* SPDX-License-Identifier: MIT */
/* A page fault of one process that another one answers. Times are of the guest's store. */
#include "facts.h"

#include <sys/epoll.h>

#define N 1024

enum way { BY_READ, BY_EPOLL, BY_ZERO, BY_STORE, BY_COPY_STORE, BY_WP, AROUND_16, AROUND_64, WAYS };
static const char *const names[WAYS] = {
	"minor fault, read of the descriptor, CONTINUE",
	"... epoll before the read",
	"fault in a hole of the file, ZEROPAGE",
	"fault in a hole, store by the supervisor, CONTINUE",
	"fault in a hole, 4 KiB written by the supervisor, CONTINUE",
	"store to a write-protected page, let go",
	"minor fault, CONTINUE of 16 pages, a page",
	"minor fault, CONTINUE of 64 pages, a page",
};

static void store(void *arg, int i)
{
	((volatile char *)arg)[(unsigned long)i * PAGE] = 1;
}

/* arg[1]: pages of a sample. */
static void stores(struct guest *g)
{
	for (unsigned int round = 2;; round++) {
		word_wait(&g->c->go, round);
		g->c->took = best(N / (int)g->c->arg[1], (int)g->c->arg[1], store, g->at);
		word_set(&g->c->done, round);
	}
}

static void *wakes(void *arg)
{
	struct guest *g = arg;

	word_wait(&g->c->done, g->c->go);
	return NULL;
}

static void answer(struct guest *g, enum way way, char *at)
{
	const unsigned long i = (unsigned long)(at - g->at) / PAGE;

	switch (way) {
	case BY_ZERO:
		zero(g->uffd, at, 1);
		break;
	case BY_STORE:
		g->ram.base[i * PAGE] = 1;
		cont(g->uffd, at, 1, 0);
		break;
	case BY_COPY_STORE:
		memset(g->ram.base + i * PAGE, 1, PAGE);
		cont(g->uffd, at, 1, 0);
		break;
	case BY_WP:
		protect(g->uffd, at, 1, false);
		break;
	case AROUND_16:
		cont(g->uffd, at, 16, 0);
		break;
	case AROUND_64:
		cont(g->uffd, at, 64, 0);
		break;
	default:
		cont(g->uffd, at, 1, 0);
	}
}

/* As the way wants the pages at first: in the file or not, mapped or not. */
static void prepare(struct guest *g, enum way way)
{
	fallocate(g->ram.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)(N * PAGE));
	if (way != BY_ZERO && way != BY_STORE && way != BY_COPY_STORE)
		memset(g->ram.base, 1, N * PAGE);
	if (way == BY_WP)
		cont(g->uffd, g->at, N, UFFDIO_CONTINUE_MODE_WP);
}

static double serve(struct guest *g, enum way way, unsigned int round)
{
	struct epoll_event event = { .events = EPOLLIN };
	const int ep = epoll_create1(0);
	struct uffd_msg msg;
	pthread_t thread;

	prepare(g, way);
	epoll_ctl(ep, EPOLL_CTL_ADD, g->uffd, &event);
	fcntl(g->uffd, F_SETFL, way == BY_EPOLL ? O_NONBLOCK : 0);
	g->c->arg[1] = way == AROUND_16 ? 16 : way == AROUND_64 ? 64 : 1;
	word_set(&g->c->go, round);
	pthread_create(&thread, NULL, wakes, g);
	for (int left = N; left > 0;) {
		if (way == BY_EPOLL)
			epoll_wait(ep, &event, 1, -1);
		if (read(g->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		answer(g, way, (char *)(uintptr_t)(msg.arg.pagefault.address & ~(PAGE - 1)));
		left -= (int)g->c->arg[1];
	}
	pthread_join(thread, NULL);
	close(ep);
	return g->c->took;
}

static double native(void)
{
	char *at = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(at, N * PAGE, MADV_NOHUGEPAGE);
	return best(N, 1, store, at);
}

static int passive_uffd;
static char *passive_at;
static int bulk;

static void fill(void *arg, int i)
{
	(void)arg;
	cont(passive_uffd, passive_at + (unsigned long)(i * bulk) * PAGE, (unsigned long)bulk, 0);
}

static void waits(struct guest *g)
{
	(void)g;
	pause();
}

/* Without any fault: requests alone, of pages that the file has. */
static void requests(void)
{
	for (bulk = 1; bulk <= 64; bulk *= 8) {
		struct guest g = guest_start(waits, N, ALL_MODES, 0);
		char question[80];

		memset(g.ram.base, 1, N * PAGE);
		passive_uffd = g.uffd;
		passive_at = g.at;
		snprintf(question, sizeof(question),
			 "CONTINUE of %d pages, no fault: the request, a page", bulk);
		FACT(question, P("%.2f", best(N / bulk, 1, fill, NULL) / bulk));
		guest_end(&g);
	}
}

/* What the machine itself takes for an entry that is new to it. */
static double populated(void)
{
	struct frames f = frames_make(N * PAGE);
	char *at;

	memset(f.base, 1, N * PAGE);
	at = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, f.fd, 0);
	return best(N, 1, store, at);
}

void group_fault(void)
{
	struct guest g = guest_start(stores, N, ALL_MODES, 0);
	unsigned int round = 1;

	FACT("first store to anonymous memory, natively", P("%.2f", native()));
	FACT("first store to a page that MAP_POPULATE has mapped, natively",
	     P("%.2f", populated()));
	for (enum way way = 0; way < WAYS; way++) {
		double least = 1e9;

		for (int b = 0; b < 4; b++) {
			double took = serve(&g, way, ++round);

			least = took < least ? took : least;
		}
		FACT(names[way], P("%.2f", least));
	}
	guest_end(&g);
	requests();
}
